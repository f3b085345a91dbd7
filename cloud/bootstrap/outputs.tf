output "account_id" {
  value = local.account_id
}

output "region" {
  value = var.region
}

output "state_bucket" {
  value = aws_s3_bucket.state.id
}
