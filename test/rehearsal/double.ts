/**
 * One address that is AWS for a rehearsal: EKS and the door of ECR are answered here, all else by moto. What it shows is that our commands
 * speak AWS's language and end in the right state; it says nothing about AWS itself.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { messageOf } from '#kit/errors'
import { type Credentials, checkToken } from './authenticator.ts'
import { EksApi } from './eks-api.ts'
import type { Behind, StoredCluster } from './eks-types.ts'
import { Immutable } from './immutable.ts'
import { mended } from './mended.ts'

export const CREDENTIALS: Credentials = { accessKeyId: 'REHEARSAL', secretAccessKey: 'rehearsal-secret' }
/** What logs in to the registry. */
const LOGIN = Buffer.from('AWS:rehearsal-token').toString('base64')
const LOGIN_HOURS = 12
const OWN_HEADERS = new Set(['host', 'connection', 'content-length', 'transfer-encoding', 'keep-alive', 'content-encoding'])

export interface DoubleOptions {
  readonly region: string
  /** Of `startMoto`, which mends what moto does not know of buckets. */
  readonly motoUrl: string
  /** Host and port of the registry that stands for ECR. */
  readonly registry: string
  readonly behind: Behind
  /** Told of each request to moto once it is answered: EKS itself writes logs, and makes security groups. */
  readonly onForwarded?: (target: string, body: string) => Promise<void>
}

export interface Double extends AsyncDisposable {
  /** For AWS_ENDPOINT_URL. */
  readonly url: string
  readonly eks: EksApi
  /** Answers the API server's question who somebody is, on an address that its container reaches. @returns the URL */
  listenForTokens(cluster: string, host: string): Promise<string>
}

