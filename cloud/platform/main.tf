data "aws_caller_identity" "current" {}

# A session's ARN (assumed-role/…) cannot be given access; the role behind it can.
data "aws_iam_session_context" "caller" {
  arn = data.aws_caller_identity.current.arn
}

data "aws_availability_zones" "available" {
  #checkov:skip=CKV_AWS_394:The names are sorted and cut, so a zone that AWS adds moves nothing
  state = "available"
  # Local zones lack half of what is needed here.
  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

locals {
  name       = "${var.project}-${var.environment}"
  account_id = data.aws_caller_identity.current.account_id
  zones      = slice(sort(data.aws_availability_zones.available.names), 0, var.zone_count)
  admin_arns = length(var.admin_arns) > 0 ? var.admin_arns : [data.aws_iam_session_context.caller.issuer_arn]

  # What stays the same while the environment lives. Instances and volumes carry these alone: a tag that changes with each commit
  # would make a new launch template, and replace every node.
  lasting_tags = { project = var.project, env = var.environment, owner = var.owner, repo = var.repository }

  iam = { path = "/${var.project}/${var.environment}/", permissions_boundary = var.permissions_boundary_arn }

  groups = {
    base = merge(var.base_nodes, { capacity_type = "ON_DEMAND" })
    spot = merge(var.spot_nodes, { capacity_type = "SPOT" })
  }
}

module "network" {
  source = "../modules/network"

  name               = local.name
  region             = var.region
  account_id         = local.account_id
  cidr               = var.vpc_cidr
  zones              = local.zones
  nat_per_zone       = var.nat_per_zone
  log_retention_days = var.log_retention_days
  key_arn            = aws_kms_key.this.arn
  iam                = local.iam
}

module "cluster" {
  source = "../modules/cluster"

  name                  = local.name
  account_id            = local.account_id
  kubernetes_version    = var.kubernetes_version
  addon_versions        = local.support[var.kubernetes_version].addons
  subnet_ids            = module.network.private_subnet_ids
  endpoint_public_cidrs = var.endpoint_public_cidrs
  admin_arns            = toset(local.admin_arns)
  viewer_arns           = toset(var.viewer_arns)
  log_retention_days    = var.log_retention_days
  key_arn               = aws_kms_key.this.arn
  iam                   = local.iam
}

module "nodes" {
  source = "../modules/nodes"

  name                      = local.name
  cluster_name              = module.cluster.name_for_nodes
  kubernetes_version        = var.kubernetes_version
  addon_versions            = local.support[var.kubernetes_version].addons
  account_id                = local.account_id
  vpc_id                    = module.network.vpc_id
  subnet_ids                = module.network.private_subnet_ids
  cluster_security_group_id = module.cluster.security_group_id
  groups                    = local.groups
  tags                      = local.lasting_tags
  iam                       = local.iam
}

module "registry" {
  source = "../modules/registry"

  name         = local.name
  images       = toset(var.images)
  force_delete = var.environment == "dev"
  key_arn      = aws_kms_key.this.arn
}

module "database" {
  source = "../modules/database"
  count  = var.database == null ? 0 : 1

  name                   = local.name
  settings               = var.database
  vpc_id                 = module.network.vpc_id
  subnet_ids             = module.network.database_subnet_ids
  node_security_group_id = module.nodes.security_group_id
  log_retention_days     = var.log_retention_days
  key_arn                = aws_kms_key.this.arn
}

# The service is given a connection string, as it is locally, and knows nothing of AWS: External Secrets reads RDS's secret and writes
# it. So the right to read it is External Secrets' alone, and that to this one secret.
module "external_secrets_role" {
  source = "../modules/pod-role"
  count  = var.database == null ? 0 : 1

  name            = "external-secrets"
  cluster_name    = module.cluster.name
  account_id      = local.account_id
  namespace       = "external-secrets"
  service_account = "external-secrets"
  iam             = local.iam
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "ReadDatabaseSecret"
        Effect   = "Allow"
        Action   = ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"]
        Resource = module.database[0].database.secret_arn
      },
      {
        Sid       = "DecryptIt"
        Effect    = "Allow"
        Action    = "kms:Decrypt"
        Resource  = aws_kms_key.this.arn
        Condition = { StringEquals = { "kms:ViaService" = "secretsmanager.${var.region}.amazonaws.com" } }
      },
    ]
  })
}

module "ingress" {
  source = "../modules/ingress"
  count  = var.domain == null ? 0 : 1

  domain                    = var.domain
  zone_id                   = var.zone_id
  cluster_name              = module.cluster.name
  cluster_security_group_id = module.cluster.security_group_id
  vpc_id                    = module.network.vpc_id
  region                    = var.region
  account_id                = local.account_id
  iam                       = local.iam
}
