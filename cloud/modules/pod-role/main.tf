# A role for the pods of one ServiceAccount, by EKS Pod Identity: no OIDC provider, no annotation, the same manifest on every cluster.

resource "aws_iam_role" "this" {
  name                 = "${var.cluster_name}-${var.name}"
  path                 = var.iam.path
  permissions_boundary = var.iam.permissions_boundary
  # Without the conditions any cluster of the account could hand this role to its own pods.
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = ["sts:AssumeRole", "sts:TagSession"]
      Principal = { Service = "pods.eks.amazonaws.com" }
      Condition = {
        StringEquals = {
          "aws:SourceAccount"                         = var.account_id
          "aws:RequestTag/eks-cluster-name"           = var.cluster_name
          "aws:RequestTag/kubernetes-namespace"       = var.namespace
          "aws:RequestTag/kubernetes-service-account" = var.service_account
        }
      }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "this" {
  for_each = var.policy_arns

  role       = aws_iam_role.this.name
  policy_arn = each.value
}

resource "aws_iam_role_policy" "this" {
  #checkov:skip=CKV_AWS_355:The callers' policies ask for everything only where they look at it; tests compare each statement with a snapshot
  count = var.policy == null ? 0 : 1

  name   = var.name
  role   = aws_iam_role.this.id
  policy = var.policy
}

resource "aws_eks_pod_identity_association" "this" {
  cluster_name    = var.cluster_name
  namespace       = var.namespace
  service_account = var.service_account
  role_arn        = aws_iam_role.this.arn
}
