/** What an environment's Terraform tells everything after it. A field that is missing or of another kind is an error, never undefined. */
import { Failure } from '#kit/errors'

/** As `terraform output -json` writes them. */
export type RawOutputs = Readonly<Record<string, { readonly value: unknown; readonly sensitive?: boolean }>>

type Check<T> = (value: unknown) => value is T

const text: Check<string> = (value): value is string => typeof value === 'string' && value !== ''
const count: Check<number> = (value): value is number => Number.isSafeInteger(value)
const listOf =
  <T>(check: Check<T>): Check<readonly T[]> =>
  (value) =>
    Array.isArray(value) && value.every(check)
const mapOf =
  <T>(check: Check<T>): Check<Readonly<Record<string, T>>> =>
  (value): value is Readonly<Record<string, T>> =>
    isObject(value) && Object.values(value).every(check)
const orNull =
  <T>(check: Check<T>): Check<T | null> =>
  (value): value is T | null =>
    value === null || check(value)

type Shape = Readonly<Record<string, Check<unknown>>>
type ObjectOf<S extends Shape> = { readonly [K in keyof S]: S[K] extends Check<infer T> ? T : never }

/** Exactly as HCL names them; what is there besides is left alone. */
const object =
  <S extends Shape>(shape: S): Check<ObjectOf<S>> =>
  (value): value is ObjectOf<S> =>
    isObject(value) && Object.entries(shape).every(([name, check]) => check(value[name]))

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)

const nodeGroup = object({
  /** As EKS knows it. */
  name: text,
  capacity_type: text,
  instance_types: listOf(text),
  min_size: count,
  max_size: count,
  /** What the smallest of its instance types can hold, daemons included. */
  pods_per_node: count,
})

const database = object({
  identifier: text,
  address: text,
  port: count,
  name: text,
  /** The secret of Secrets Manager in which RDS keeps, and rotates, the master user and its password. */
  secret_arn: text,
})

/** The outputs of `cloud/platform`. */
const PLATFORM = {
  account_id: text,
  region: text,
  environment: text,
  /** RFC 3339, or `never`: the `ttl` tag. */
  expires_at: text,
  cluster_name: text,
  cluster_version: text,
  /** A date: when EKS's standard support for that version ends. */
  support_until: text,
  cluster_endpoint: text,
  /** PEM in base64, as a kubeconfig has it. */
  cluster_ca: text,
  cluster_security_group_id: text,
  /** Who may act as cluster administrators: ARNs of IAM roles and users. */
  admin_arns: listOf(text),
  vpc_id: text,
  public_subnet_ids: listOf(text),
  private_subnet_ids: listOf(text),
  database_subnet_ids: listOf(text),
  state_bucket: text,
  key_arn: text,
  /** ECR's address of each repository, by the image's own name. */
  repositories: mapOf(text),
  node_groups: mapOf(nodeGroup),
  /** ARNs of IAM roles by who uses them: nodes, cluster, vpc-cni, ebs-csi, … */
  roles: mapOf(text),
  /** What EKS and the VPC log into; EKS may write its own back after the cluster has gone. */
  log_groups: listOf(text),
  database: orNull(database),
  /** ACM's certificate of the domain; null without one, and then nothing is public. */
  certificate_arn: orNull(text),
} satisfies Shape

/** The outputs of `cloud/bootstrap`. */
const BOOTSTRAP = { account_id: text, region: text, state_bucket: text } satisfies Shape

/** The outputs of `cloud/github`. */
const GITHUB = { plan_role_arn: text, push_role_arn: text, apply_role_arns: mapOf(text), boundary_arn: text } satisfies Shape

export type PlatformOutputs = ObjectOf<typeof PLATFORM>
export type BootstrapOutputs = ObjectOf<typeof BOOTSTRAP>
export type GithubOutputs = ObjectOf<typeof GITHUB>
export type NodeGroupOutput = PlatformOutputs['node_groups'][string]
export type DatabaseOutput = NonNullable<PlatformOutputs['database']>

/** The names that must be there, for a test that compares them with the HCL. */
export const OUTPUT_NAMES = {
  platform: Object.keys(PLATFORM),
  bootstrap: Object.keys(BOOTSTRAP),
  github: Object.keys(GITHUB),
} as const

/** @throws Failure naming each output that is missing or not of its kind. */
export const parsePlatform = (raw: RawOutputs): PlatformOutputs => parse('platform', PLATFORM, raw)
/** @throws Failure naming each output that is missing or not of its kind. */
export const parseBootstrap = (raw: RawOutputs): BootstrapOutputs => parse('bootstrap', BOOTSTRAP, raw)
/** @throws Failure naming each output that is missing or not of its kind. */
export const parseGithub = (raw: RawOutputs): GithubOutputs => parse('github', GITHUB, raw)

function parse<S extends Shape>(what: string, shape: S, raw: RawOutputs): ObjectOf<S> {
  // Terraform leaves out an output that is null.
  const values = Object.fromEntries(Object.keys(shape).map((name) => [name, raw[name]?.value ?? null]))
  const wrong = Object.entries(shape).flatMap(([name, check]) => (check(values[name]) ? [] : [name]))
  if (wrong.length === 0) return values as ObjectOf<S>
  const next = 'Bring the environment up again: a half-made one has not all of them'
  throw new Failure({ what: `Cannot read the outputs of cloud/${what}`, why: `missing or of another kind: ${wrong.join(', ')}`, next })
}
