# On the module itself: a run can expect a failure of what it runs, not of a module within.

mock_provider "aws" {
  source = "./tests/mocks"
}

run "nodes_of_two_sizes" {
  command = plan

  module {
    source = "../modules/nodes"
  }

  variables {
    name                      = "holdfast-dev"
    cluster_name              = "holdfast-dev"
    kubernetes_version        = "1.36"
    addon_versions            = { coredns = "v1.0.0-eksbuild.1", aws-ebs-csi-driver = "v1.0.0-eksbuild.1" }
    account_id                = "111122223333"
    vpc_id                    = "vpc-11111111"
    subnet_ids                = ["subnet-11111111", "subnet-22222222"]
    cluster_security_group_id = "sg-11111111"
    tags                      = {}
    iam                       = { path = "/holdfast/dev/", permissions_boundary = null }
    groups = {
      base = {
        capacity_type  = "ON_DEMAND"
        instance_types = ["m6i.large", "m6i.xlarge"]
        min_size       = 1
        max_size       = 3
        desired_size   = 2
        disk_gb        = 30
      }
    }
  }

  override_data {
    target = data.aws_ec2_instance_type.this["m6i.xlarge"]
    values = {
      default_vcpus                        = 4
      memory_size                          = 16384
      maximum_network_interfaces           = 4
      maximum_ipv4_addresses_per_interface = 15
    }
  }

  expect_failures = [aws_eks_node_group.this["base"]]
}
