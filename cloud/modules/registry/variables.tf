variable "name" {
  description = "Before each repository's name: project and environment"
  type        = string
}

variable "images" {
  description = "Names of the images, such as holdfast/service"
  type        = set(string)
}

variable "keep" {
  description = "How many tagged images stay: more than can ever be rolled back to"
  type        = number
  default     = 200
}

variable "force_delete" {
  description = "Whether a repository that holds images can be destroyed"
  type        = bool
}

variable "key_arn" {
  type = string
}
