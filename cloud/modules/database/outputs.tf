output "database" {
  value = {
    identifier = aws_db_instance.this.identifier
    address    = aws_db_instance.this.address
    port       = aws_db_instance.this.port
    name       = aws_db_instance.this.db_name
    secret_arn = aws_db_instance.this.master_user_secret[0].secret_arn
  }
}

output "log_groups" {
  value = [for group in aws_cloudwatch_log_group.this : group.name]
}
