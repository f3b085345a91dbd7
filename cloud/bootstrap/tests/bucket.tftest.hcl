mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = {
      account_id = "111122223333"
    }
  }
}

variables {
  owner  = "platform@example.org"
  bucket = "holdfast-state"
}

# Planned only: what must not be destroyed cannot be torn down after a test either.
run "bucket" {
  command = plan

  assert {
    condition     = output.account_id == "111122223333"
    error_message = "Whoever comes after is not told the account"
  }
}

run "refused" {
  command = plan

  variables {
    bucket    = "Holdfast.State"
    keep_days = 1
  }

  expect_failures = [var.bucket, var.keep_days]
}
