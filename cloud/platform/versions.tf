# One root for three environments: what differs between them is a tfvars file, so it can be read on one screen and compared by a test;
# three roots would be three places to forget something in. Each has its own state, credentials and, if wanted, account: the backend's
# settings come from ../environments/<name>.s3.tfbackend, its bucket from whoever runs it. Workspaces would share one credential.
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
  region = var.region
  # Wrong credentials are refused before anything is read.
  allowed_account_ids = var.account_id == null ? null : [var.account_id]

  default_tags {
    tags = merge(local.lasting_tags, { ttl = var.expires_at, commit = var.commit })
  }
}
