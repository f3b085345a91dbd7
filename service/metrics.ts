/** What Prometheus reads of one app, in a registry of its own. */
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import { methodsOf, type Route } from './http.ts'

export interface Metrics {
  /** A request came in. @returns what counts it once its status is known */
  readonly begin: (method: string, path: string) => (status: number) => void
  /** `GET /metrics` */
  readonly route: Route
}

/** The endpoint of every path without a route: paths are the clients' words, and each label value costs memory. */
const UNKNOWN = 'unknown'
/** Methods are the clients' words too. */
const OTHER = 'other'
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', OTHER]
const ROUTE_STATUSES = [200, 400, 500, 503]
const UNKNOWN_STATUSES = [400, 404]
const BUCKETS_S = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** Counts and times requests to every route but the probes. A time ends when the response is there, not when it is sent. */
export function createMetrics(routes: readonly Route[]): Metrics {
  const register = new Registry()
  const requests = new Counter({
    name: 'app_requests_total',
    help: 'Requests answered, without probes and scrapes',
    labelNames: ['method', 'endpoint', 'status'],
    registers: [register],
  })
  const latency = new Histogram({
    name: 'app_request_latency_seconds',
    help: 'Time from a request to its response, without probes and scrapes',
    labelNames: ['endpoint'],
    buckets: BUCKETS_S,
    registers: [register],
  })
  registerProcess(register)

  const counted = routes.filter(({ isProbe = false }) => !isProbe)
  for (const labels of likelyLabels(counted)) requests.inc(labels, 0)
  for (const endpoint of [UNKNOWN, ...counted.map(({ path }) => path)]) latency.zero({ endpoint })

  const endpointOf = endpoints(routes)
  return {
    begin(method, path) {
      const endpoint = endpointOf(path)
      if (endpoint === undefined) return () => {}
      const startedMs = performance.now()
      return (status) => {
        requests.inc({ method: METHODS.includes(method) ? method : OTHER, endpoint, status })
        latency.observe({ endpoint }, (performance.now() - startedMs) / 1000)
      }
    },
    route: {
      method: 'GET',
      path: '/metrics',
      handle: async () => new Response(await register.metrics(), { headers: { 'content-type': register.contentType } }),
    },
  }
}

/** By path: its route, `unknown`, or undefined for a probe. */
function endpoints(routes: readonly Route[]): (path: string) => string | undefined {
  const known = new Map(routes.map(({ path, isProbe = false }) => [path, isProbe ? undefined : path]))
  return (path) => (known.has(path) ? known.get(path) : UNKNOWN)
}

/** Created at 0 before they occur: `rate()` never sees the first of a series that begins with 1. */
function likelyLabels(routes: readonly Route[]) {
  const places = [...Map.groupBy(routes, ({ path }) => path)].map(([endpoint, own]) => ({ endpoint, allowed: methodsOf(own) }))
  return METHODS.flatMap((method) => [
    ...UNKNOWN_STATUSES.map((status) => ({ method, endpoint: UNKNOWN, status })),
    ...places.flatMap(({ endpoint, allowed }) =>
      (allowed.includes(method) ? ROUTE_STATUSES : [405]).map((status) => ({ method, endpoint, status })),
    ),
  ])
}

/** The process by its standard names. Not prom-client's own set: its timers alone take more CPU than an idle service. */
function registerProcess(register: Registry): void {
  const registers = [register]
  new Counter({
    name: 'process_cpu_seconds_total',
    help: 'CPU time of the process',
    registers,
    collect() {
      const { user, system } = process.cpuUsage()
      this.reset()
      this.inc((user + system) / 1e6)
    },
  })
  new Gauge({
    name: 'process_resident_memory_bytes',
    help: 'Resident memory of the process',
    registers,
    collect() {
      this.set(process.memoryUsage.rss())
    },
  })
  new Gauge({ name: 'process_start_time_seconds', help: 'When the process started, in Unix time', registers }).set(
    Math.round(Date.now() / 1000 - process.uptime()),
  )
}
