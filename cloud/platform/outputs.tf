# Read by ../outputs.ts, which names each and its type.

output "account_id" {
  value = local.account_id
}

output "region" {
  value = var.region
}

output "environment" {
  value = var.environment
}

output "expires_at" {
  value = var.expires_at
}

output "cluster_name" {
  value = module.cluster.name
}

output "cluster_version" {
  value = module.cluster.version
}

output "support_until" {
  description = "When EKS's standard support for that version ends"
  value       = local.support[var.kubernetes_version].until
}

output "cluster_endpoint" {
  value = module.cluster.endpoint
}

output "cluster_ca" {
  value = module.cluster.ca
}

output "cluster_security_group_id" {
  value = module.cluster.security_group_id
}

output "admin_arns" {
  value = local.admin_arns
}

output "vpc_id" {
  value = module.network.vpc_id
}

output "public_subnet_ids" {
  value = module.network.public_subnet_ids
}

output "private_subnet_ids" {
  value = module.network.private_subnet_ids
}

output "database_subnet_ids" {
  value = module.network.database_subnet_ids
}

output "state_bucket" {
  value = var.state_bucket
}

output "key_arn" {
  value = aws_kms_key.this.arn
}

output "repositories" {
  value = module.registry.repositories
}

output "node_groups" {
  value = module.nodes.groups
}

output "roles" {
  value = merge(
    module.cluster.roles,
    module.nodes.roles,
    { for role in module.external_secrets_role : "external-secrets" => role.role_arn },
    [for ingress in module.ingress : ingress.roles]...
  )
}

output "log_groups" {
  value = concat(
    [module.cluster.log_group, module.network.flow_log_group],
    flatten([for database in module.database : database.log_groups]),
  )
}

output "database" {
  value = one([for database in module.database : database.database])
}

output "certificate_arn" {
  value = one([for ingress in module.ingress : ingress.certificate_arn])
}
