variable "name" {
  description = "What the role is for; part of its name"
  type        = string
}

variable "cluster_name" {
  type = string
}

variable "account_id" {
  type = string
}

variable "namespace" {
  type = string
}

variable "service_account" {
  type = string
}

variable "policy_arns" {
  description = "AWS's own policies to attach, by a name of ours"
  type        = map(string)
  default     = {}
}

variable "policy" {
  description = "A policy of our own as JSON"
  type        = string
  default     = null
}

variable "iam" {
  description = "Where roles stand, and the policy that bounds what they can ever do"
  type        = object({ path = string, permissions_boundary = string })
}
