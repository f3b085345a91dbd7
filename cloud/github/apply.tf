# What an environment's apply may do: within its own names where AWS knows names, within its region where it does not. It cannot make
# a role that may more than the boundary, nor touch the roles of workflows.

locals {
  services = [
    "eks.amazonaws.com", "eks-nodegroup.amazonaws.com", "rds.amazonaws.com", "spot.amazonaws.com", "autoscaling.amazonaws.com",
    "elasticloadbalancing.amazonaws.com",
  ]
  managed_policies = [for name in [
    "AmazonEKSClusterPolicy", "AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly", "AmazonEKS_CNI_Policy",
    "service-role/AmazonEBSCSIDriverPolicy",
  ] : "arn:aws:iam::aws:policy/${name}"]

  here = "${var.region}:${local.account_id}"
  apply = { for environment in var.environments : environment => [
    {
      Sid      = "Look"
      Effect   = "Allow"
      Action   = local.reads
      Resource = "*"
    },
    {
      Sid    = "Network"
      Effect = "Allow"
      Action = [
        "ec2:*Address*", "ec2:*FlowLogs", "ec2:*InternetGateway", "ec2:*LaunchTemplate*", "ec2:*NatGateway", "ec2:*Route",
        "ec2:*RouteTable*", "ec2:*SecurityGroup*", "ec2:*Subnet*", "ec2:*Tags", "ec2:*Vpc", "ec2:*VpcAttribute", "ec2:*VpcEndpoint*",
        "ec2:DeleteNetworkInterface", "ec2:DeleteVolume", "ec2:RunInstances",
      ]
      Resource  = "*"
      Condition = { StringEquals = { "aws:RequestedRegion" = var.region } }
    },
    {
      # What the cluster's own controller has made, and a teardown finds left.
      Sid       = "Sweep"
      Effect    = "Allow"
      Action    = ["elasticloadbalancing:DeleteLoadBalancer", "elasticloadbalancing:DeleteTargetGroup"]
      Resource  = "arn:aws:elasticloadbalancing:${local.here}:*"
      Condition = { StringEquals = { "aws:ResourceTag/elbv2.k8s.aws/cluster" = "${var.project}-${environment}" } }
    },
    {
      Sid    = "Own"
      Effect = "Allow"
      Action = ["eks:*", "ecr:*", "rds:*", "logs:*"]
      Resource = [for arn in [
        "eks:${local.here}:cluster/N", "eks:${local.here}:*/N/*", "ecr:${local.here}:repository/N/*", "rds:${local.here}:db:N",
        "rds:${local.here}:subgrp:N", "rds:${local.here}:snapshot:N-final-*", "logs:${local.here}:log-group:/aws/eks/N/*",
        "logs:${local.here}:log-group:/aws/rds/instance/N/*", "logs:${local.here}:log-group:/holdfast/N/*",
      ] : "arn:aws:${replace(arn, "N", "${var.project}-${environment}")}"]
    },
    {
      Sid      = "Push"
      Effect   = "Allow"
      Action   = ["ecr:GetAuthorizationToken", "logs:CreateLogDelivery", "logs:DeleteLogDelivery"]
      Resource = "*"
    },
    {
      Sid       = "MakeKey"
      Effect    = "Allow"
      Action    = ["kms:CreateKey", "kms:TagResource"]
      Resource  = "*"
      Condition = { StringEquals = { "aws:RequestTag/env" = environment, "aws:RequestTag/project" = var.project } }
    },
    {
      Sid       = "OwnKey"
      Effect    = "Allow"
      Action    = "kms:*"
      Resource  = "arn:aws:kms:${local.here}:key/*"
      Condition = { StringEquals = { "aws:ResourceTag/env" = environment, "aws:ResourceTag/project" = var.project } }
    },
    {
      Sid      = "OwnAlias"
      Effect   = "Allow"
      Action   = ["kms:CreateAlias", "kms:DeleteAlias", "kms:UpdateAlias"]
      Resource = "arn:aws:kms:${local.here}:alias/${var.project}-${environment}"
    },
    {
      Sid      = "PasswordOfRds"
      Effect   = "Allow"
      Action   = ["secretsmanager:CreateSecret", "secretsmanager:TagResource"]
      Resource = "arn:aws:secretsmanager:${local.here}:secret:rds!db-*"
    },
    {
      Sid       = "Certificate"
      Effect    = "Allow"
      Action    = ["acm:AddTagsToCertificate", "acm:DeleteCertificate", "acm:RequestCertificate", "route53:ChangeResourceRecordSets"]
      Resource  = ["arn:aws:acm:${local.here}:certificate/*", "arn:aws:route53:::hostedzone/*"]
      Condition = { "ForAllValues:StringEquals" = { "route53:ChangeResourceRecordSetsRecordTypes" = ["CNAME"] } }
    },
    {
      Sid       = "MakeBoundRoles"
      Effect    = "Allow"
      Action    = ["iam:CreateRole", "iam:DeleteRolePolicy", "iam:PutRolePermissionsBoundary", "iam:PutRolePolicy"]
      Resource  = "arn:aws:iam::${local.account_id}:role/${var.project}/${environment}/*"
      Condition = { StringEquals = { "iam:PermissionsBoundary" = aws_iam_policy.boundary.arn } }
    },
    {
      Sid       = "AttachKnownPolicies"
      Effect    = "Allow"
      Action    = ["iam:AttachRolePolicy", "iam:DetachRolePolicy"]
      Resource  = "arn:aws:iam::${local.account_id}:role/${var.project}/${environment}/*"
      Condition = { ArnEquals = { "iam:PolicyARN" = local.managed_policies } }
    },
    {
      Sid      = "KeepRoles"
      Effect   = "Allow"
      Action   = ["iam:DeleteRole", "iam:ListInstanceProfilesForRole", "iam:TagRole", "iam:UntagRole", "iam:UpdateAssumeRolePolicy"]
      Resource = "arn:aws:iam::${local.account_id}:role/${var.project}/${environment}/*"
    },
    {
      Sid      = "HandRolesToAws"
      Effect   = "Allow"
      Action   = "iam:PassRole"
      Resource = "arn:aws:iam::${local.account_id}:role/${var.project}/${environment}/*"
      Condition = { StringEquals = { "iam:PassedToService" = [
        "eks.amazonaws.com", "ec2.amazonaws.com", "pods.eks.amazonaws.com", "vpc-flow-logs.amazonaws.com",
      ] } }
    },
    {
      Sid       = "RolesOfAwsItself"
      Effect    = "Allow"
      Action    = "iam:CreateServiceLinkedRole"
      Resource  = "arn:aws:iam::${local.account_id}:role/aws-service-role/*"
      Condition = { StringEquals = { "iam:AWSServiceName" = local.services } }
    },
    {
      Sid      = "FindState"
      Effect   = "Allow"
      Action   = "s3:ListBucket"
      Resource = local.bucket_arn
    },
    {
      Sid      = "OwnState"
      Effect   = "Allow"
      Action   = ["s3:GetObject", "s3:PutObject"]
      Resource = ["${local.bucket_arn}/${environment}/terraform.tfstate", "${local.bucket_arn}/${environment}/terraform.tfstate.tflock"]
    },
    {
      # A lock is given back by deleting it. A state is never deleted.
      Sid      = "OwnLock"
      Effect   = "Allow"
      Action   = "s3:DeleteObject"
      Resource = "${local.bucket_arn}/${environment}/terraform.tfstate.tflock"
    },
  ] }
}

