/**
 * The service's core: a Web-standard `fetch(Request) => Response` without a port.
 * Express serves it here; Elysia's `.mount()` or a test can call it as it is.
 */
import { withFaults } from './faults.ts'
import { HttpError, json, type Route } from './http.ts'
import { createMetrics } from './metrics.ts'
import { listProducts } from './products.ts'
import { createHandler, type Handler } from './router.ts'

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
  /** Whether requests may ask for faults. @default false */
  readonly faults?: boolean
}

export interface App extends Handler {
  /** What Prometheus asks, on a port of its own: it is not for users. */
  readonly metrics: Handler
  readonly phase: Phase
  /** Ready for traffic. A draining app stays draining. */
  start(): void
  /** Asks for no more traffic, and still answers what comes. */
  drain(): void
}

const MAX_LIMIT = 100

export function createApp(options: AppOptions = {}): App {
  const { environment = 'development', version = 'unknown', pod = 'local', onError = () => {} } = options
  let phase: Phase = 'starting'
  const routes = [...builtInRoutes(environment, () => phase), ...(options.routes ?? [])]
  const metrics = createMetrics(routes)
  const common = { identity: { 'x-pod': pod, 'x-version': version }, onError }

  return {
    ...createHandler(options.faults ? withFaults(routes) : routes, { ...common, begin: metrics.begin }),
    metrics: createHandler([metrics.route], common),
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
    { method: 'GET', path: '/health', isProbe: true, handle: () => json({ status: 'healthy', environment }) },
    { method: 'GET', path: '/ready', isProbe: true, handle: () => json({ status: phase() }, phase() === 'ready' ? 200 : 503) },
  ]
}

function limitOf(url: URL): number {
  const given = url.searchParams.getAll('limit')
  if (given.length === 0) return MAX_LIMIT
  const [text = ''] = given
  const limit = /^[1-9]\d{0,2}$/.test(text) ? Number(text) : Number.NaN
  if (given.length === 1 && limit <= MAX_LIMIT) return limit
  throw new HttpError(400, `Parameter 'limit' must be one whole number from 1 to ${MAX_LIMIT}`)
}
