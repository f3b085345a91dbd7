terraform {
  required_version = ">= 1.11.0, < 2.0.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100.0, < 6.0.0"
    }
  }

  # The bucket cannot hold the state of what makes it, so that state stays on the machine. It may be lost: a bucket that is there
  # is adopted (see main.tf), and everything else about it is written again, which changes nothing.
  backend "local" {}
}

provider "aws" {
  region              = var.region
  allowed_account_ids = var.account_id == null ? null : [var.account_id]

  default_tags {
    tags = { project = var.project, env = "state", owner = var.owner, ttl = "never" }
  }
}
