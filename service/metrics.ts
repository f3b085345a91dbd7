/** What Prometheus reads of one app, in a registry of its own. */
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import { methodsOf, type Route, UNKNOWN_ROUTE } from './http.ts'
import type { Exchange } from './router.ts'

export interface Metrics {
  readonly count: (exchange: Exchange) => void
  /** `GET /metrics` */
  readonly route: Route
}

/** Methods are the clients' words, and each label value costs memory. */
const OTHER = 'other'
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', OTHER]
const ROUTE_STATUSES = [200, 400, 500, 503]
const UNKNOWN_STATUSES = [400, 404]
const BUCKETS_S = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

export interface MetricsOptions {
  /** Faults of the pod by name, asked at each scrape. @default no such metric */
  readonly faults?: (() => Readonly<Record<string, boolean>>) | undefined
}

/** What is counted and timed is each exchange. A time ends when the response is there, not when it is sent. */
export function createMetrics(routes: readonly Route[], { faults }: MetricsOptions = {}): Metrics {
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
  if (faults !== undefined) registerFaults(register, faults)

  const counted = routes.filter(({ isProbe = false }) => !isProbe)
  for (const labels of likelyLabels(counted)) requests.inc(labels, 0)
  for (const endpoint of [UNKNOWN_ROUTE, ...counted.map(({ path }) => path)]) latency.zero({ endpoint })

  return {
    count({ method, route, status, ms }) {
      requests.inc({ method: METHODS.includes(method) ? method : OTHER, endpoint: route, status })
      latency.observe({ endpoint: route }, ms / 1000)
    },
    route: {
      method: 'GET',
      path: '/metrics',
      handle: async () => new Response(await register.metrics(), { headers: { 'content-type': register.contentType } }),
    },
  }
}

/** Created at 0 before they occur: `rate()` never sees the first of a series that begins with 1. */
function likelyLabels(routes: readonly Route[]) {
  const places = [...Map.groupBy(routes, ({ path }) => path)].map(([endpoint, own]) => ({ endpoint, allowed: methodsOf(own) }))
  return METHODS.flatMap((method) => [
    ...UNKNOWN_STATUSES.map((status) => ({ method, endpoint: UNKNOWN_ROUTE, status })),
    ...places.flatMap(({ endpoint, allowed }) =>
      (allowed.includes(method) ? ROUTE_STATUSES : [405]).map((status) => ({ method, endpoint, status })),
    ),
  ])
}

function registerFaults(register: Registry, faults: () => Readonly<Record<string, boolean>>): void {
  new Gauge({
    name: 'app_fault_active',
    help: 'Whether a fault of this pod is switched on',
    labelNames: ['fault'],
    registers: [register],
    collect() {
      for (const [fault, isOn] of Object.entries(faults())) this.set({ fault }, isOn ? 1 : 0)
    },
  })
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
