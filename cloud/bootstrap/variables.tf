variable "project" {
  type    = string
  default = "holdfast"
}

variable "owner" {
  type = string
}

variable "region" {
  type    = string
  default = "us-east-2"
}

variable "account_id" {
  description = "The account that the bucket belongs to; credentials of another are refused"
  type        = string
  default     = null
}

variable "bucket" {
  description = "Its name, which is unique in all of AWS: cloud:up makes it from project, account and region"
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket))
    error_message = "bucket is '${var.bucket}'. Give 3 to 63 small letters, digits and hyphens."
  }
}

variable "adopt" {
  description = "Whether the bucket is there already: cloud:up asks S3"
  type        = bool
  default     = false
}

variable "keep_days" {
  description = "How long a version of the state stays after it has been replaced"
  type        = number
  default     = 90

  validation {
    condition     = var.keep_days >= 30
    error_message = "keep_days is ${var.keep_days}. Keep old states for 30 days or more: a broken one may be noticed late."
  }
}
