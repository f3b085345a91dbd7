# Only the rules that tflint brings: those for AWS are a plugin that no package registry has. Whatever is off has a reason.
plugin "terraform" {
  enabled = true
  preset  = "all"
}

# Names say it; what a name cannot say stands in a comment above it.
rule "terraform_documented_outputs" {
  enabled = false
}
rule "terraform_documented_variables" {
  enabled = false
}

# The roots pin Terraform and the one provider, and lock it by its sums. A module of ours is never used without a root.
rule "terraform_required_version" {
  enabled = false
}
rule "terraform_required_providers" {
  enabled = false
}
