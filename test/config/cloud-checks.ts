/** What must hold of each environment, whatever else is changed: read-only functions from facts to problems. */
import type { Facts, Resource } from './cloud-fixture.ts'

/** One kind of resource's values, as far as a check looks at them. */
type Values = Readonly<Record<string, never>>
type Check = (facts: Facts) => string[]

const API_CALLER = '203.0.113.7/32'
const AWS = 'arn:aws:iam::aws:policy/'

const of = <V = Values>({ resources }: Facts, ...types: string[]) =>
  resources.filter(({ type }) => types.includes(type)) as readonly (Resource & { readonly values: V })[]

/** Compares what is there with what may be there; both ways, so that an allow-list cannot outlive its reason. */
function compare(found: readonly string[], allowed: readonly string[]): string[] {
  const more = found.filter((each) => !allowed.includes(each)).map((each) => `not allowed: ${each}`)
  const less = allowed.filter((each) => !found.includes(each)).map((each) => `allowed, but not there: ${each}`)
  return [...more, ...less]
}

const unless = (holds: unknown, problem: string): string[] => (holds === true ? [] : [problem])

// ── Who reaches what ────────────────────────────────────────────────────────────────────────────────────────────────

interface Rule {
  readonly ip_protocol?: string
  readonly protocol?: string
  readonly from_port?: number
  readonly to_port?: number
  readonly security_group_id?: string
  readonly referenced_security_group_id?: string | null
  readonly source_security_group_id?: string | null
  readonly cidr_ipv4?: string | null
  readonly cidr_ipv6?: string | null
  readonly cidr_blocks?: readonly string[] | null
  readonly prefix_list_id?: string | null
  readonly type?: string
}

/** Every rule that lets something in, in words: `<who> lets in tcp 5432-5432 from <whom>`. */
export function ingressOf(facts: Facts): string[] {
  const names = new Map(facts.resources.map(({ address, values }) => [values.id, address]))
  const sourceOf = (rule: Rule) => {
    const group = rule.referenced_security_group_id ?? rule.source_security_group_id
    return names.get(group) ?? group ?? rule.cidr_ipv4 ?? rule.cidr_ipv6 ?? rule.cidr_blocks?.join(',') ?? rule.prefix_list_id
  }
  const say = (who: unknown, rule: Rule) =>
    `${who} lets in ${rule.ip_protocol ?? rule.protocol} ${rule.from_port}-${rule.to_port} from ${sourceOf(rule)}`
  const inline = of<{ ingress: readonly Rule[] }>(facts, 'aws_security_group', 'aws_default_security_group').flatMap(
    ({ address, values }) => values.ingress.map((rule) => say(address, rule)),
  )
  const separate = of<Rule>(facts, 'aws_vpc_security_group_ingress_rule', 'aws_security_group_rule')
    .filter(({ values }) => values.type !== 'egress')
    .map(({ values }) => say(names.get(values.security_group_id), values))
  const api = of<{ vpc_config: readonly { public_access_cidrs: readonly string[] }[] }>(facts, 'aws_eks_cluster').flatMap(({ values }) =>
    (values.vpc_config[0]?.public_access_cidrs ?? []).map((cidr) => `the Kubernetes API lets in ${cidr}`),
  )
  return [...inline, ...separate, ...api].sort()
}

const ingress: Check = (facts) => {
  const database = of(facts, 'aws_db_instance').length === 0 ? [] : [DATABASE_RULE]
  return compare(ingressOf(facts), [...database, `the Kubernetes API lets in ${API_CALLER}`])
}

const DATABASE_RULE = 'module.database[0].aws_security_group.this lets in tcp 5432-5432 from module.nodes.aws_security_group.nodes'

interface Database {
  readonly publicly_accessible: boolean
  readonly storage_encrypted: boolean
  readonly manage_master_user_password: boolean
  readonly iam_database_authentication_enabled: boolean
  readonly vpc_security_group_ids: readonly string[]
}

