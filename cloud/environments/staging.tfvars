# Prod's shape at dev's size: what breaks there must break here first.
environment        = "staging"
expires_at         = "never"
vpc_cidr           = "10.1.0.0/16"
zone_count         = 2
nat_per_zone       = false
log_retention_days = 30

base_nodes = {
  instance_types = ["m6i.large"]
}

spot_nodes = {
  instance_types = ["m6i.large", "m6a.large", "m5.large", "m5a.large"]
}

database = {
  instance_class = "db.t4g.micro"
  final_snapshot = true
}
