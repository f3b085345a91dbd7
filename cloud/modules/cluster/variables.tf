variable "name" {
  type = string
}

variable "account_id" {
  type = string
}

variable "kubernetes_version" {
  type = string
}

variable "addon_versions" {
  description = "Each addon's exact version by its name"
  type        = map(string)
}

variable "subnet_ids" {
  description = "Where the control plane puts its network interfaces: private subnets in two zones or more"
  type        = list(string)
}

variable "endpoint_public_cidrs" {
  description = "Who reaches the API from outside of the VPC"
  type        = list(string)
}

variable "admin_arns" {
  type = set(string)
}

variable "viewer_arns" {
  type = set(string)
}

variable "log_retention_days" {
  type = number
}

variable "key_arn" {
  type = string
}

variable "iam" {
  description = "Where roles stand, and the policy that bounds what they can ever do"
  type        = object({ path = string, permissions_boundary = string })
}
