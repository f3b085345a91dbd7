/** What a person asks of a cloud command, checked before anything is looked at or made. */
import { existsSync } from 'node:fs'
import { type Environment, parseEnvironment, type TimingProfile } from '#core'
import { type Explanation, UserError } from '#kit/errors'
import { exec } from '#kit/exec'
import { root } from '#kit/paths'

/** As the commands' flags are named. */
export interface CloudFlags {
  readonly env: string
  readonly region?: string
  readonly allowCidr?: readonly string[]
  readonly ttl?: string
  readonly owner?: string
  readonly repo?: string
  readonly branch?: string
  readonly repoSecret?: string
  readonly domain?: string
  readonly zoneId?: string
  readonly timing?: string
}

export interface CloudRequest {
  readonly environment: Environment
  readonly region: string
  /** Who reaches the API; empty: this machine's own address is asked for. */
  readonly allowCidrs: readonly string[]
  /** How long a new environment lives; undefined keeps what it has. Only dev expires. */
  readonly ttlHours: number | undefined
  readonly owner: string | undefined
  readonly repo: string | undefined
  readonly branch: string | undefined
  readonly repoSecret: string | undefined
  readonly domain: string | undefined
  readonly zoneId: string | undefined
  readonly timing: TimingProfile['name']
}

const DEFAULT_REGION = 'us-east-2'
/** As AWS's own tools read it. */
export const regionHere = () => process.env.AWS_REGION ?? process.env.AWS_DEFAULT_REGION ?? DEFAULT_REGION
/** The largest range that may reach the API. */
const LEAST_PREFIX = 16
const MAX_TTL_HOURS = 24 * 30

/** @throws UserError for the first value that cannot be meant; `what` says what could not be done. */
export function parseCloud(flags: CloudFlags, what: string): CloudRequest {
  const refuse = (why: string, next: string) => new UserError({ what, why, next })
  const { timing = 'production', domain, zoneId } = flags
  if (timing !== 'production' && timing !== 'local') throw refuse(`there is no timing '${timing}'`, 'Known: production, local')
  if ((domain === undefined) !== (zoneId === undefined))
    throw refuse('a domain needs its hosted zone of Route 53, and the other way round', 'Give --domain and --zone-id together')
  return {
    environment: parseEnvironment(flags.env, what),
    region: parseRegion(flags.region ?? regionHere(), what),
    allowCidrs: (flags.allowCidr ?? []).map((cidr) => parseCidr(cidr, what)),
    ttlHours: flags.ttl === undefined ? undefined : parseTtl(flags.ttl, what),
    owner: flags.owner,
    repo: flags.repo,
    branch: flags.branch,
    repoSecret: flags.repoSecret,
    domain,
    zoneId,
    timing,
  }
}

function parseRegion(text: string, what: string): string {
  if (/^(af|ap|ca|eu|il|me|mx|sa|us)-[a-z]+-\d$/.test(text)) return text
  throw new UserError({ what, why: `'${text}' is no commercial region of AWS`, next: `Give one such as --region ${DEFAULT_REGION}` })
}

/** One address, or a range of IPv4 that is no more than somebody's office. */
export function parseCidr(text: string, what: string): string {
  const [, address = '', prefix = '32'] = /^([\d.]+)(?:\/(\d{1,2}))?$/.exec(text) ?? []
  const bytes = address.split('.').map(Number)
  const isAddress = bytes.length === 4 && bytes.every((byte) => byte <= 255)
  const next = 'Give your own address, such as --allow-cidr 203.0.113.7/32'
  if (!isAddress || Number(prefix) > 32) throw new UserError({ what, why: `'${text}' is no address or range of IPv4`, next })
  if (Number(prefix) >= LEAST_PREFIX) return `${address}/${prefix}`
  const whole = Number(prefix) === 0 ? 'the whole internet' : `more than a /${LEAST_PREFIX}`
  throw new UserError({ what, why: `'${text}' lets ${whole} reach the Kubernetes API`, next })
}

function parseTtl(text: string, what: string): number {
  const [, count = '', unit] = /^(\d{1,4})(h|d)$/.exec(text) ?? []
  const hours = Number(count) * (unit === 'd' ? 24 : 1)
  if (count !== '' && hours >= 1 && hours <= MAX_TTL_HOURS) return hours
  throw new UserError({ what, why: `'${text}' is no time to live`, next: 'Give one such as --ttl 12h or --ttl 3d, 30 days at most' })
}

/** The remote that Argo CD reads, and its branch. */
export interface Source {
  readonly repo: string
  readonly branch: string
}

/** As asked, else the user's own `origin` and the branch that they are on. @throws UserError where there is none */
export async function sourceOf({ repo, branch }: CloudRequest, what: string): Promise<Source> {
  const none = (why: string, next: string): Explanation => ({ what, why, next })
  const url = repo ?? (await gitLine('remote', 'get-url', 'origin'))
  if (url === '') throw new UserError(none('the repository has no remote origin for Argo CD to read', 'Name one with --repo <url>'))
  if (!/^(https?:\/\/|ssh:\/\/|[\w.-]+@[\w.-]+:)/.test(url) || existsSync(url))
    throw new UserError(none(`'${url}' is no address that a cluster elsewhere can read`, 'Give --repo https://… or git@…'))
  const name = branch ?? (await gitLine('symbolic-ref', '--quiet', '--short', 'HEAD'))
  if (name === '') throw new UserError(none('no branch is checked out', 'Name one with --branch'))
  return { repo: url, branch: name }
}

async function gitLine(...args: readonly string[]): Promise<string> {
  return (await exec('git', ['-C', root, ...args], { accept: [0, 1, 2, 128] })).stdout.trim()
}
