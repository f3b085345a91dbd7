/**
 * The service's core: a Web-standard `fetch(Request) => Response` without a port.
 * Express serves it here; Elysia's `.mount()` or a test can call it as it is.
 */
import { HttpError, json, type Route, toErrorResponse } from './http.ts'
import { listProducts } from './products.ts'

/** Where a process is in its life; only a ready one wants traffic. */
export type Phase = 'starting' | 'ready' | 'draining'

export interface AppOptions {
  /** @default 'development' */
  readonly environment?: string
  /** Answered as `x-version`. @default 'unknown' */
  readonly version?: string
  /** Answered as `x-pod`. @default 'local' */
  readonly pod?: string
  /** Routes beside the built-in ones. @default none */
  readonly routes?: readonly Route[]
  /** Told about each error that is not an HttpError. @default nobody */
  readonly onError?: (error: unknown, request: Request) => void
}

export interface App {
  readonly fetch: (request: Request) => Promise<Response>
  readonly phase: Phase
  /** Ready for traffic. A draining app stays draining. */
  start(): void
  /** Asks for no more traffic, and still answers what comes. */
  drain(): void
}

const MAX_LIMIT = 100

export function createApp(options: AppOptions = {}): App {
  let phase: Phase = 'starting'
  const routes = [...builtInRoutes(options.environment ?? 'development', () => phase), ...(options.routes ?? [])]
  const table = Map.groupBy(routes, (route) => route.path)
  const identity = { 'x-pod': options.pod ?? 'local', 'x-version': options.version ?? 'unknown' }

  async function fetch(request: Request): Promise<Response> {
    try {
      return await finish(await answer(table, request), request, identity)
    } catch (thrown) {
      if (!(thrown instanceof HttpError)) options.onError?.(thrown, request)
      return finish(toErrorResponse(thrown), request, identity)
    }
  }

  return {
    fetch,
    get phase() {
      return phase
    },
    start() {
      if (phase === 'starting') phase = 'ready'
    },
    drain() {
      phase = 'draining'
    },
  }
}

function builtInRoutes(environment: string, phase: () => Phase): readonly Route[] {
  return [
    { method: 'GET', path: '/api/products', handle: async (_, url) => json(await listProducts(limitOf(url))) },
    { method: 'GET', path: '/health', handle: () => json({ status: 'healthy', environment }) },
    { method: 'GET', path: '/ready', handle: () => json({ status: phase() }, phase() === 'ready' ? 200 : 503) },
  ]
}

async function answer(table: ReadonlyMap<string, readonly Route[]>, request: Request): Promise<Response> {
  const url = new URL(request.url)
  const routes = table.get(url.pathname)
  if (routes === undefined) throw new HttpError(404, 'Not found')
  const method = request.method === 'HEAD' ? 'GET' : request.method
  const route = routes.find((each) => each.method === method)
  if (route !== undefined) return await route.handle(request, url)
  const allow = routes.flatMap((each) => (each.method === 'GET' ? ['GET', 'HEAD'] : [each.method])).join(', ')
  throw new HttpError(405, `Method ${request.method} is not allowed: use ${allow}`, { allow })
}

/** Stamps who answered, and leaves the body out for HEAD. */
async function finish(response: Response, request: Request, identity: Readonly<Record<string, string>>): Promise<Response> {
  const headers = new Headers(response.headers)
  for (const [name, value] of Object.entries(identity)) headers.set(name, value)
  const isHead = request.method === 'HEAD'
  if (isHead) await response.body?.cancel()
  return new Response(isHead ? null : response.body, { status: response.status, headers })
}

function limitOf(url: URL): number {
  const given = url.searchParams.getAll('limit')
  if (given.length === 0) return MAX_LIMIT
  const [text = ''] = given
  const limit = /^[1-9]\d{0,2}$/.test(text) ? Number(text) : Number.NaN
  if (given.length === 1 && limit <= MAX_LIMIT) return limit
  throw new HttpError(400, `Parameter 'limit' must be one whole number from 1 to ${MAX_LIMIT}`)
}
