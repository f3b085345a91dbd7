# What a public name needs: a certificate, and a role for the controller that makes the load balancer. Without a domain none of it is
# there, and nothing of the cluster is public.

resource "aws_acm_certificate" "this" {
  domain_name       = var.domain
  validation_method = "DNS"

  lifecycle {
    create_before_destroy = true
  }
}

locals {
  # One name, so one record proves it.
  proof = one(aws_acm_certificate.this.domain_validation_options)
}

resource "aws_route53_record" "validation" {
  zone_id = var.zone_id
  name    = local.proof.resource_record_name
  type    = local.proof.resource_record_type
  records = [local.proof.resource_record_value]
  ttl     = 60
}

resource "aws_acm_certificate_validation" "this" {
  certificate_arn         = aws_acm_certificate.this.arn
  validation_record_fqdns = [aws_route53_record.validation.fqdn]

  timeouts {
    create = "10m"
  }
}

module "controller_role" {
  source = "../pod-role"

  name            = "load-balancer-controller"
  cluster_name    = var.cluster_name
  account_id      = var.account_id
  namespace       = "kube-system"
  service_account = "aws-load-balancer-controller"
  policy          = jsonencode(local.policy)
  iam             = var.iam
}

locals {
  # The controller writes this tag on all that it makes; nothing else may be changed by it.
  own        = { StringEquals = { "aws:ResourceTag/elbv2.k8s.aws/cluster" = var.cluster_name } }
  own_to_be  = { StringEquals = { "aws:RequestTag/elbv2.k8s.aws/cluster" = var.cluster_name } }
  elb        = "arn:aws:elasticloadbalancing:${var.region}:${var.account_id}"
  ec2        = "arn:aws:ec2:${var.region}:${var.account_id}"
  groups_arn = "${local.ec2}:security-group/*"

  policy = {
    Version = "2012-10-17"
    Statement = [
      {
        Sid    = "Look"
        Effect = "Allow"
        Action = [
          "ec2:DescribeAccountAttributes", "ec2:DescribeAddresses", "ec2:DescribeAvailabilityZones", "ec2:DescribeCoipPools",
          "ec2:DescribeInstances", "ec2:DescribeInternetGateways", "ec2:DescribeNetworkInterfaces", "ec2:DescribeRouteTables",
          "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeTags", "ec2:DescribeVpcs", "ec2:GetSecurityGroupsForVpc",
          "elasticloadbalancing:DescribeCapacityReservation", "elasticloadbalancing:DescribeListenerAttributes",
          "elasticloadbalancing:DescribeListenerCertificates", "elasticloadbalancing:DescribeListeners",
          "elasticloadbalancing:DescribeLoadBalancerAttributes", "elasticloadbalancing:DescribeLoadBalancers",
          "elasticloadbalancing:DescribeRules", "elasticloadbalancing:DescribeSSLPolicies", "elasticloadbalancing:DescribeTags",
          "elasticloadbalancing:DescribeTargetGroupAttributes", "elasticloadbalancing:DescribeTargetGroups",
          "elasticloadbalancing:DescribeTargetHealth", "elasticloadbalancing:DescribeTrustStores",
          "acm:DescribeCertificate", "acm:ListCertificates",
        ]
        Resource = "*"
      },
      {
        Sid       = "MakeBalancers"
        Effect    = "Allow"
        Action    = ["elasticloadbalancing:CreateLoadBalancer", "elasticloadbalancing:CreateTargetGroup"]
        Resource  = ["${local.elb}:loadbalancer/*", "${local.elb}:targetgroup/*"]
        Condition = local.own_to_be
      },
      {
        Sid      = "TagOnCreation"
        Effect   = "Allow"
        Action   = "elasticloadbalancing:AddTags"
        Resource = ["${local.elb}:loadbalancer/*", "${local.elb}:targetgroup/*", "${local.elb}:listener/*", "${local.elb}:listener-rule/*"]
        Condition = merge(local.own_to_be, {
          "ForAnyValue:StringEquals" = {
            "elasticloadbalancing:CreateAction" = ["CreateLoadBalancer", "CreateTargetGroup", "CreateListener", "CreateRule"]
          }
        })
      },
      {
        Sid    = "ChangeOwnBalancers"
        Effect = "Allow"
        Action = [
          "elasticloadbalancing:AddListenerCertificates", "elasticloadbalancing:AddTags", "elasticloadbalancing:CreateListener",
          "elasticloadbalancing:CreateRule", "elasticloadbalancing:DeleteListener", "elasticloadbalancing:DeleteLoadBalancer",
          "elasticloadbalancing:DeleteRule", "elasticloadbalancing:DeleteTargetGroup", "elasticloadbalancing:DeregisterTargets",
          "elasticloadbalancing:ModifyListener", "elasticloadbalancing:ModifyListenerAttributes",
          "elasticloadbalancing:ModifyLoadBalancerAttributes", "elasticloadbalancing:ModifyRule",
          "elasticloadbalancing:ModifyTargetGroup", "elasticloadbalancing:ModifyTargetGroupAttributes",
          "elasticloadbalancing:RegisterTargets", "elasticloadbalancing:RemoveListenerCertificates", "elasticloadbalancing:RemoveTags",
          "elasticloadbalancing:SetIpAddressType", "elasticloadbalancing:SetRulePriorities", "elasticloadbalancing:SetSecurityGroups",
          "elasticloadbalancing:SetSubnets",
        ]
        Resource  = ["${local.elb}:loadbalancer/*", "${local.elb}:targetgroup/*", "${local.elb}:listener/*", "${local.elb}:listener-rule/*"]
        Condition = local.own
      },
      {
        Sid      = "MakeGroups"
        Effect   = "Allow"
        Action   = "ec2:CreateSecurityGroup"
        Resource = [local.groups_arn, "${local.ec2}:vpc/${var.vpc_id}"]
      },
      {
        Sid       = "TagGroupsOnCreation"
        Effect    = "Allow"
        Action    = "ec2:CreateTags"
        Resource  = local.groups_arn
        Condition = { StringEquals = merge(local.own_to_be.StringEquals, { "ec2:CreateAction" = "CreateSecurityGroup" }) }
      },
      {
        Sid    = "ChangeOwnGroups"
        Effect = "Allow"
        Action = [
          "ec2:AuthorizeSecurityGroupIngress", "ec2:CreateTags", "ec2:DeleteSecurityGroup", "ec2:DeleteTags",
          "ec2:RevokeSecurityGroupIngress",
        ]
        Resource  = local.groups_arn
        Condition = local.own
      },
      {
        # The balancer's group is let in by the group of the nodes, which is the cluster's.
        Sid      = "LetInByNodes"
        Effect   = "Allow"
        Action   = ["ec2:AuthorizeSecurityGroupIngress", "ec2:RevokeSecurityGroupIngress"]
        Resource = "${local.ec2}:security-group/${var.cluster_security_group_id}"
      },
    ]
  }
}
