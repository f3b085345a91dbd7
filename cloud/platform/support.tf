# Which versions of Kubernetes this can make, until when EKS supports each at the normal price, and the addons' versions for it.
# Dates: https://endoflife.date/amazon-eks, read on 2026-11-23. Addons: as clusters of these versions had them in 2026-08; before
# raising one: aws eks describe-addon-versions --kubernetes-version <version>. UNVERIFIED on AWS.
locals {
  support = {
    "1.35" = {
      until = "2027-03-27"
      addons = {
        vpc-cni                = "v1.22.4-eksbuild.3"
        kube-proxy             = "v1.35.3-eksbuild.21"
        eks-pod-identity-agent = "v1.3.10-eksbuild.3"
        coredns                = "v1.13.2-eksbuild.21"
        aws-ebs-csi-driver     = "v1.63.1-eksbuild.1"
      }
    }
    "1.36" = {
      until = "2027-08-02"
      addons = {
        vpc-cni                = "v1.22.4-eksbuild.3"
        kube-proxy             = "v1.36.0-eksbuild.21"
        eks-pod-identity-agent = "v1.3.10-eksbuild.3"
        coredns                = "v1.14.3-eksbuild.16"
        aws-ebs-csi-driver     = "v1.63.1-eksbuild.1"
      }
    }
  }
}

# A warning, not an error: a cluster whose support has ended must still be planned, or it could not be upgraded.
check "kubernetes_support" {
  assert {
    condition     = timecmp(timeadd(plantimestamp(), "1440h"), "${local.support[var.kubernetes_version].until}T00:00:00Z") < 0
    error_message = "EKS supports Kubernetes ${var.kubernetes_version} until ${local.support[var.kubernetes_version].until}, 60 days from now or less; after that AWS upgrades the cluster by itself. Raise kubernetes_version."
  }
}
