# PostgreSQL in subnets without a way out, reached from the nodes alone. RDS makes, keeps and rotates the master password in Secrets
# Manager: nothing secret is in the state.

locals {
  log_exports = ["postgresql", "upgrade"]
}

# A final snapshot's name is used once: it keeps the time of the plan that made the database.
resource "terraform_data" "made_at" {
  input = formatdate("YYYYMMDD-hhmmss", plantimestamp())

  lifecycle {
    ignore_changes = [input]
  }
}

resource "aws_db_subnet_group" "this" {
  name       = var.name
  subnet_ids = var.subnet_ids
}

resource "aws_security_group" "this" {
  name        = "${var.name}-database"
  description = "PostgreSQL: from the nodes only, to nobody"
  vpc_id      = var.vpc_id
  tags        = { Name = "${var.name}-database" }

  timeouts {
    delete = "5m"
  }
}

resource "aws_vpc_security_group_ingress_rule" "nodes" {
  security_group_id            = aws_security_group.this.id
  referenced_security_group_id = var.node_security_group_id
  description                  = "PostgreSQL from the nodes"
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}

# Made here, since those that RDS makes are neither encrypted with our key nor ever emptied.
resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_338:Kept as long as the environment says; what must be kept for a year belongs into an archive
  for_each = toset(local.log_exports)

  name              = "/aws/rds/instance/${var.name}/${each.value}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.key_arn
}

resource "aws_db_instance" "this" {
  #checkov:skip=CKV_AWS_157:A second zone is a matter of the environment: prod has it, dev would pay twice for data it can lose
  #checkov:skip=CKV_AWS_118:Enhanced monitoring needs a role and logs of its own; the alerts watch the service, which tells of a slow database
  #checkov:skip=CKV_AWS_293:Protection is a matter of the environment, and validated: prod cannot be without it, dev must be destroyable
  #checkov:skip=CKV_AWS_353:Performance Insights is not to be had on the smallest instances; where it is, it is one switch away
  #checkov:skip=CKV2_AWS_30:Statements in the log hold users' data; slow ones are found by the service's traces
  identifier                  = var.name
  engine                      = "postgres"
  engine_version              = var.engine_version
  instance_class              = var.settings.instance_class
  db_name                     = var.database_name
  username                    = "owner"
  manage_master_user_password = true
  # The same key as everything else of the environment.
  master_user_secret_kms_key_id       = var.key_arn
  iam_database_authentication_enabled = true

  allocated_storage = var.settings.storage_gb
  storage_type      = "gp3"
  storage_encrypted = true
  kms_key_id        = var.key_arn

  db_subnet_group_name   = aws_db_subnet_group.this.name
  vpc_security_group_ids = [aws_security_group.this.id]
  publicly_accessible    = false
  multi_az               = var.settings.multi_az

  backup_retention_period         = var.settings.backup_days
  copy_tags_to_snapshot           = true
  auto_minor_version_upgrade      = true
  enabled_cloudwatch_logs_exports = local.log_exports

  deletion_protection       = var.settings.deletion_protection
  skip_final_snapshot       = !var.settings.final_snapshot
  final_snapshot_identifier = "${var.name}-final-${terraform_data.made_at.output}"
  delete_automated_backups  = !var.settings.final_snapshot

  depends_on = [aws_cloudwatch_log_group.this]
}
