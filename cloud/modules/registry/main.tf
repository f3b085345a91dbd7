# A repository per image that the project builds. A tag is the commit it was built from and never moves; what runs is named by digest.

resource "aws_ecr_repository" "this" {
  for_each = var.images

  name                 = "${var.name}/${each.value}"
  image_tag_mutability = "IMMUTABLE"
  force_delete         = var.force_delete

  image_scanning_configuration {
    scan_on_push = true
  }

  encryption_configuration {
    encryption_type = "KMS"
    kms_key         = var.key_arn
  }
}

# Only tagged images are counted: what is attached to an image (a statement, a signature) has no tag, and goes with it.
resource "aws_ecr_lifecycle_policy" "this" {
  for_each = var.images

  repository = aws_ecr_repository.this[each.value].name
  policy = jsonencode({
    rules = [{
      rulePriority = 1
      description  = "Keep the newest ${var.keep}"
      selection = {
        tagStatus      = "tagged"
        tagPatternList = ["*"]
        countType      = "imageCountMoreThan"
        countNumber    = var.keep
      }
      action = { type = "expire" }
    }]
  })
}
