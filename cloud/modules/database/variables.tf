variable "name" {
  description = "The instance's identifier: project and environment"
  type        = string
}

variable "database_name" {
  description = "The database that it starts with"
  type        = string
  default     = "service"
}

variable "engine_version" {
  description = "PostgreSQL's major version; RDS picks the newest minor one and keeps it up to date"
  type        = string
  default     = "17"
}

variable "settings" {
  type = object({
    instance_class      = string
    storage_gb          = number
    multi_az            = bool
    backup_days         = number
    deletion_protection = bool
    final_snapshot      = bool
  })
}

variable "vpc_id" {
  type = string
}

variable "subnet_ids" {
  description = "Subnets without a way out, in two zones or more"
  type        = list(string)
}

variable "node_security_group_id" {
  description = "Who alone may connect"
  type        = string
}

variable "log_retention_days" {
  type = number
}

variable "key_arn" {
  type = string
}