# What roles of the platform can never exceed, whatever is attached to them: the platform's apply must give it to each.
resource "aws_iam_policy" "boundary" {
  #checkov:skip=CKV_AWS_287:A boundary grants nothing: it is the most that what a role has attached can reach
  #checkov:skip=CKV_AWS_288:A boundary grants nothing: it is the most that what a role has attached can reach
  #checkov:skip=CKV_AWS_289:A boundary grants nothing: it is the most that what a role has attached can reach
  #checkov:skip=CKV_AWS_290:A boundary grants nothing: it is the most that what a role has attached can reach
  #checkov:skip=CKV_AWS_355:A boundary grants nothing: it is the most that what a role has attached can reach
  name = "${var.project}-boundary"
  path = "/${var.project}/"
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid    = "WhatAPlatformDoes"
        Effect = "Allow"
        Action = [
          "acm:DescribeCertificate", "acm:ListCertificates", "autoscaling:*", "ec2:*", "ecr:*", "eks:*", "eks-auth:AssumeRoleForPodIdentity",
          "elasticloadbalancing:*", "kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey*", "logs:CreateLogStream",
          "logs:DescribeLogStreams", "logs:PutLogEvents", "secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue",
        ]
        Resource = "*"
      },
      {
        Sid       = "RolesOfAwsItself"
        Effect    = "Allow"
        Action    = "iam:CreateServiceLinkedRole"
        Resource  = "*"
        Condition = { StringEquals = { "iam:AWSServiceName" = local.services } }
      },
      {
        Sid      = "NeverTheWayUp"
        Effect   = "Deny"
        Action   = ["eks:*AccessEntry", "eks:*AccessPolicy", "eks:*PodIdentityAssociation"]
        Resource = "*"
      },
    ]
  })
}
