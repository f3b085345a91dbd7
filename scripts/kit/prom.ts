/** Prometheus' HTTP API, typed: https://prometheus.io/docs/prometheus/latest/querying/api/ */
import { Failure, messageOf } from './errors.ts'

/** Asks one Prometheus: the path below its address. */
export type AskProm = (path: string, init?: RequestInit) => Promise<Response>

export type Labels = Readonly<Record<string, string>>

/** A value of a series at a moment. */
export interface Sample {
  readonly labels: Labels
  readonly value: number
  readonly atMs: number
}

export interface PromTarget {
  readonly labels: Labels
  readonly scrapePool: string
  readonly scrapeUrl: string
  readonly health: 'up' | 'down' | 'unknown'
  readonly lastError: string
}

export interface PromAlert {
  readonly labels: Labels
  readonly annotations: Labels
  readonly state: 'pending' | 'firing'
  readonly activeAt: string
}

export interface PromRuleGroup {
  readonly name: string
  /** Seconds. */
  readonly interval: number
  readonly lastEvaluation: string
  readonly rules: readonly {
    readonly name: string
    readonly query: string
    readonly type: 'alerting' | 'recording'
    readonly state?: string
    readonly labels?: Labels
    readonly annotations?: Labels
    /** Seconds. */
    readonly duration?: number
  }[]
}

const TIMEOUT_MS = 10_000

/** The value of each series now: an instant query. */
export async function promQuery(ask: AskProm, query: string): Promise<Sample[]> {
  const { result } = await call<{ result: { metric: Labels; value: [number, string] }[] }>(ask, 'query', { query })
  return result.map(({ metric, value }) => sample(metric, value))
}

/**
 * Every stored sample of the series that match, with its own time, oldest first: nothing is interpolated, none is left out.
 * @param selector a series selector with a range, such as `up{job="x"}[30s]`
 */
export async function promSamples(ask: AskProm, selector: string): Promise<Sample[]> {
  const { result } = await call<{ result: { metric: Labels; values: [number, string][] }[] }>(ask, 'query', { query: selector })
  return result.flatMap(({ metric, values }) => values.map((value) => sample(metric, value))).toSorted((a, b) => a.atMs - b.atMs)
}

export async function promTargets(ask: AskProm): Promise<PromTarget[]> {
  return (await call<{ activeTargets: PromTarget[] }>(ask, 'targets', { state: 'active' })).activeTargets
}

export async function promAlerts(ask: AskProm): Promise<PromAlert[]> {
  return (await call<{ alerts: PromAlert[] }>(ask, 'alerts')).alerts
}

export async function promRules(ask: AskProm): Promise<PromRuleGroup[]> {
  return (await call<{ groups: PromRuleGroup[] }>(ask, 'rules')).groups
}

/** An expression as Prometheus itself writes it, so that two of them can be compared. */
export async function promFormat(ask: AskProm, query: string): Promise<string> {
  return call<string>(ask, 'format_query', { query })
}

function sample(labels: Labels, [seconds, value]: [number, string]): Sample {
  return { labels, value: Number(value), atMs: Math.round(seconds * 1000) }
}

/** @throws Failure with one sentence when it does not answer, or answers with an error. */
async function call<T>(ask: AskProm, method: string, parameters: Readonly<Record<string, string>> = {}): Promise<T> {
  try {
    const response = await ask(`/api/v1/${method}?${new URLSearchParams(parameters)}`, { signal: AbortSignal.timeout(TIMEOUT_MS) })
    const body = (await response.json()) as { status: string; data: T; error?: string }
    if (body.status === 'success') return body.data
    throw new Error(`it answered ${response.status}: ${body.error ?? 'without a reason'}`)
  } catch (thrown) {
    const cause = thrown instanceof Error && thrown.cause instanceof Error ? thrown.cause : thrown
    throw new Failure({ what: 'Cannot ask Prometheus', why: messageOf(cause), next: 'Look at it with npm run local:status' }, thrown)
  }
}
