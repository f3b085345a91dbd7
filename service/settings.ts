/** What the environment says, checked at the door: a typo must stop the process, not surprise it later. */

export interface Settings {
  readonly host: string
  readonly port: number
  readonly metricsHost: string
  readonly metricsPort: number
  readonly environment: string
  readonly version: string
  readonly pod: string
  /** Whether requests may ask for faults. */
  readonly faults: boolean
  /** How long a draining process keeps accepting, while the cluster takes it out of its endpoints. */
  readonly drainMs: number
  /** How long requests in flight may then take before they are cut. */
  readonly stopMs: number
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

export function readSettings(env: Env): Settings {
  const host = word(env, 'HOST', '127.0.0.1')
  return {
    host,
    port: wholeNumber(env, 'PORT', { fallback: 8080, max: MAX_PORT }),
    metricsHost: word(env, 'METRICS_HOST', host),
    metricsPort: wholeNumber(env, 'METRICS_PORT', { fallback: 9464, max: MAX_PORT }),
    environment: word(env, 'ENV', 'development'),
    version: word(env, 'VERSION', 'unknown'),
    pod: word(env, 'HOSTNAME', 'local'),
    faults: isOn(env, 'FAULTS'),
    drainMs: wholeNumber(env, 'DRAIN_MS', { fallback: 0, max: MAX_DRAIN_MS }),
    stopMs: wholeNumber(env, 'STOP_MS', { fallback: 8_000, max: MAX_STOP_MS }),
  }
}

function wholeNumber(env: Env, name: string, { fallback, max }: { fallback: number; max: number }): number {
  const text = env[name] || String(fallback)
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
  if (value <= max) return value
  throw new SettingsError(`Cannot start the service: ${name} is ${JSON.stringify(text)}, expected a whole number from 0 to ${max}`)
}

function isOn(env: Env, name: string): boolean {
  const text = env[name] || 'off'
  if (text === 'on' || text === 'off') return text === 'on'
  throw new SettingsError(`Cannot start the service: ${name} is ${JSON.stringify(text)}, expected on or off`)
}

/** These words are sent as header values and written to logs: plain characters only. */
function word(env: Env, name: string, fallback: string): string {
  const text = env[name] || fallback
  if (/^[\x21-\x7e]{1,128}$/.test(text)) return text
  throw new SettingsError(`Cannot start the service: ${name} is ${JSON.stringify(text)}, expected 1 to 128 ASCII characters without spaces`)
}
