variable "domain" {
  description = "The public name, such as dev.example.org"
  type        = string
}

variable "zone_id" {
  description = "The hosted zone of Route 53 that holds it"
  type        = string
}

variable "cluster_name" {
  type = string
}

variable "cluster_security_group_id" {
  type = string
}

variable "vpc_id" {
  type = string
}

variable "region" {
  type = string
}

variable "account_id" {
  type = string
}

variable "iam" {
  description = "Where roles stand, and the policy that bounds what they can ever do"
  type        = object({ path = string, permissions_boundary = string })
}
