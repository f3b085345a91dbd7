# Run with -var-file=../environments/prod.tfvars

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  owner                 = "platform@example.org"
  state_bucket          = "holdfast-state"
  endpoint_public_cidrs = ["203.0.113.7/32"]
}

run "prod" {
  assert {
    condition     = length(output.private_subnet_ids) == 3 && length(output.database_subnet_ids) == 3
    error_message = "prod is not in three zones"
  }

  assert {
    condition     = output.database != null
    error_message = "prod has no database"
  }

  assert {
    condition     = output.node_groups.base.min_size >= 2
    error_message = "prod can be left with one node that must not go away"
  }

  assert {
    condition     = length(output.log_groups) == 4
    error_message = "The database of prod logs into groups that Terraform does not know"
  }
}
