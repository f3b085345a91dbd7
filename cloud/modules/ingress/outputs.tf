output "certificate_arn" {
  value = aws_acm_certificate_validation.this.certificate_arn
}

output "roles" {
  value = { load-balancer-controller = module.controller_role.role_arn }
}
