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

# Each bad value is refused by its own variable, at plan, with a sentence. A run has one for each variable; the values that are not
# named here are good.

run "bad_names" {
  command = plan

  variables {
    project               = "Holdfast!"
    environment           = "test"
    region                = "us-gov-west-1"
    account_id            = "123"
    owner                 = ""
    repository            = "<repository>"
    commit                = "HEAD"
    vpc_cidr              = "10.0.1.0/16"
    zone_count            = 1
    endpoint_public_cidrs = []
    kubernetes_version    = "1.33"
    admin_arns            = ["arn:aws:sts::111122223333:assumed-role/operator/someone"]
    log_retention_days    = 8
    base_nodes            = { instance_types = ["t3.large"], min_size = 0 }
    spot_nodes            = { instance_types = ["t3.large", "t3.large", "t3a.large"] }
    images                = ["registry.example.org/holdfast/service:latest"]
    domain                = "https://example.org"
  }

  expect_failures = [
    var.project, var.environment, var.region, var.account_id, var.owner, var.repository, var.commit, var.vpc_cidr,
    var.zone_count, var.endpoint_public_cidrs, var.kubernetes_version, var.admin_arns, var.log_retention_days,
    var.base_nodes, var.spot_nodes, var.images, var.domain,
  ]
}

run "open_to_everyone" {
  command = plan

  variables {
    expires_at            = "tomorrow"
    endpoint_public_cidrs = ["0.0.0.0/0"]
    vpc_cidr              = "11.0.0.0/16"
    domain                = "example.org"
    base_nodes            = { instance_types = ["t3.large"], desired_size = 4 }
    spot_nodes            = { instance_types = ["t3.large", "t3a.large", "m5.large"], desired_size = 4 }
    admin_arns            = ["arn:aws:iam::111122223333:role/operator"]
    viewer_arns           = ["arn:aws:iam::111122223333:role/operator"]
    database              = { instance_class = "db.t4g.micro", backup_days = 0 }
  }

  expect_failures = [
    var.expires_at, var.endpoint_public_cidrs, var.vpc_cidr, var.domain, var.base_nodes, var.spot_nodes, var.viewer_arns, var.database,
  ]
}

run "open_to_halves_of_the_internet" {
  command = plan

  variables {
    endpoint_public_cidrs = ["0.0.0.0/1", "128.0.0.0/1"]
    vpc_cidr              = "10.0.0.0/20"
    viewer_arns           = ["arn:aws:iam::111122223333:group/readers"]
    database              = { instance_class = "db.t4g.micro", storage_gb = 5 }
  }

  expect_failures = [var.endpoint_public_cidrs, var.vpc_cidr, var.viewer_arns, var.database]
}

run "open_by_ipv6" {
  command = plan

  variables {
    endpoint_public_cidrs = ["::/0"]
  }

  expect_failures = [var.endpoint_public_cidrs]
}

run "staging_that_expires_and_loses_its_data" {
  command = plan

  variables {
    environment = "staging"
    database    = { instance_class = "db.t4g.micro" }
  }

  expect_failures = [var.expires_at, var.database]
}

run "prod_that_can_be_destroyed_by_mistake" {
  command = plan

  variables {
    environment = "prod"
    expires_at  = "never"
    database    = { instance_class = "db.t4g.micro", multi_az = true, final_snapshot = true }
  }

  expect_failures = [var.database]
}

run "prod_in_one_zone" {
  command = plan

  variables {
    environment = "prod"
    expires_at  = "never"
    database    = { instance_class = "db.t4g.micro", deletion_protection = true, final_snapshot = true }
  }

  expect_failures = [var.database]
}
