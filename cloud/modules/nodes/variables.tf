variable "name" {
  description = "What everything is called by: project and environment"
  type        = string
}

variable "cluster_name" {
  description = "The same name from the cluster's output that waits for the addons which nodes need"
  type        = string
}

variable "kubernetes_version" {
  type = string
}

variable "addon_versions" {
  type = map(string)
}

variable "account_id" {
  type = string
}

variable "vpc_id" {
  type = string
}

variable "subnet_ids" {
  type = list(string)
}

variable "cluster_security_group_id" {
  type = string
}

variable "groups" {
  description = "Node groups by their name"
  type = map(object({
    capacity_type  = string
    instance_types = list(string)
    min_size       = number
    max_size       = number
    desired_size   = number
    disk_gb        = number
  }))
}

variable "tags" {
  description = "For what is made from here, but not by Terraform: instances, volumes"
  type        = map(string)
}

variable "iam" {
  description = "Where roles stand, and the policy that bounds what they can ever do"
  type        = object({ path = string, permissions_boundary = string })
}
