# The cheapest that the whole stack fits into, made to be thrown away: one NAT gateway, no database of AWS.
environment        = "dev"
vpc_cidr           = "10.0.0.0/16"
zone_count         = 2
nat_per_zone       = false
log_retention_days = 7

# 2 vCPU and 8 GiB. A t3.medium holds as many pods, but the kubelet keeps 1.5 of its 4 GiB for that many.
base_nodes = {
  instance_types = ["t3.large"]
}

spot_nodes = {
  instance_types = ["t3.large", "t3a.large", "m5.large", "m6i.large"]
}
