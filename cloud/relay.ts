/** ECR as a registry on 127.0.0.1: it adds the credentials, and calls images by their own names. All else speaks to it as to any other. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { GetAuthorizationTokenCommand } from '@aws-sdk/client-ecr'
import { fetch } from 'undici'
import { Failure, messageOf } from '#kit/errors'
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
/** Of the connection between two others, and never passed on. */
const OWN_HEADERS = new Set([
  'host',
  'connection',
  'authorization',
  'content-length',
  'transfer-encoding',
  'content-encoding',
  'keep-alive',
])

/** Listens for as long as the command runs, and holds nothing up. @returns host and port. */
export async function openRelay(options: RelayOptions): Promise<string> {
  const login = createLogin(options.aws)
  const server = createServer((request, response) => {
    relay(request, response, { ...options, login }).catch((thrown) => {
      if (!response.headersSent) response.writeHead(502, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ errors: [{ code: 'UNKNOWN', message: messageOf(thrown) }] }))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  server.unref()
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

function createLogin(aws: Aws): () => Promise<Login> {
  let known: Login | undefined
  return async () => {
    if (known === undefined || known.untilMs < Date.now()) known = await logIn(aws)
    return known
  }
}

async function logIn(aws: Aws): Promise<Login> {
  const { authorizationData: [data] = [] } = await aws.ecr.send(new GetAuthorizationTokenCommand({}))
  if (data?.authorizationToken === undefined || data.proxyEndpoint === undefined)
    throw new Failure({ what: 'Cannot log in to ECR', why: 'it gave no token' })
  const untilMs = (data.expiresAt?.getTime() ?? Date.now()) - MARGIN_MS
  return { endpoint: data.proxyEndpoint, authorization: `Basic ${data.authorizationToken}`, untilMs }
}

interface Relayed extends RelayOptions {
  readonly login: () => Promise<Login>
}

async function relay(request: IncomingMessage, response: ServerResponse, { repositories, login }: Relayed): Promise<void> {
  const { endpoint, authorization } = await login()
  const kept = Object.entries(request.headers).filter(([name]) => !OWN_HEADERS.has(name)) as [string, string][]
  const length = request.headers['content-length']
  const hasBody = request.method !== 'GET' && request.method !== 'HEAD'
  const answer = await fetch(`${endpoint}${inEcr(request.url ?? '', repositories)}`, {
    method: request.method ?? 'GET',
    headers: { ...Object.fromEntries(kept), ...(length === undefined ? {} : { 'content-length': length }), authorization },
    ...(hasBody ? { body: Readable.toWeb(request), duplex: 'half' } : {}),
  })
  const headers = [...answer.headers].filter(([name]) => !OWN_HEADERS.has(name) && name !== 'location')
  const location = answer.headers.get('location')
  response.writeHead(answer.status, {
    ...Object.fromEntries(headers),
    ...lengthOf(answer.headers),
    ...(location === null ? {} : { location: pathOf(location) }),
  })
  if (answer.body === null || request.method === 'HEAD') response.end()
  else await pipeline(Readable.fromWeb(answer.body), response)
}

/** What was decompressed on the way has another length than its header says. */
function lengthOf(headers: { get(name: string): string | null }): Record<string, string> {
  const length = headers.get('content-length')
  return length === null || headers.get('content-encoding') !== null ? {} : { 'content-length': length }
}

/** `/v2/holdfast/service/…` becomes the path of that image's repository; one that is its path already stays. */
export function inEcr(url: string, repositories: Readonly<Record<string, string>>): string {
  const [, name = '', rest = ''] = /^\/v2\/(.+?)(\/(?:manifests|blobs|tags|referrers)\/.*)$/.exec(url) ?? []
  const repository = repositories[name]
  return repository === undefined ? url : `/v2/${repository.slice(repository.indexOf('/') + 1)}${rest}`
}

/** Where an upload goes on: at the same place of ours. */
function pathOf(location: string): string {
  if (!URL.canParse(location)) return location
  const { pathname, search } = new URL(location)
  return `${pathname}${search}`
}
