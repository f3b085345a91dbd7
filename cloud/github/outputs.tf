output "plan_role_arn" {
  value = aws_iam_role.plan.arn
}

output "push_role_arn" {
  value = aws_iam_role.push.arn
}

output "apply_role_arns" {
  value = { for environment, role in aws_iam_role.apply : environment => role.arn }
}

output "boundary_arn" {
  value = aws_iam_policy.boundary.arn
}
