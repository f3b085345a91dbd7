# In this order: the agent that hands out roles, the role of the network plugin, then the plugin. A node that comes up before them
# never becomes Ready. coredns and the EBS driver run on nodes and come after them: see ../nodes.

resource "aws_eks_addon" "pod_identity_agent" {
  cluster_name                = aws_eks_cluster.this.name
  addon_name                  = "eks-pod-identity-agent"
  addon_version               = var.addon_versions["eks-pod-identity-agent"]
  resolve_conflicts_on_create = "OVERWRITE"
  resolve_conflicts_on_update = "OVERWRITE"
}

module "vpc_cni_role" {
  source = "../pod-role"

  name            = "vpc-cni"
  cluster_name    = aws_eks_cluster.this.name
  account_id      = var.account_id
  namespace       = "kube-system"
  service_account = "aws-node"
  policy_arns     = { cni = "arn:aws:iam::aws:policy/AmazonEKS_CNI_Policy" }
  iam             = var.iam
}

resource "aws_eks_addon" "vpc_cni" {
  cluster_name                = aws_eks_cluster.this.name
  addon_name                  = "vpc-cni"
  addon_version               = var.addon_versions["vpc-cni"]
  resolve_conflicts_on_create = "OVERWRITE"
  resolve_conflicts_on_update = "OVERWRITE"
  configuration_values = jsonencode({
    # The plugin enforces NetworkPolicies only where it is told to.
    enableNetworkPolicy = "true"
    env = {
      # Sixteen addresses at a time instead of one: a t3.large holds 110 pods instead of 35.
      ENABLE_PREFIX_DELEGATION = "true"
      WARM_PREFIX_TARGET       = "1"
    }
  })

  depends_on = [aws_eks_addon.pod_identity_agent, module.vpc_cni_role]
}

resource "aws_eks_addon" "kube_proxy" {
  cluster_name                = aws_eks_cluster.this.name
  addon_name                  = "kube-proxy"
  addon_version               = var.addon_versions["kube-proxy"]
  resolve_conflicts_on_create = "OVERWRITE"
  resolve_conflicts_on_update = "OVERWRITE"
}
