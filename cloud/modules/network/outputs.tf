output "vpc_id" {
  value = aws_vpc.this.id
}

output "public_subnet_ids" {
  value = aws_subnet.public[*].id
}

# Nodes need their way out from their first second on: whoever takes these waits for it.
output "private_subnet_ids" {
  value      = aws_subnet.private[*].id
  depends_on = [aws_route.nat, aws_route_table_association.private]
}

output "database_subnet_ids" {
  value = aws_subnet.database[*].id
}

output "flow_log_group" {
  value = aws_cloudwatch_log_group.flow.name
}
