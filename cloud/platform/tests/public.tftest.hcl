# Run with -var-file=../environments/prod.tfvars

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  owner                    = "platform@example.org"
  state_bucket             = "holdfast-state"
  endpoint_public_cidrs    = ["203.0.113.7/32"]
  domain                   = "shop.example.org"
  zone_id                  = "Z0000000000000"
  admin_arns               = ["arn:aws:iam::111122223333:role/operators", "arn:aws:iam::111122223333:role/holdfast/holdfast-github-apply-prod"]
  viewer_arns              = ["arn:aws:iam::111122223333:role/holdfast/holdfast-github-plan"]
  permissions_boundary_arn = "arn:aws:iam::111122223333:policy/holdfast/holdfast-boundary"
}

# All that can be switched on: a domain, administrators by name, a boundary.
run "public" {
  assert {
    condition     = output.certificate_arn != null && contains(keys(output.roles), "load-balancer-controller")
    error_message = "A domain brings no certificate, or nobody who makes its load balancer"
  }

  assert {
    condition     = length(output.admin_arns) == 2
    error_message = "Named administrators are not the only ones"
  }
}
