variable "name" {
  description = "What everything is called by: project and environment"
  type        = string
}

variable "region" {
  type = string
}

variable "account_id" {
  type = string
}

variable "cidr" {
  description = "The VPC's addresses: a /16"
  type        = string
}

variable "zones" {
  description = "Names of two or three availability zones"
  type        = list(string)
}

variable "nat_per_zone" {
  description = "A NAT gateway in each zone instead of one for all"
  type        = bool
}

variable "log_retention_days" {
  type = number
}

variable "key_arn" {
  description = "The key that flow logs are encrypted with"
  type        = string
}

variable "iam" {
  description = "Where roles stand, and the policy that bounds what they can ever do"
  type        = object({ path = string, permissions_boundary = string })
}
