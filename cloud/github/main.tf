data "aws_caller_identity" "current" {}

locals {
  account_id   = data.aws_caller_identity.current.account_id
  issuer       = "token.actions.githubusercontent.com"
  provider_arn = var.provider_arn == null ? aws_iam_openid_connect_provider.github[0].arn : var.provider_arn
  bucket_arn   = "arn:aws:s3:::${var.state_bucket}"

  # Each role hears exactly one kind of run of exactly one repository. A run bears its environment only once GitHub has let it in.
  subjects = merge(
    { plan = "repo:${var.repository}:pull_request", push = "repo:${var.repository}:ref:refs/heads/main" },
    { for environment in var.environments : environment => "repo:${var.repository}:environment:${environment}" },
  )
  trust = { for role, subject in local.subjects : role => jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRoleWithWebIdentity"
      Principal = { Federated = local.provider_arn }
      Condition = { StringEquals = { "${local.issuer}:aud" = "sts.amazonaws.com", "${local.issuer}:sub" = subject } }
    }]
  }) }
}

resource "aws_iam_openid_connect_provider" "github" {
  count = var.provider_arn == null ? 1 : 0

  url            = "https://${local.issuer}"
  client_id_list = ["sts.amazonaws.com"]
}

# ── Plan: reads, and leaves the lock alone (-lock=false) ────────────────────────────────────────────────────────────

resource "aws_iam_role" "plan" {
  name                 = "${var.project}-github-plan"
  path                 = "/${var.project}/"
  max_session_duration = 3600
  assume_role_policy   = local.trust.plan
}

resource "aws_iam_role_policy" "plan" {
  name = "read"
  role = aws_iam_role.plan.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "Look"
        Effect   = "Allow"
        Action   = local.reads
        Resource = "*"
      },
      {
        Sid      = "FindState"
        Effect   = "Allow"
        Action   = "s3:ListBucket"
        Resource = local.bucket_arn
      },
      {
        Sid      = "ReadStates"
        Effect   = "Allow"
        Action   = "s3:GetObject"
        Resource = [for environment in var.environments : "${local.bucket_arn}/${environment}/terraform.tfstate"]
      },
    ]
  })
}

locals {
  reads = [
    "acm:DescribeCertificate", "acm:ListTagsForCertificate", "ec2:Describe*", "ecr:DescribeRepositories", "ecr:GetLifecyclePolicy",
    "ecr:ListTagsForResource", "eks:Describe*", "eks:List*", "elasticloadbalancing:Describe*", "iam:GetOpenIDConnectProvider",
    "iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListRolePolicies", "kms:DescribeKey", "kms:GetKeyPolicy",
    "kms:GetKeyRotationStatus", "kms:ListAliases", "kms:ListResourceTags", "logs:DescribeLogGroups", "logs:ListTagsForResource",
    "rds:DescribeDBInstances", "rds:DescribeDBSubnetGroups", "rds:ListTagsForResource", "route53:GetHostedZone",
    "route53:ListResourceRecordSets", "servicequotas:GetServiceQuota", "tag:GetResources",
  ]
}

# ── Apply: one role per environment, for runs that GitHub has let into it ───────────────────────────────────────────

resource "aws_iam_role" "apply" {
  for_each = var.environments

  name                 = "${var.project}-github-apply-${each.value}"
  path                 = "/${var.project}/"
  max_session_duration = 7200 # a cluster takes 20 minutes to come, and as long to go
  assume_role_policy   = local.trust[each.value]
}

# Managed policies, since all of it does not fit into a role's own 10,240 characters.
resource "aws_iam_policy" "apply" {
  for_each = var.environments

  name   = "${var.project}-github-apply-${each.value}"
  path   = "/${var.project}/"
  policy = jsonencode({ Version = "2012-10-17", Statement = local.apply[each.value] })
}

resource "aws_iam_role_policy_attachment" "apply" {
  for_each = var.environments

  role       = aws_iam_role.apply[each.value].name
  policy_arn = aws_iam_policy.apply[each.value].arn
}

# ── Push: what main has built, to dev's repositories alone; the digest goes on from there by a promotion ────────────

resource "aws_iam_role" "push" {
  name                 = "${var.project}-github-push"
  path                 = "/${var.project}/"
  max_session_duration = 3600
  assume_role_policy   = local.trust.push
}

resource "aws_iam_role_policy" "push" {
  name = "push"
  role = aws_iam_role.push.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "LogIn"
        Effect   = "Allow"
        Action   = "ecr:GetAuthorizationToken"
        Resource = "*"
      },
      {
        # To look as well: what is there already is not sent again.
        Sid    = "Push"
        Effect = "Allow"
        Action = [
          "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:CompleteLayerUpload", "ecr:GetDownloadUrlForLayer",
          "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart",
        ]
        Resource = "arn:aws:ecr:${local.here}:repository/${var.project}-dev/*"
      },
    ]
  })
}
