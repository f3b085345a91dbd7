/** The way into a registry that `docker login` has opened: what it wrote down is read, and nothing is asked for. */
import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { Failure, UserError } from './errors.ts'
import { createOnce } from './limit.ts'
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
  const once = createOnce<string>()
  return async (path) => {
    const name = /^\/v2\/(.+?)\/(?:manifests|blobs|tags|referrers)\//.exec(path)?.[1] ?? ''
    return { endpoint, path, authorization: await once(name, () => authorize({ endpoint, basic, name })) }
  }
}

interface Asking {
  readonly endpoint: string
  /** User and password, as Docker keeps them. */
  readonly basic: string
  readonly name: string
}

/** As the registry's own challenge asks: https://distribution.github.io/distribution/spec/auth/token/ */
async function authorize({ endpoint, basic, name }: Asking): Promise<string> {
  const { headers } = await fetch(`${endpoint}/v2/`)
  const challenge = headers.get('www-authenticate') ?? ''
  if (!/^bearer /i.test(challenge)) return `Basic ${basic}`
  const { realm = '', service = '' } = Object.fromEntries([...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, value]) => [key, value]))
  const url = new URL(realm)
  url.searchParams.set('service', service)
  url.searchParams.set('scope', `repository:${name}:pull,push`)
  const answer = await fetch(url, { headers: { authorization: `Basic ${basic}` } })
  const { token } = answer.ok ? ((await answer.json()) as { token?: string }) : {}
  if (token === undefined) throw new Failure({ what: `Cannot push to ${endpoint}/${name}`, why: `its login answered ${answer.status}` })
  return `Bearer ${token}`
}