const database: Check = (facts) => {
  const groups = of<{ id: string }>(facts, 'aws_security_group').filter(({ address }) => address.startsWith('module.database'))
  const tables = of<{ id: string }>(facts, 'aws_route_table').filter(({ name }) => name === 'database')
  const routes = of<{ route_table_id: string }>(facts, 'aws_route').filter(({ values }) =>
    tables.some((table) => table.values.id === values.route_table_id),
  )
  return [
    ...unless(routes.length === 0, 'the subnets of the database have a way out'),
    ...of<Database>(facts, 'aws_db_instance').flatMap(({ values }) => [
      ...unless(values.publicly_accessible === false, 'the database is public'),
      ...unless(values.storage_encrypted, 'the database is not encrypted'),
      ...unless(values.manage_master_user_password, "the database's password would stand in the state"),
      ...unless(values.iam_database_authentication_enabled, 'the database knows passwords only'),
      ...compare(
        values.vpc_security_group_ids,
        groups.map((group) => group.values.id),
      ),
    ]),
  ]
}

// ── Who may do what ─────────────────────────────────────────────────────────────────────────────────────────────────

/** AWS's own policies that a role may have attached, by the role's name without project and environment. */
const ATTACHED: Readonly<Record<string, readonly string[]>> = {
  cluster: ['AmazonEKSClusterPolicy'],
  nodes: ['AmazonEKSWorkerNodePolicy', 'AmazonEC2ContainerRegistryPullOnly'],
  'vpc-cni': ['AmazonEKS_CNI_Policy'],
  'ebs-csi': ['service-role/AmazonEBSCSIDriverPolicy'],
}

const attachedPolicies: Check = (facts) => {
  const roles = of<{ name: string; managed_policy_arns: readonly string[] }>(facts, 'aws_iam_role')
  const found = of<{ role: string; policy_arn: string }>(facts, 'aws_iam_role_policy_attachment').map(
    ({ values }) => `${shortName(values.role)}: ${values.policy_arn}`,
  )
  const direct = roles.flatMap(({ values }) => values.managed_policy_arns.map((arn) => `${shortName(values.name)}: ${arn}`))
  const allowed = Object.entries(ATTACHED).flatMap(([role, policies]) => policies.map((policy) => `${role}: ${AWS}${policy}`))
  return compare([...found, ...direct], allowed)
}

const shortName = (role: string) => role.replace(/^holdfast-(dev|staging|prod)-/, '')

interface Statement {
  readonly Sid?: string
  readonly Action: string | readonly string[]
  readonly Resource?: string | readonly string[]
}

/** What may be done to everything must only look, or be bounded by a condition of its statement, which the snapshot shows. */
const ownPolicies: Check = (facts) =>
  of<{ policy: string }>(facts, 'aws_iam_role_policy').flatMap(({ address, values }) =>
    statementsIn(values.policy).flatMap(({ Sid, Action, Resource }) => {
      const actions = [Action].flat()
      const wild = actions.filter((action) => action === '*' || action.endsWith(':*'))
      const looksOnly = actions.every((action) => /^\w+:(Describe|Get|List)/.test(action))
      return [
        ...unless(wild.length === 0, `${address}: '${Sid}' allows ${wild.join(', ')}`),
        ...unless(looksOnly || !wide(Resource), `${address}: '${Sid}' changes any resource`),
      ]
    }),
  )

const wide = (resource: Statement['Resource']) => [resource ?? '*'].flat().includes('*')
const statementsIn = (policy: string) => (JSON.parse(policy) as { Statement: readonly Statement[] }).Statement

/** All policies of ours and who may become which role, for a snapshot. An id, which a mock draws anew each time, is told by its name. */
export function policiesOf(facts: Facts): Record<string, unknown> {
  const names = facts.resources.map(({ address, values }) => [String(values.id), address] as const)
  const ids = [...names, [String(facts.outputs.cluster_security_group_id?.value), 'the group of the cluster'] as const]
  const tidy = (json: string) => JSON.parse(ids.reduce((text, [id, name]) => text.replaceAll(`/${id}"`, `/<${name}>"`), json))
  const trusts = of<{ assume_role_policy: string }>(facts, 'aws_iam_role').map(({ address, values }) => [
    `${address} is trusted by`,
    tidy(values.assume_role_policy),
  ])
  const grants = of<{ policy: string }>(facts, 'aws_iam_role_policy', 'aws_iam_policy', 'aws_kms_key').map(({ address, values }) => [
    address,
    tidy(values.policy),
  ])
  return Object.fromEntries([...trusts, ...grants].sort(([a], [b]) => String(a).localeCompare(String(b))))
}

