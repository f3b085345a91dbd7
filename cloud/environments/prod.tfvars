# Three zones, each with its own way out; a database that survives a zone, and a destroy by mistake.
environment        = "prod"
expires_at         = "never"
vpc_cidr           = "10.2.0.0/16"
zone_count         = 3
nat_per_zone       = true
log_retention_days = 90

base_nodes = {
  instance_types = ["m6i.large"]
  min_size       = 2
  max_size       = 6
  desired_size   = 3
  disk_gb        = 50
}

spot_nodes = {
  instance_types = ["m6i.large", "m6a.large", "m5.large", "m5a.large"]
  max_size       = 6
  desired_size   = 2
  disk_gb        = 50
}

database = {
  instance_class      = "db.t4g.medium"
  storage_gb          = 50
  multi_az            = true
  backup_days         = 14
  deletion_protection = true
  final_snapshot      = true
}
