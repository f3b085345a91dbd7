# Whoever takes it has the association too: pods that started before it run without the role until they are restarted.
output "role_arn" {
  value      = aws_iam_role.this.arn
  depends_on = [aws_eks_pod_identity_association.this, aws_iam_role_policy_attachment.this, aws_iam_role_policy.this]
}