interface Cluster {
  readonly access_config: readonly { authentication_mode: string; bootstrap_cluster_creator_admin_permissions: boolean }[]
  readonly upgrade_policy: readonly { support_type: string }[]
  readonly encryption_config: readonly { resources: readonly string[] }[]
  readonly vpc_config: readonly { endpoint_private_access: boolean }[]
  readonly enabled_cluster_log_types: readonly string[]
  readonly bootstrap_self_managed_addons: boolean
}

const access: Check = (facts) => {
  const [cluster] = of<Cluster>(facts, 'aws_eks_cluster')
  const config = cluster?.values.access_config[0]
  const entries = of<{ principal_arn: string; policy_arn: string }>(facts, 'aws_eks_access_policy_association')
  const admins = entries.filter(({ values }) => values.policy_arn.endsWith('/AmazonEKSClusterAdminPolicy'))
  const others = entries.filter(({ values }) => !/\/AmazonEKS(ClusterAdmin|View)Policy$/.test(values.policy_arn))
  return [
    ...unless(config?.authentication_mode === 'API', 'the cluster is not opened by access entries alone'),
    ...unless(config?.bootstrap_cluster_creator_admin_permissions === false, 'who makes the cluster stays its administrator'),
    ...compare(
      admins.map(({ values }) => values.principal_arn),
      facts.outputs.admin_arns?.value as string[],
    ),
    ...others.map(({ values }) => `${values.principal_arn} has ${values.policy_arn}`),
  ]
}

// ── How it is set ───────────────────────────────────────────────────────────────────────────────────────────────────

const cluster: Check = (facts) =>
  of<Cluster>(facts, 'aws_eks_cluster').flatMap(({ values }) => [
    ...unless(values.upgrade_policy[0]?.support_type === 'STANDARD', 'the cluster slides into extended support, at six times the price'),
    ...unless(values.encryption_config[0]?.resources.includes('secrets'), 'Secrets of Kubernetes are not encrypted with our key'),
    ...unless(values.vpc_config[0]?.endpoint_private_access, 'nodes reach the API through the internet'),
    ...compare(values.enabled_cluster_log_types, ['api', 'audit', 'authenticator']),
    ...unless(values.bootstrap_self_managed_addons === false, 'EKS installs addons whose versions are not ours'),
  ])

interface Template {
  readonly metadata_options: readonly { http_tokens: string; http_put_response_hop_limit: number }[]
  readonly block_device_mappings: readonly { ebs: readonly { encrypted: string; volume_type: string }[] }[]
  readonly user_data: string
  readonly tag_specifications: readonly { tags: Readonly<Record<string, string>> }[]
}

const nodes: Check = (facts) =>
  of<Template>(facts, 'aws_launch_template').flatMap(({ address, values }) => {
    const [metadata] = values.metadata_options
    const disks = values.block_device_mappings.flatMap(({ ebs }) => ebs)
    const changing = values.tag_specifications.flatMap(({ tags }) => Object.keys(tags)).filter((tag) => /^(ttl|commit)$/.test(tag))
    return [
      ...unless(metadata?.http_tokens === 'required', `${address}: IMDSv1 answers without a token`),
      ...unless(metadata?.http_put_response_hop_limit === 1, `${address}: pods reach the node's credentials`),
      ...unless(disks.length > 0 && disks.every(({ encrypted }) => encrypted === 'true'), `${address}: a disk is not encrypted`),
      ...unless(
        disks.every(({ volume_type: type }) => type === 'gp3'),
        `${address}: a disk is not gp3`,
      ),
      ...unless(/maxPods: \d+/.test(Buffer.from(values.user_data, 'base64').toString()), `${address}: the kubelet counts interfaces`),
      ...unless(changing.length === 0, `${address}: each commit would replace every node`),
    ]
  })

