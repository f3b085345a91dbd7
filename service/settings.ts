/** What the environment says, checked at the door: a typo must stop the process, not surprise it later. */

export interface Settings {
  readonly host: string
  readonly port: number
  readonly metricsHost: string
  readonly metricsPort: number
  readonly environment: string
  readonly version: string
  readonly pod: string
  readonly probesHost: string
  readonly probesPort: number
  /** An event loop that has not had its turn for that long fails the probes on that port. */
  readonly heartbeatLimitMs: number
  /** Whether each request is logged; one that fails always is. */
  readonly logRequests: boolean
  /** Where spans go, by OTLP over HTTP. Without it nothing is traced. */
  readonly tracesUrl?: string
  /** The `service.name` of the spans. */
  readonly serviceName: string
  /** Whether requests may ask for faults, and the metrics port for faults of the whole pod. */
  readonly faults: boolean
  /** How long a draining process keeps accepting, while the cluster takes it out of its endpoints. */
  readonly drainMs: number
  /** How long requests in flight may then take before they are cut. */
  readonly stopMs: number
  /** Where the products are; without it they are in memory. */
  readonly databaseUrl?: string
}

/** A malformed variable: the message is one sentence for the person who set it. */
export class SettingsError extends Error {
  override readonly name = 'SettingsError'
}

type Env = Readonly<Record<string, string | undefined>>

/** The chart holds both together below the time that Kubernetes gives a pod to end. */
const MAX_DRAIN_MS = 20_000
const MAX_STOP_MS = 9_000
const MAX_PORT = 65_535
/** The main thread beats every 250 ms: less than twice that would call a healthy one dead. */
const MIN_HEARTBEAT_LIMIT_MS = 500
const MAX_HEARTBEAT_LIMIT_MS = 60_000

export function readSettings(env: Env): Settings {
  const host = word(env, 'HOST', '127.0.0.1')
  return {
    host,
    port: wholeNumber(env, 'PORT', { fallback: 8080, max: MAX_PORT }),
    metricsHost: word(env, 'METRICS_HOST', host),
    metricsPort: wholeNumber(env, 'METRICS_PORT', { fallback: 9464, max: MAX_PORT }),
    probesHost: word(env, 'PROBES_HOST', host),
    probesPort: wholeNumber(env, 'PROBES_PORT', { fallback: 8081, max: MAX_PORT }),
    heartbeatLimitMs: wholeNumber(env, 'HEARTBEAT_LIMIT_MS', {
      fallback: 10_000,
      min: MIN_HEARTBEAT_LIMIT_MS,
      max: MAX_HEARTBEAT_LIMIT_MS,
    }),
    logRequests: isOn(env, 'LOG_REQUESTS', 'on'),
    serviceName: word(env, 'OTEL_SERVICE_NAME', 'service'),
    environment: word(env, 'ENV', 'development'),
    version: word(env, 'VERSION', 'unknown'),
    pod: word(env, 'HOSTNAME', 'local'),
    faults: isOn(env, 'FAULTS', 'off'),
    drainMs: wholeNumber(env, 'DRAIN_MS', { fallback: 0, max: MAX_DRAIN_MS }),
    stopMs: wholeNumber(env, 'STOP_MS', { fallback: 8_000, max: MAX_STOP_MS }),
    ...databaseIn(env),
    ...tracesIn(env),
  }
}

function wholeNumber(env: Env, name: string, { fallback, min = 0, max }: { fallback: number; min?: number; max: number }): number {
  const text = env[name] || String(fallback)
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
  if (value >= min && value <= max) return value
  throw new SettingsError(`Cannot start the service: ${name} is ${JSON.stringify(text)}, expected a whole number from ${min} to ${max}`)
}

/** Its value holds a password: no error repeats any of it. */
function databaseIn(env: Env): Pick<Settings, 'databaseUrl'> {
  const text = env.DATABASE_URL
  if (!text) return {}
  const { protocol, hostname, username, pathname } = URL.parse(text) ?? {}
  // A slash in a password that is not escaped ends the host: the rest of it would stand in the path.
  const hasParts = hostname && username && /^\/[^/@]+$/.test(pathname ?? '')
  if (hasParts && /^postgres(ql)?:$/.test(protocol ?? '')) return { databaseUrl: text }
  throw new SettingsError(
    'Cannot start the service: DATABASE_URL is not the address of a database, expected postgres://user:password@host:port/database',
  )
}

/** As OpenTelemetry names and reads them: the address of traces as it is, or that of all signals with the path of traces. */
function tracesIn(env: Env): Pick<Settings, 'tracesUrl'> {
  const name = env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT ? 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT' : 'OTEL_EXPORTER_OTLP_ENDPOINT'
  const text = env[name]
  if (!text) return {}
  if (!/^https?:$/.test(URL.parse(text)?.protocol ?? ''))
    throw new SettingsError(
      `Cannot start the service: ${name} is ${JSON.stringify(text)}, expected an address such as http://collector:4318`,
    )
  return { tracesUrl: name === 'OTEL_EXPORTER_OTLP_ENDPOINT' ? `${text.replace(/\/+$/, '')}/v1/traces` : text }
}

function isOn(env: Env, name: string, fallback: 'on' | 'off'): boolean {
  const text = env[name] || fallback
  if (text === 'on' || text === 'off') return text === 'on'
  throw new SettingsError(`Cannot start the service: ${name} is ${JSON.stringify(text)}, expected on or off`)
}

/** These words are sent as header values and written to logs: plain characters only. */
function word(env: Env, name: string, fallback: string): string {
  const text = env[name] || fallback
  if (/^[\x21-\x7e]{1,128}$/.test(text)) return text
  throw new SettingsError(`Cannot start the service: ${name} is ${JSON.stringify(text)}, expected 1 to 128 ASCII characters without spaces`)
}
