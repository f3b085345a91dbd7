output "groups" {
  value = {
    for name, group in aws_eks_node_group.this : name => {
      name           = group.node_group_name
      capacity_type  = group.capacity_type
      instance_types = group.instance_types
      min_size       = group.scaling_config[0].min_size
      max_size       = group.scaling_config[0].max_size
      pods_per_node  = local.pods_per_node[name]
    }
  }
}

output "security_group_id" {
  value = aws_security_group.nodes.id
}

output "roles" {
  value = { nodes = aws_iam_role.nodes.arn, ebs-csi = module.ebs_csi_role.role_arn }
}
