/**
 * The service's core: a Web-standard `fetch(Request) => Response` without a port.
 * Express serves it here; Elysia's `.mount()` or a test can call it as it is.
 */
import { withFaults } from './faults.ts'
import { HttpError, json, type Route } from './http.ts'
import { createMetrics } from './metrics.ts'
import { createPodFaults, type PodFaultState } from './pod-faults.ts'
import { createHandler, type Exchange, type Handler } from './router.ts'
import { createMemoryStore, type Store } from './store.ts'
import type { Trace } from './trace.ts'

/** Where a process is in its life; only a ready one wants traffic. One that waits would be ready if its database answered. */
export type Phase = 'starting' | 'waiting' | 'ready' | 'draining'

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
  readonly onError?: (error: unknown, request: Request, trace: Trace) => void
  /** Told about each request but the probes', once its response is there. It must not throw. @default nobody */
  readonly onExchange?: (exchange: Exchange) => void
  /** Told when the pod's own faults begin and end. @default nobody */
  readonly onPodFaults?: (state: PodFaultState) => void
  /** Whether requests may ask for faults, and the metrics port for faults of the whole pod. @default false */
  readonly faults?: boolean
  /** Whether traces that begin here are recorded: their `traceparent` says so. @default false */
  readonly isSampled?: boolean
  /** Where the products are. @default in memory */
  readonly store?: Store
}

export interface App extends Handler {
  /** What Prometheus asks, and with faults the pod's switchboard `/faults`, on a port of its own: it is not for users. */
  readonly metrics: Handler
  readonly phase: Phase
  /** Ready for traffic. A draining app stays draining. */
  start(): void
  /** Asks for no more traffic, and still answers what comes. */
  drain(): void
}

const MAX_LIMIT = 100

export function createApp(options: AppOptions = {}): App {
  const { environment = 'development', version = 'unknown', pod = 'local', onError = () => {}, store = createMemoryStore() } = options
  let stage: Exclude<Phase, 'waiting'> = 'starting'
  const phase = () => (stage === 'ready' && !store.isReady() ? 'waiting' : stage)
  const routes = [...builtInRoutes(environment, phase, store), ...(options.routes ?? [])]
  const podFaults = options.faults ? createPodFaults({ onChange: options.onPodFaults }) : undefined
  const metrics = createMetrics(routes, { faults: podFaults?.active })
  const common = { identity: { 'x-pod': pod, 'x-version': version }, onError, isSampled: options.isSampled ?? false }
  const onExchange = (exchange: Exchange) => {
    metrics.count(exchange)
    options.onExchange?.(exchange)
  }

  return {
    ...createHandler(podFaults?.wrap(withFaults(routes)) ?? routes, { ...common, onExchange }),
    metrics: createHandler([metrics.route, ...(podFaults?.routes ?? [])], common),
    get phase() {
      return phase()
    },
    start() {
      if (stage === 'starting') stage = 'ready'
    },
    drain() {
      stage = 'draining'
    },
  }
}

function builtInRoutes(environment: string, phase: () => Phase, store: Store): readonly Route[] {
  return [
    { method: 'GET', path: '/api/products', handle: async (_, url) => json(await store.listProducts(limitOf(url))) },
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
