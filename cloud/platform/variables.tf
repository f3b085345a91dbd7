variable "project" {
  description = "Begins the name of everything"
  type        = string
  default     = "holdfast"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,18}[a-z0-9]$", var.project))
    error_message = "project is '${var.project}', but names begin with it: give 3 to 20 small letters, digits and hyphens."
  }
}

variable "environment" {
  type = string

  validation {
    condition     = contains(["dev", "staging", "prod"], var.environment)
    error_message = "environment is '${var.environment}'. There are dev, staging and prod."
  }
}

variable "region" {
  type    = string
  default = "us-east-2"

  validation {
    condition     = can(regex("^(af|ap|ca|eu|il|me|mx|sa|us)-[a-z]+-\\d$", var.region))
    error_message = "region is '${var.region}'. Give a commercial region such as us-east-2: ARNs of China and GovCloud begin otherwise."
  }
}

variable "account_id" {
  description = "The account that this environment belongs to; credentials of another are refused"
  type        = string
  default     = null

  validation {
    condition     = var.account_id == null || can(regex("^\\d{12}$", var.account_id))
    error_message = "account_id is no account: give its 12 digits."
  }
}

variable "owner" {
  description = "Whom to ask before something is deleted: a tag"
  type        = string

  validation {
    condition     = can(regex("^[\\w .:/=+@-]{1,128}$", var.owner))
    error_message = "owner is '${var.owner}'. Give a name or an address that AWS takes as a tag."
  }
}

variable "repository" {
  description = "Where this comes from: a tag"
  type        = string
  default     = "holdfast"

  validation {
    condition     = can(regex("^[\\w .:/=+@-]{1,256}$", var.repository))
    error_message = "repository is '${var.repository}'. Give a name or an address that AWS takes as a tag."
  }
}

variable "commit" {
  description = "The last commit that changed cloud/: a tag. That of HEAD would change every resource with every commit"
  type        = string
  default     = "unknown"

  validation {
    condition     = can(regex("^(unknown|[0-9a-f]{7,40})$", var.commit))
    error_message = "commit is '${var.commit}'. Give a commit's hash."
  }
}

variable "expires_at" {
  description = "When it may be destroyed: the tag ttl. Keep it from the outputs on the next run, or every resource changes"
  type        = string

  validation {
    condition     = var.expires_at == "never" || can(timeadd(var.expires_at, "0s"))
    error_message = "expires_at is '${var.expires_at}'. Give a time such as 2026-12-01T18:00:00Z, or never."
  }

  validation {
    condition     = var.environment == "dev" || var.expires_at == "never"
    error_message = "expires_at is '${var.expires_at}', but only dev expires. Give never for ${var.environment}."
  }
}

variable "state_bucket" {
  description = "The bucket that holds this state, as cloud/bootstrap made it; goes into the outputs"
  type        = string
}

variable "permissions_boundary_arn" {
  description = "What roles made here can never exceed; cloud/github makes it. Null: no bound"
  type        = string
  default     = null
}

# ── Network ─────────────────────────────────────────────────────────────────────────────────────────────────────────

variable "vpc_cidr" {
  type = string

  validation {
    condition     = can(cidrhost(var.vpc_cidr, 0)) && endswith(var.vpc_cidr, "/16") && try(cidrhost(var.vpc_cidr, 0) == split("/", var.vpc_cidr)[0], false)
    error_message = "vpc_cidr is '${var.vpc_cidr}'. Give a /16 by its first address, such as 10.0.0.0/16."
  }

  validation {
    condition     = can(regex("^(10\\.|172\\.(1[6-9]|2\\d|3[01])\\.|192\\.168\\.)", var.vpc_cidr))
    error_message = "vpc_cidr is '${var.vpc_cidr}', which is public. Give private addresses (RFC 1918)."
  }
}

variable "zone_count" {
  description = "How many availability zones"
  type        = number
  default     = 2

  validation {
    condition     = contains([2, 3], var.zone_count)
    error_message = "zone_count is ${var.zone_count}. EKS and RDS need 2 zones at least, and the addresses are cut for 3 at most."
  }
}

variable "nat_per_zone" {
  description = "A NAT gateway per zone: another 36.50 $ a month each, and a zone's loss takes no other's way out"
  type        = bool
}

variable "endpoint_public_cidrs" {
  description = "Who reaches the Kubernetes API from outside of the VPC; cloud:up gives the caller's own address"
  type        = list(string)

  validation {
    condition     = length(var.endpoint_public_cidrs) > 0
    error_message = "endpoint_public_cidrs is empty, which EKS reads as everyone. Give your own address, such as 203.0.113.7/32."
  }

  validation {
    condition     = alltrue([for cidr in var.endpoint_public_cidrs : can(cidrnetmask(cidr))])
    error_message = "endpoint_public_cidrs is ${jsonencode(var.endpoint_public_cidrs)}. Give IPv4 ranges such as 203.0.113.7/32."
  }

  validation {
    # Two halves of the internet are the internet as well.
    condition     = alltrue([for cidr in var.endpoint_public_cidrs : try(tonumber(split("/", cidr)[1]) >= 16, false)])
    error_message = "endpoint_public_cidrs is ${jsonencode(var.endpoint_public_cidrs)}, which opens the Kubernetes API to more than a /16. Give your own address, such as 203.0.113.7/32."
  }
}

# ── Cluster ─────────────────────────────────────────────────────────────────────────────────────────────────────────

