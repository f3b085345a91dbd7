# Run with -var-file=../environments/staging.tfvars

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  owner                 = "platform@example.org"
  state_bucket          = "holdfast-state"
  endpoint_public_cidrs = ["203.0.113.7/32"]
}

run "staging" {
  assert {
    condition     = output.database != null && output.database.port == 5432
    error_message = "staging has no database"
  }

  assert {
    condition     = length(output.private_subnet_ids) == 2
    error_message = "staging is not in two zones"
  }

  assert {
    condition     = output.expires_at == "never"
    error_message = "staging expires"
  }

  assert {
    condition     = contains(keys(output.roles), "external-secrets")
    error_message = "Nobody may read the secret of the database"
  }
}
