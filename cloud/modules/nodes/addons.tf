# These run on nodes: made before them they stay DEGRADED until the time is over.

resource "aws_eks_addon" "coredns" {
  cluster_name                = var.cluster_name
  addon_name                  = "coredns"
  addon_version               = var.addon_versions["coredns"]
  resolve_conflicts_on_create = "OVERWRITE"
  resolve_conflicts_on_update = "OVERWRITE"

  depends_on = [aws_eks_node_group.this]
}

module "ebs_csi_role" {
  source = "../pod-role"

  name            = "ebs-csi"
  cluster_name    = var.cluster_name
  account_id      = var.account_id
  namespace       = "kube-system"
  service_account = "ebs-csi-controller-sa"
  policy_arns     = { driver = "arn:aws:iam::aws:policy/service-role/AmazonEBSCSIDriverPolicy" }
  iam             = var.iam
}

resource "aws_eks_addon" "ebs_csi" {
  cluster_name                = var.cluster_name
  addon_name                  = "aws-ebs-csi-driver"
  addon_version               = var.addon_versions["aws-ebs-csi-driver"]
  resolve_conflicts_on_create = "OVERWRITE"
  resolve_conflicts_on_update = "OVERWRITE"
  # Volumes are made by the driver, not by Terraform: with these tags the sweep after a teardown finds them.
  configuration_values = jsonencode({
    controller = { extraVolumeTags = var.tags }
  })

  depends_on = [aws_eks_node_group.this, module.ebs_csi_role]
}