variable "kubernetes_version" {
  type    = string
  default = "1.36"

  validation {
    condition     = contains(keys(local.support), var.kubernetes_version)
    error_message = "kubernetes_version is ${var.kubernetes_version}. support.tf knows ${join(", ", keys(local.support))}: add it there with its addons."
  }
}

variable "admin_arns" {
  description = "IAM roles and users that administer the cluster; none: whoever applies. Name them once more than one does, a workflow for instance, or each takes the right from the other"
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.admin_arns : can(regex("^arn:aws:iam::\\d{12}:(role|user)/.+", arn))])
    error_message = "admin_arns is ${jsonencode(var.admin_arns)}. Give ARNs of IAM roles and users (arn:aws:iam::…:role/…), not of sessions."
  }
}

variable "viewer_arns" {
  description = "IAM roles and users that may look at everything but Secrets: the workflow that plans"
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.viewer_arns : can(regex("^arn:aws:iam::\\d{12}:(role|user)/.+", arn))])
    error_message = "viewer_arns is ${jsonencode(var.viewer_arns)}. Give ARNs of IAM roles and users (arn:aws:iam::…:role/…), not of sessions."
  }

  validation {
    condition     = length(setintersection(var.viewer_arns, var.admin_arns)) == 0
    error_message = "viewer_arns and admin_arns share ${jsonencode(setintersection(var.viewer_arns, var.admin_arns))}. EKS takes each principal once."
  }
}

variable "log_retention_days" {
  type = number

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365], var.log_retention_days)
    error_message = "log_retention_days is ${var.log_retention_days}. CloudWatch takes 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180 and 365."
  }
}

variable "base_nodes" {
  description = "On-Demand nodes, for what must not go away"
  type = object({
    instance_types = list(string)
    min_size       = optional(number, 1)
    max_size       = optional(number, 3)
    desired_size   = optional(number, 2)
    disk_gb        = optional(number, 30)
  })

  validation {
    condition     = var.base_nodes.min_size >= 1 && var.base_nodes.min_size <= var.base_nodes.desired_size && var.base_nodes.desired_size <= var.base_nodes.max_size
    error_message = "base_nodes has ${var.base_nodes.min_size} to ${var.base_nodes.max_size} nodes and wants ${var.base_nodes.desired_size}. Give 1 ≤ min_size ≤ desired_size ≤ max_size."
  }
}

variable "spot_nodes" {
  description = "Spot nodes, for what has more than one pod"
  type = object({
    instance_types = list(string)
    min_size       = optional(number, 0)
    max_size       = optional(number, 3)
    desired_size   = optional(number, 1)
    disk_gb        = optional(number, 30)
  })

  validation {
    condition     = length(distinct(var.spot_nodes.instance_types)) >= 3
    error_message = "spot_nodes has ${length(distinct(var.spot_nodes.instance_types))} instance types. Give three or more of one size: with fewer, one empty pool takes all nodes at once."
  }

  validation {
    condition     = var.spot_nodes.min_size >= 0 && var.spot_nodes.min_size <= var.spot_nodes.desired_size && var.spot_nodes.desired_size <= var.spot_nodes.max_size
    error_message = "spot_nodes has ${var.spot_nodes.min_size} to ${var.spot_nodes.max_size} nodes and wants ${var.spot_nodes.desired_size}. Give 0 ≤ min_size ≤ desired_size ≤ max_size."
  }
}

# ── What stands beside it ───────────────────────────────────────────────────────────────────────────────────────────

variable "images" {
  description = "Images that the project builds itself; a repository each"
  type        = list(string)
  default     = ["holdfast/service", "holdfast/alert-sink"]

  validation {
    condition     = length(var.images) > 0 && alltrue([for image in var.images : can(regex("^[a-z0-9]+([._/-][a-z0-9]+)*$", image))])
    error_message = "images is ${jsonencode(var.images)}. Give names such as holdfast/service, without registry and tag."
  }
}

variable "database" {
  description = "PostgreSQL on RDS; null: none, the service keeps its data in memory or in a database of the cluster"
  type = object({
    instance_class      = string
    storage_gb          = optional(number, 20)
    multi_az            = optional(bool, false)
    backup_days         = optional(number, 7)
    deletion_protection = optional(bool, false)
    final_snapshot      = optional(bool, false)
  })
  default = null

  validation {
    condition     = var.environment != "prod" || var.database == null || try(var.database.deletion_protection && var.database.final_snapshot && var.database.multi_az, false)
    error_message = "database of prod must have deletion_protection, final_snapshot and multi_az: its data outlives whoever destroys it by mistake."
  }

  validation {
    condition     = var.environment == "dev" || var.database == null || try(var.database.final_snapshot, false)
    error_message = "database of ${var.environment} must have final_snapshot: only dev's data may be lost."
  }

  validation {
    condition     = var.database == null || try(var.database.storage_gb >= 20 && var.database.backup_days >= 1 && var.database.backup_days <= 35, false)
    error_message = "database has ${try(var.database.storage_gb, 0)} GB and ${try(var.database.backup_days, 0)} days of backups. RDS wants 20 GB or more, and 1 to 35 days."
  }
}

variable "domain" {
  description = "The public name; null: nothing is public"
  type        = string
  default     = null

  validation {
    condition     = var.domain == null || can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$", var.domain))
    error_message = "domain is no name such as dev.example.org."
  }

  validation {
    condition     = (var.domain == null) == (var.zone_id == null)
    error_message = "domain and zone_id go together: the certificate is proved by a record in that zone of Route 53."
  }
}

variable "zone_id" {
  description = "The hosted zone of Route 53 that holds the domain"
  type        = string
  default     = null
}