export async function startDouble(options: DoubleOptions): Promise<Double> {
  const eks = new EksApi(options.behind, options.region)
  const place = { ...options, eks, ecr: new Immutable(options.registry) }
  const main = await listen('127.0.0.1', (request, response) => answer(request, response, place))
  const servers = [main]
  return {
    url: urlOf(main),
    eks,
    async listenForTokens(name, host) {
      const server = await listen(host, async (request, response) => {
        const review = JSON.parse((await read(request)).toString()) as TokenReview
        const status = authenticate(eks.clusters.get(name), review.spec.token)
        send(response, 200, { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', status })
      })
      servers.push(server)
      return urlOf(server)
    },
    async [Symbol.asyncDispose]() {
      for (const server of servers) server.closeAllConnections()
      await Promise.all(servers.map((server) => new Promise((done) => server.close(done))))
    },
  }
}

type Handler = (request: IncomingMessage, response: ServerResponse) => Promise<void>

async function listen(host: string, handle: Handler): Promise<Server> {
  const server = createServer((request, response) => {
    handle(request, response).catch((thrown) => {
      if (response.headersSent) response.destroy()
      else send(response, 500, { message: messageOf(thrown) })
    })
  })
  await new Promise<void>((resolve) => server.listen(0, host, resolve))
  return server
}

function urlOf(server: Server): string {
  const { address, port } = server.address() as AddressInfo
  return `http://${address}:${port}`
}

// ── Who somebody is ─────────────────────────────────────────────────────────────────────────────────────────────────

interface TokenReview {
  readonly spec: { readonly token: string }
}

/** What the access policies of EKS come to in Kubernetes. */
const GROUPS: Readonly<Record<string, readonly string[]>> = {
  'arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy': ['system:masters'],
}

function authenticate(cluster: StoredCluster | undefined, token: string): object {
  const refuse = (error: string) => ({ authenticated: false, error })
  if (cluster === undefined) return refuse('there is no such cluster')
  const { problem } = checkToken(token, cluster.name, CREDENTIALS)
  if (problem !== undefined) return refuse(problem)
  const entry = cluster.entries.get(OPERATOR)
  if (entry === undefined) return refuse(`no access entry names ${OPERATOR}`)
  const groups = [...entry.policies.keys()].flatMap((policy) => GROUPS[policy] ?? [])
  return { authenticated: true, user: { username: OPERATOR, uid: OPERATOR, groups } }
}

/** Whom moto takes for anybody who asks. */
export const OPERATOR = 'arn:aws:iam::123456789012:user/operator'

// ── AWS ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

interface Place extends DoubleOptions {
  readonly eks: EksApi
  readonly ecr: Immutable
}

async function answer(request: IncomingMessage, response: ServerResponse, place: Place): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://double')
  const target = String(request.headers['x-amz-target'] ?? '')
  if (url.pathname.startsWith('/v2/')) return toRegistry(request, response, place)
  if (target.endsWith('.GetAuthorizationToken')) return send(response, 200, loginFor(`http://${request.headers.host}`))
  if (serviceOf(request) === 'eks') return toEks(request, response, { url, eks: place.eks })
  return toMoto(request, response, { target, ...place })
}

/** The service that a request was signed for. */
const serviceOf = ({ headers }: IncomingMessage) => /Credential=[^/]+\/\d+\/[^/]+\/([^/]+)\//.exec(headers.authorization ?? '')?.[1]

const loginFor = (proxyEndpoint: string) => ({
  authorizationData: [{ authorizationToken: LOGIN, expiresAt: Date.now() / 1000 + LOGIN_HOURS * 3600, proxyEndpoint }],
})

async function toEks(request: IncomingMessage, response: ServerResponse, { url, eks }: { url: URL; eks: EksApi }): Promise<void> {
  const content = (await read(request)).toString()
  const { status, body } = await eks.answer({
    method: request.method ?? 'GET',
    path: url.pathname.split('/').filter(Boolean).map(decodeURIComponent),
    query: url.searchParams,
    body: content === '' ? {} : JSON.parse(content),
  })
  send(response, status, body)
}

async function toMoto(request: IncomingMessage, response: ServerResponse, place: Place & { target: string }): Promise<void> {
  const body = await read(request)
  const answered = await forward(request, place.motoUrl, body)
  const content = mended(Buffer.from(await answered.arrayBuffer()))
  const callerAnswer = body.includes('GetCallerIdentity')
  const shown = callerAnswer ? Buffer.from(content.toString().replaceAll(/arn:aws:sts::\d+:user\/moto/g, OPERATOR)) : content
  await place.onForwarded?.(place.target, body.toString())
  response.writeHead(answered.status, { ...headersOf(answered), ...(request.method === 'HEAD' ? lengthOf(answered) : {}) })
  response.end(request.method === 'HEAD' ? undefined : shown)
}

async function toRegistry(request: IncomingMessage, response: ServerResponse, { registry, ecr }: Place): Promise<void> {
  if (request.headers.authorization !== `Basic ${LOGIN}`) return send(response, 401, { errors: [{ code: 'UNAUTHORIZED' }] })
  const path = request.url ?? ''
  const listed = ecr.referrers(path)
  if (listed !== undefined) return send(response, 200, listed)
  if (request.method === 'PUT' && path.includes('/manifests/')) return putManifest(request, response, { registry, ecr })
  const answered = await forward(request, `http://${registry}`, Readable.toWeb(request))
  response.writeHead(answered.status, { ...headersOf(answered), ...lengthOf(answered) })
  if (answered.body === null || request.method === 'HEAD') response.end()
  else await pipeline(Readable.fromWeb(answered.body as Parameters<typeof Readable.fromWeb>[0]), response)
}

async function putManifest(request: IncomingMessage, response: ServerResponse, { registry, ecr }: Pick<Place, 'registry' | 'ecr'>) {
  const [path, body] = [request.url ?? '', await read(request)]
  const refusal = await ecr.refusal(path, body)
  if (refusal !== undefined) return send(response, 400, refusal)
  const answered = await forward(request, `http://${registry}`, body)
  response.writeHead(answered.status, { ...headersOf(answered), ...(answered.ok ? ecr.took(path, body) : {}) })
  response.end(Buffer.from(await answered.arrayBuffer()))
}

async function forward(
  request: IncomingMessage,
  to: string,
  body: RequestInit['body'] | ReturnType<typeof Readable.toWeb>,
): Promise<Response> {
  const { method = 'GET', headers } = request
  const isEmpty = method === 'GET' || method === 'HEAD'
  const kept = Object.entries(headers).filter(([name]) => !OWN_HEADERS.has(name)) as [string, string][]
  const length = headers['content-length']
  return fetch(`${to}${request.url}`, {
    method,
    redirect: 'manual',
    headers: { ...Object.fromEntries(kept), ...(isEmpty || length === undefined ? {} : { 'content-length': length }) },
    ...(isEmpty ? {} : { body, duplex: 'half' }),
  } as RequestInit)
}

const headersOf = ({ headers }: Response) => Object.fromEntries([...headers].filter(([name]) => !OWN_HEADERS.has(name)))

function lengthOf({ headers }: Response): Record<string, string> {
  const length = headers.get('content-length')
  return length === null || headers.has('content-encoding') ? {} : { 'content-length': length }
}

async function read(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  return Buffer.concat(chunks)
}

function send(response: ServerResponse, status: number, body: unknown): void {
  const name = status >= 400 && typeof body === 'object' && body !== null && '__type' in body ? String(body.__type) : undefined
  response.writeHead(status, { 'content-type': 'application/json', ...(name === undefined ? {} : { 'x-amzn-errortype': name }) })
  response.end(JSON.stringify(body))
}
