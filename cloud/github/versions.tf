# Roles for GitHub's workflows, without a stored key. Once per account, by hand, and only for who uses GitHub: a workflow cannot make
# the role that it runs as, and must not be able to change it.
terraform {
  required_version = ">= 1.11.0, < 2.0.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100.0, < 6.0.0"
    }
  }

  backend "s3" {}
}

provider "aws" {
  region              = var.region
  allowed_account_ids = var.account_id == null ? null : [var.account_id]

  default_tags {
    tags = { project = var.project, env = "github", owner = var.owner, repo = var.repository, ttl = "never" }
  }
}
