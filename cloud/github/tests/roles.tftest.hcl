mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = {
      account_id = "111122223333"
    }
  }

  mock_resource "aws_iam_openid_connect_provider" {
    defaults = {
      arn = "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com"
    }
  }

  mock_resource "aws_iam_role" {
    defaults = {
      arn = "arn:aws:iam::111122223333:role/mocked"
    }
  }

  mock_resource "aws_iam_policy" {
    defaults = {
      arn = "arn:aws:iam::111122223333:policy/mocked"
    }
  }
}

variables {
  owner        = "platform@example.org"
  repository   = "example/shop"
  state_bucket = "holdfast-state"
}

run "roles" {
  assert {
    condition     = length(output.apply_role_arns) == 3
    error_message = "Not every environment has a role of its own"
  }
}

run "refused" {
  command = plan

  variables {
    repository   = "example/*"
    environments = ["test"]
  }

  expect_failures = [var.repository, var.environments]
}
