# Run with -var-file=../environments/dev.tfvars

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  owner                 = "platform@example.org"
  state_bucket          = "holdfast-state"
  endpoint_public_cidrs = ["203.0.113.7/32"]
  expires_at            = "2026-12-01T18:00:00Z"
}

run "dev" {
  assert {
    condition     = output.database == null && length(output.database_subnet_ids) == 2
    error_message = "dev has a database of AWS, which costs day and night, or no subnets for one"
  }

  assert {
    condition     = length(output.private_subnet_ids) == 2 && length(output.public_subnet_ids) == 2
    error_message = "dev is not in two zones"
  }

  assert {
    condition     = output.node_groups.base.capacity_type == "ON_DEMAND" && output.node_groups.base.min_size == 1 && output.node_groups.base.max_size == 3
    error_message = "The base group of dev is not one to three On-Demand nodes"
  }

  assert {
    condition     = output.node_groups.spot.capacity_type == "SPOT" && length(output.node_groups.spot.instance_types) >= 3
    error_message = "dev has no Spot group, or one of too few types"
  }

  assert {
    condition     = output.node_groups.base.pods_per_node == 110
    error_message = "A node of dev does not hold 110 pods: 3 interfaces of 10 addresses, as prefixes of 16, are above the cap"
  }

  assert {
    condition     = output.expires_at == "2026-12-01T18:00:00Z"
    error_message = "dev does not say when it may be destroyed"
  }

  assert {
    condition     = output.certificate_arn == null
    error_message = "dev has a certificate without a domain"
  }

  assert {
    condition     = output.admin_arns == tolist(["arn:aws:iam::111122223333:role/operator"])
    error_message = "Not only the role behind the session that applies administers the cluster"
  }
}
