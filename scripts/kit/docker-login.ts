/** The way into a registry that `docker login` has opened: what it wrote down is read, and nothing is asked for. */
import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { Failure, UserError } from './errors.ts'
import { ask } from './http.ts'
import { createLease } from './limit.ts'
import type { FindPassage } from './registry-relay.ts'

interface DockerConfig {
  readonly auths?: Readonly<Record<string, { readonly auth?: string }>>
}

export async function readDockerConfig(env: NodeJS.ProcessEnv = process.env): Promise<DockerConfig> {
  const path = join(env.DOCKER_CONFIG ?? join(homedir(), '.docker'), 'config.json')
  return readFile(path, 'utf8').then(JSON.parse, () => ({}))
}

/** @throws UserError where `docker login` has left no credential in the file itself */
export async function passageTo(host: string, config?: DockerConfig): Promise<FindPassage> {
  const { auths = {} } = config ?? (await readDockerConfig())
  const basic = auths[host]?.auth
  if (!basic) throw new UserError({ what: `Cannot push to ${host}`, why: 'nobody has logged in to it', next: `Run docker login ${host}` })
  const endpoint = `${/^(127\.0\.0\.1|localhost)(:|$)/.test(host) ? 'http' : 'https'}://${host}`
  const logins = new Map<string, () => Promise<Login>>()
  return async (path) => {
    const name = /^\/v2\/(.+?)\/(?:manifests|blobs|tags|referrers)\//.exec(path)?.[1] ?? ''
    const login = logins.get(name) ?? createLease(() => authorize({ endpoint, basic, name }))
    logins.set(name, login)
    return { endpoint, path, authorization: (await login()).authorization }
  }
}

interface Asking {
  readonly endpoint: string
  /** User and password, as Docker keeps them. */
  readonly basic: string
  readonly name: string
}

interface Login {
  readonly authorization: string
  readonly untilMs: number
}

/** What a token lives where its registry does not say. */
const TOKEN_S = 60
/** Of its time, so that what is asked last is still asked in time. */
const USED_SHARE = 0.8

/** As the registry's own challenge asks: https://distribution.github.io/distribution/spec/auth/token/ */
async function authorize({ endpoint, basic, name }: Asking): Promise<Login> {
  const what = `Cannot log in to ${endpoint} for ${name}`
  const { headers } = await ask(what, `${endpoint}/v2/`, { accept: [401] })
  const challenge = headers.get('www-authenticate') ?? ''
  if (!/^bearer /i.test(challenge)) return { authorization: `Basic ${basic}`, untilMs: Number.POSITIVE_INFINITY }
  const { realm = '', service = '' } = Object.fromEntries([...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, value]) => [key, value]))
  const url = new URL(realm)
  url.searchParams.set('service', service)
  url.searchParams.set('scope', `repository:${name}:pull,push`)
  const askedMs = Date.now()
  const answer = await ask(what, url, { headers: { authorization: `Basic ${basic}` } })
  const { token, expires_in: livesS = TOKEN_S } = (await answer.json()) as { token?: string; expires_in?: number }
  if (token === undefined) throw new Failure({ what, why: `${url.host} gave no token` })
  return { authorization: `Bearer ${token}`, untilMs: askedMs + livesS * 1000 * USED_SHARE }
}