interface Addon {
  readonly addon_name: string
  readonly addon_version: string
  readonly configuration_values: string
}

/** Pinned to a build, and in an order in which a node can become Ready. */
const addons: Check = (facts) => {
  const found = of<Addon>(facts, 'aws_eks_addon')
  const groups = of(facts, 'aws_eks_node_group')
  const before = ['vpc_cni', 'kube_proxy', 'pod_identity_agent'].map((name) => `module.cluster.aws_eks_addon.${name}`)
  const cni = found.find(({ values }) => values.addon_name === 'vpc-cni')?.values.configuration_values ?? ''
  const late = found.filter(({ address }) => address.startsWith('module.nodes'))
  return [
    ...compare(
      found.map(({ values }) => values.addon_name),
      ['vpc-cni', 'kube-proxy', 'eks-pod-identity-agent', 'coredns', 'aws-ebs-csi-driver'],
    ),
    ...found.flatMap(({ values }) =>
      unless(/^v\d+\.\d+\.\d+-eksbuild\.\d+$/.test(values.addon_version), `${values.addon_name} is not pinned to a build`),
    ),
    ...unless(/"enableNetworkPolicy":"true"/.test(cni), 'NetworkPolicies are not enforced'),
    ...unless(/"ENABLE_PREFIX_DELEGATION":"true"/.test(cni), 'nodes hold as many pods as they have addresses'),
    ...groups.flatMap((group) =>
      before.flatMap((addon) => unless(group.depends_on?.includes(addon), `${group.address} does not wait for ${addon}`)),
    ),
    ...late.flatMap((addon) =>
      unless(addon.depends_on?.includes('module.nodes.aws_eks_node_group.this'), `${addon.address} does not wait for nodes`),
    ),
  ]
}

const encryption: Check = (facts) => [
  ...of<{ kms_key_id: string | null; retention_in_days: number | null; name: string }>(facts, 'aws_cloudwatch_log_group').flatMap(
    ({ values }) => [
      ...unless(/^arn:aws:kms:/.test(values.kms_key_id ?? ''), `${values.name} is not encrypted with our key`),
      ...unless((values.retention_in_days ?? 0) > 0, `${values.name} is kept for ever`),
    ],
  ),
  ...of<{ enable_key_rotation: boolean }>(facts, 'aws_kms_key').flatMap(({ values }) =>
    unless(values.enable_key_rotation, 'the key is never rotated'),
  ),
]

interface Repository {
  readonly image_tag_mutability: string
  readonly image_scanning_configuration: readonly { scan_on_push: boolean }[]
  readonly force_delete: boolean
}

const images: Check = (facts) =>
  of<Repository>(facts, 'aws_ecr_repository').flatMap(({ address, values }) => [
    ...unless(values.image_tag_mutability === 'IMMUTABLE', `${address}: a tag can be moved`),
    ...unless(values.image_scanning_configuration[0]?.scan_on_push, `${address}: nothing is scanned`),
    ...unless(values.force_delete === (facts.outputs.environment?.value === 'dev'), `${address}: only dev's images may go with it`),
  ])

const network: Check = (facts) => [
  ...of<{ map_public_ip_on_launch: boolean }>(facts, 'aws_subnet').flatMap(({ address, values }) =>
    unless(values.map_public_ip_on_launch !== true, `${address} gives away public addresses`),
  ),
  ...unless(of(facts, 'aws_flow_log').length === 1, 'what flows is not logged'),
  ...unless(of(facts, 'aws_default_security_group').length === 1, 'the default security group is not closed'),
]

/** The checks of an environment of the platform, by name. */
export const CHECKS = {
  ingress,
  database,
  attachedPolicies,
  ownPolicies,
  access,
  cluster,
  nodes,
  addons,
  encryption,
  images,
  network,
} satisfies Record<string, Check>

