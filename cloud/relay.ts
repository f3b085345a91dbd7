/** ECR as a registry on 127.0.0.1, which calls images by their own names. */
import { Failure } from '#kit/errors'
import { createLease } from '#kit/limit'
import { openRegistryRelay } from '#kit/registry-relay'
import type { Aws } from './aws.ts'

export interface RelayOptions {
  readonly aws: Aws
  /** ECR's address of each repository, by the image's own name. */
  readonly repositories: Readonly<Record<string, string>>
}

interface Login {
  readonly endpoint: string
  readonly authorization: string
  readonly untilMs: number
}

/** A token lives twelve hours; a command that runs longer gets another one. */
const MARGIN_MS = 300_000

/** Listens for as long as the command runs, and holds nothing up. @returns host and port. */
export async function openRelay({ aws, repositories }: RelayOptions): Promise<string> {
  const login = createLease(() => logIn(aws))
  return openRegistryRelay(async (path) => ({ ...(await login()), path: inEcr(path, repositories) }))
}

async function logIn(aws: Aws): Promise<Login> {
  const { authorizationData: [data] = [] } = await aws.ecr.getAuthorizationToken({})
  if (data?.authorizationToken === undefined || data.proxyEndpoint === undefined)
    throw new Failure({ what: 'Cannot log in to ECR', why: 'it gave no token' })
  const untilMs = (data.expiresAt?.getTime() ?? Date.now()) - MARGIN_MS
  return { endpoint: data.proxyEndpoint, authorization: `Basic ${data.authorizationToken}`, untilMs }
}

/** `/v2/holdfast/service/…` becomes the path of that image's repository; one that is its path already stays. */
export function inEcr(url: string, repositories: Readonly<Record<string, string>>): string {
  const [, name = '', rest = ''] = /^\/v2\/(.+?)(\/(?:manifests|blobs|tags|referrers)\/.*)$/.exec(url) ?? []
  const repository = repositories[name]
  return repository === undefined ? url : `/v2/${repository.slice(repository.indexOf('/') + 1)}${rest}`
}
