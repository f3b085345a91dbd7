# Whoever takes the name from here comes after the addons that nodes need.
output "name_for_nodes" {
  value      = aws_eks_cluster.this.name
  depends_on = [aws_eks_addon.vpc_cni, aws_eks_addon.kube_proxy, aws_eks_addon.pod_identity_agent]
}

output "name" {
  value = aws_eks_cluster.this.name
}

output "endpoint" {
  value = aws_eks_cluster.this.endpoint
}

output "ca" {
  value = aws_eks_cluster.this.certificate_authority[0].data
}

output "version" {
  value = aws_eks_cluster.this.version
}

output "security_group_id" {
  description = "The group that EKS makes: the control plane and nodes reach each other by it"
  value       = aws_eks_cluster.this.vpc_config[0].cluster_security_group_id
}

output "log_group" {
  value = aws_cloudwatch_log_group.cluster.name
}

output "roles" {
  value = { cluster = aws_iam_role.cluster.arn, vpc-cni = module.vpc_cni_role.role_arn }
}
