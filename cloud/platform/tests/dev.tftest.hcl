# Run with -var-file=../environments/dev.tfvars

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  owner                 = "platform@example.org"
  expires_at            = "2026-12-01T18:00:00Z"
  state_bucket          = "holdfast-state"
  endpoint_public_cidrs = ["203.0.113.7/32"]
}

run "plan" {
  command = plan
}

run "applied" {
  assert {
    condition     = length(module.database) == 0 && output.database == null
    error_message = "dev has a database of AWS, which it pays for day and night"
  }
}
