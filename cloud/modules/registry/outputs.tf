output "repositories" {
  description = "Each repository's address by its image's name"
  value       = { for image, repository in aws_ecr_repository.this : image => repository.repository_url }
}
