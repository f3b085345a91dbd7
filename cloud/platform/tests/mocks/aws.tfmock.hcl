# What AWS would answer, as far as the provider looks at it: a mocked value is else eight random letters.

mock_data "aws_caller_identity" {
  defaults = {
    account_id = "111122223333"
    arn        = "arn:aws:sts::111122223333:assumed-role/operator/someone"
  }
}

mock_data "aws_iam_session_context" {
  defaults = {
    issuer_arn = "arn:aws:iam::111122223333:role/operator"
  }
}

mock_data "aws_availability_zones" {
  defaults = {
    names = ["us-east-2a", "us-east-2b", "us-east-2c"]
  }
}

# As EC2 describes a type with 2 vCPUs and 8 GiB; the tests override it where they need another.
mock_data "aws_ec2_instance_type" {
  defaults = {
    default_vcpus                        = 2
    memory_size                          = 8192
    maximum_network_interfaces           = 3
    maximum_ipv4_addresses_per_interface = 10
  }
}

mock_resource "aws_iam_role" {
  defaults = {
    arn = "arn:aws:iam::111122223333:role/mocked"
  }
}

mock_resource "aws_kms_key" {
  defaults = {
    arn    = "arn:aws:kms:us-east-2:111122223333:key/00000000-0000-0000-0000-000000000000"
    key_id = "00000000-0000-0000-0000-000000000000"
  }
}

mock_resource "aws_cloudwatch_log_group" {
  defaults = {
    arn = "arn:aws:logs:us-east-2:111122223333:log-group:mocked"
  }
}

mock_resource "aws_launch_template" {
  defaults = {
    id             = "lt-00000000000000000"
    latest_version = 1
  }
}

mock_resource "aws_eks_cluster" {
  defaults = {
    endpoint              = "https://mocked.gr7.us-east-2.eks.amazonaws.com"
    certificate_authority = [{ data = "bW9ja2Vk" }]
  }
}

mock_resource "aws_db_instance" {
  defaults = {
    address            = "mocked.us-east-2.rds.amazonaws.com"
    port               = 5432
    master_user_secret = [{ secret_arn = "arn:aws:secretsmanager:us-east-2:111122223333:secret:rds!mocked" }]
  }
}

mock_resource "aws_acm_certificate" {
  defaults = {
    arn = "arn:aws:acm:us-east-2:111122223333:certificate/mocked"
    domain_validation_options = [{
      domain_name           = "shop.example.org"
      resource_record_name  = "_proof.shop.example.org"
      resource_record_type  = "CNAME"
      resource_record_value = "_proof.acm-validations.aws"
    }]
  }
}

mock_resource "aws_acm_certificate_validation" {
  defaults = {
    certificate_arn = "arn:aws:acm:us-east-2:111122223333:certificate/mocked"
  }
}
