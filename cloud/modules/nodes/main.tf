# Managed node groups. One is all On-Demand or all Spot, so a mixture is two of them: what must not go away (Argo CD, Prometheus,
# Alertmanager) asks for `base` by its label; the service runs on both. EKS drains a Spot node when AWS wants it back.

data "aws_ec2_instance_type" "this" {
  for_each = toset(flatten([for group in var.groups : group.instance_types]))

  instance_type = each.value
}

locals {
  capacity = {
    for type, it in data.aws_ec2_instance_type.this : type => {
      size = "${it.default_vcpus} vCPU, ${it.memory_size} MiB"
      # With prefix delegation each address but an interface's own stands for 16; two pods use the node's own address. AWS's cap:
      # https://docs.aws.amazon.com/eks/latest/userguide/choosing-instance-type.html
      pods = min(
        it.maximum_network_interfaces * (it.maximum_ipv4_addresses_per_interface - 1) * 16 + 2,
        it.default_vcpus < 30 ? 110 : 250,
      )
    }
  }
  pods_per_node = { for name, group in var.groups : name => min([for type in group.instance_types : local.capacity[type].pods]...) }
}

resource "aws_iam_role" "nodes" {
  name                 = "${var.name}-nodes"
  path                 = var.iam.path
  permissions_boundary = var.iam.permissions_boundary
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ec2.amazonaws.com" }
    }]
  })
}

# The network plugin has a role of its own, so a node may no more than join, and pull images.
resource "aws_iam_role_policy_attachment" "nodes" {
  for_each = {
    join = "arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy"
    pull = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly"
  }

  role       = aws_iam_role.nodes.name
  policy_arn = each.value
}

# Without a rule: it says who is a node. The cluster's own group lets nodes and control plane reach each other.
resource "aws_security_group" "nodes" {
  name        = "${var.name}-nodes"
  description = "Marks nodes, so that others can let them in; opens nothing itself"
  vpc_id      = var.vpc_id
  tags        = { Name = "${var.name}-nodes" }

  timeouts {
    delete = "5m"
  }
}

resource "aws_launch_template" "this" {
  for_each = var.groups

  name                   = "${var.name}-${each.key}"
  update_default_version = true
  vpc_security_group_ids = [var.cluster_security_group_id, aws_security_group.nodes.id]

  # A token is needed, and its answer does not travel further than the node: a pod cannot become its node.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  block_device_mappings {
    device_name = "/dev/xvda"
    ebs {
      volume_type           = "gp3"
      volume_size           = each.value.disk_gb
      encrypted             = true
      delete_on_termination = true
    }
  }

  # The kubelet does not know of prefix delegation and would stop at the addresses of its interfaces.
  user_data = base64encode(<<-EOT
    MIME-Version: 1.0
    Content-Type: multipart/mixed; boundary="//"

    --//
    Content-Type: application/node.eks.aws

    apiVersion: node.eks.aws/v1alpha1
    kind: NodeConfig
    spec:
      kubelet:
        config:
          maxPods: ${local.pods_per_node[each.key]}

    --//--
  EOT
  )

  # The provider's default tags reach the template, not what is launched from it.
  dynamic "tag_specifications" {
    for_each = ["instance", "volume", "network-interface"]
    content {
      resource_type = tag_specifications.value
      tags          = merge(var.tags, { Name = "${var.name}-${each.key}" })
    }
  }
}

resource "aws_eks_node_group" "this" {
  for_each = var.groups

  cluster_name    = var.cluster_name
  node_group_name = each.key
  node_role_arn   = aws_iam_role.nodes.arn
  subnet_ids      = var.subnet_ids
  version         = var.kubernetes_version
  ami_type        = "AL2023_x86_64_STANDARD"
  capacity_type   = each.value.capacity_type
  instance_types  = each.value.instance_types
  labels          = { "holdfast.dev/nodes" = each.key }

  launch_template {
    id      = aws_launch_template.this[each.key].id
    version = aws_launch_template.this[each.key].latest_version
  }

  scaling_config {
    min_size     = each.value.min_size
    max_size     = each.value.max_size
    desired_size = each.value.desired_size
  }

  update_config {
    max_unavailable = 1
  }

  lifecycle {
    # An autoscaler's, from the first day on that there is one.
    ignore_changes = [scaling_config[0].desired_size]

    # An autoscaler, and whoever counts what fits, takes the nodes of a group for alike.
    precondition {
      condition     = length(distinct([for type in each.value.instance_types : local.capacity[type].size])) == 1
      error_message = "The instance types of the group ${each.key} are not of one size: ${join("; ", [for type in each.value.instance_types : "${type} has ${local.capacity[type].size}"])}. Give types with the same vCPUs and memory."
    }
  }

  depends_on = [aws_iam_role_policy_attachment.nodes]
}