// ── The bucket of the states ────────────────────────────────────────────────────────────────────────────────────────

const bucket: Check = (facts) => {
  const [versioning] = of<{ versioning_configuration: readonly { status: string }[] }>(facts, 'aws_s3_bucket_versioning')
  const [sse] = of<{ rule: readonly { apply_server_side_encryption_by_default: readonly { sse_algorithm: string }[] }[] }>(
    facts,
    'aws_s3_bucket_server_side_encryption_configuration',
  )
  const [block] = of<Record<string, boolean>>(facts, 'aws_s3_bucket_public_access_block')
  const [policy] = of<{ policy: string }>(facts, 'aws_s3_bucket_policy')
  const switches = ['block_public_acls', 'block_public_policy', 'ignore_public_acls', 'restrict_public_buckets']
  return [
    ...unless(versioning?.values.versioning_configuration[0]?.status === 'Enabled', 'a broken state cannot be taken back'),
    ...unless(
      sse?.values.rule[0]?.apply_server_side_encryption_by_default[0]?.sse_algorithm === 'aws:kms',
      'states are not encrypted by KMS',
    ),
    ...unless(
      switches.every((each) => block?.values[each] === true),
      'the bucket can be made public',
    ),
    ...unless(
      /"Deny".*"aws:SecureTransport":"false"|"aws:SecureTransport":"false".*"Deny"/.test(policy?.values.policy ?? ''),
      'states travel without TLS',
    ),
    ...unless(of(facts, 'aws_s3_bucket_lifecycle_configuration').length === 1, 'old states are kept for ever'),
  ]
}

// ── GitHub's workflows ──────────────────────────────────────────────────────────────────────────────────────────────

/** Each role hears exactly one kind of run of one repository, for AWS alone. */
const subjects: Check = (facts) => {
  const runs = ['environment:dev', 'environment:prod', 'environment:staging', 'pull_request', 'ref:refs/heads/main']
  const trusts = of<{ assume_role_policy: string }>(facts, 'aws_iam_role').map(({ values }) => values.assume_role_policy)
  return [
    ...compare(
      trusts.map((trust) => /"StringEquals":.*"token\.actions\.githubusercontent\.com:sub":"([^"]+)"/.exec(trust)?.[1] ?? 'anyone'),
      runs.map((run) => `repo:example/shop:${run}`),
    ),
    ...trusts
      .filter((trust) => !trust.includes('"token.actions.githubusercontent.com:aud":"sts.amazonaws.com"'))
      .map(() => "a token that was not made for AWS opens a workflow's role"),
  ]
}

/** A role that is made without the boundary may whatever is written into it. */
const boundary: Check = (facts) =>
  of<{ policy: string }>(facts, 'aws_iam_policy')
    .filter(({ name }) => name === 'apply')
    .flatMap(({ address, values }) =>
      statementsIn(values.policy).flatMap((statement) => {
        const makes = [statement.Action].flat().some((action) => /^iam:(CreateRole|PutRolePolicy)$/.test(action))
        return unless(!makes || JSON.stringify(statement).includes('iam:PermissionsBoundary'), `${address} makes roles without a bound`)
      }),
    )

/** A digest comes to the environments after dev by a promotion alone. */
const pushes: Check = (facts) => {
  const own = of<{ policy: string }>(facts, 'aws_iam_role_policy').filter(({ name }) => name === 'push')
  const places = own.flatMap(({ values }) =>
    statementsIn(values.policy).flatMap((statement) =>
      [statement.Action].flat().includes('ecr:PutImage') ? [statement.Resource].flat() : [],
    ),
  )
  return compare(
    places.map((place) => `a workflow pushes to ${place}`),
    ['a workflow pushes to arn:aws:ecr:us-east-2:111122223333:repository/holdfast-dev/*'],
  )
}

export const GITHUB_CHECKS = { subjects, pushes, boundary } satisfies Record<string, Check>
export const BUCKET_CHECKS = { bucket } satisfies Record<string, Check>
