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
  description = "The account that the roles belong to; credentials of another are refused"
  type        = string
  default     = null
}

variable "repository" {
  description = "OWNER/NAME on GitHub"
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$", var.repository))
    error_message = "repository is '${var.repository}'. Give OWNER/NAME, exactly and without a star: whoever matches it becomes these roles."
  }
}

variable "environments" {
  description = "Which environments live in this account; in GitHub each has required reviewers"
  type        = set(string)
  default     = ["dev", "staging", "prod"]

  validation {
    condition     = length(var.environments) > 0 && length(setsubtract(var.environments, ["dev", "staging", "prod"])) == 0
    error_message = "environments is ${jsonencode(var.environments)}. Give some of dev, staging and prod."
  }
}

variable "provider_arn" {
  description = "GitHub's OIDC provider where the account has it: it can be there only once"
  type        = string
  default     = null
}

variable "state_bucket" {
  type = string
}
