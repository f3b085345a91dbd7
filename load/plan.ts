/** From a profile to what k6 is told: checked, counted, and bounded before anything is sent. */
import type { LoadProfile, LoadRequest, LoadStage } from '#core'
import { UserError } from '#kit/errors'

/** A request that takes longer counts as not answered. */
export const REQUEST_TIMEOUT_MS = 5_000
/** More is no load but an attack, and the virtual users for it would not fit into the pod. */
const MAX_RATE_PER_S = 100
const MAX_RUN_MS = 3_600_000
/** Load for anyone else would be an attack. */
const NEAR = /^http:\/\/([a-z0-9-]+\.[a-z0-9-]+\.svc\.cluster\.local|127\.0\.0\.1)(:\d+)?$/
/** Room for requests that are slow to be given up. */
const SLACK_MS = 500
const GRACE_S = 2

/** The file that the script reads. */
export interface Plan {
  /** Where the service is: `http://service.dev.svc.cluster.local`. */
  readonly target: string
  readonly timeoutMs: number
  /** k6's own options. */
  readonly options: PlanOptions
  /** By the stage's name, which is also k6's name of its scenario. */
  readonly stages: Readonly<Record<string, readonly PlannedRequest[]>>
}

export interface PlanOptions {
  readonly noConnectionReuse: boolean
  readonly discardResponseBodies: boolean
  readonly maxRedirects: number
  readonly systemTags: readonly string[]
  readonly dns?: { readonly ttl: string }
  readonly scenarios: Readonly<Record<string, K6Scenario>>
}

export interface PlannedRequest {
  /** With its query. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly expect: number
  /** Its share and those before it: the last one has 1. */
  readonly upTo: number
}

/** An executor of k6 with its settings. */
export type K6Scenario = {
  readonly startTime: string
  readonly gracefulStop: string
  readonly timeUnit: '1s'
  readonly preAllocatedVUs: number
  readonly maxVUs: number
} & (
  | { readonly executor: 'constant-arrival-rate'; readonly rate: number; readonly duration: string }
  | {
      readonly executor: 'ramping-arrival-rate'
      readonly startRate: number
      readonly stages: readonly { readonly target: number; readonly duration: string }[]
    }
)

/** @throws UserError for a profile that k6 would refuse or that is not bounded, and for a target outside the cluster. */
export function planOf(profile: LoadProfile, target: string): Plan {
  check(profile)
  if (!NEAR.test(target)) throw new UserError({ what: 'Cannot send load', why: `'${target}' is not a service of the cluster` })
  const scenarios = profile.stages.map((stage, i) => [stage.name, scenarioOf(stage, durationMs(profile.stages.slice(0, i)))] as const)
  return {
    target,
    timeoutMs: REQUEST_TIMEOUT_MS,
    options: {
      // A connection stays with its pod: only new ones reach pods that came later.
      noConnectionReuse: true,
      discardResponseBodies: true,
      maxRedirects: 0,
      // Its own measures are not read, and each tag costs.
      systemTags: ['scenario'],
      ...(profile.remembersNamesMs === undefined ? {} : { dns: { ttl: `${profile.remembersNamesMs}ms` } }),
      scenarios: Object.fromEntries(scenarios),
    },
    stages: Object.fromEntries(profile.stages.map(({ name, requests }) => [name, sharesOf(requests)])),
  }
}

/** How long a profile sends. */
export function durationMs(stages: readonly LoadStage[]): number {
  return stages.reduce((sum, { forMs }) => sum + forMs, 0)
}

function scenarioOf({ forMs, ratePerS, fromPerS = ratePerS }: LoadStage, afterMs: number): K6Scenario {
  // All of them from the start: a new one costs time just when the service is slow, and would distort what is measured.
  const users = Math.ceil((Math.max(fromPerS, ratePerS) * (REQUEST_TIMEOUT_MS + SLACK_MS)) / 1000) + 1
  const common = {
    startTime: `${afterMs}ms`,
    gracefulStop: `${REQUEST_TIMEOUT_MS / 1000 + GRACE_S}s`,
    timeUnit: '1s',
    preAllocatedVUs: users,
    maxVUs: users,
  } as const
  const duration = `${forMs}ms`
  if (fromPerS === ratePerS) return { ...common, executor: 'constant-arrival-rate', rate: ratePerS, duration }
  return { ...common, executor: 'ramping-arrival-rate', startRate: fromPerS, stages: [{ target: ratePerS, duration }] }
}

function sharesOf(requests: readonly LoadRequest[]): PlannedRequest[] {
  const total = weightOf(requests)
  return requests.map(({ path, headers = {}, expect = 200 }, i) => ({
    path,
    headers,
    expect,
    upTo: i === requests.length - 1 ? 1 : weightOf(requests.slice(0, i + 1)) / total,
  }))
}

const weightOf = (requests: readonly LoadRequest[]) => requests.reduce((sum, { weight = 1 }) => sum + weight, 0)

// ── Checks ──────────────────────────────────────────────────────────────────────────────────────────────────────────

const KEBAB = /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/
const MAX_NAME = 40
const isName = (name: string) => KEBAB.test(name) && name.length <= MAX_NAME
const isWhole = (value: number, min: number, max: number) => Number.isInteger(value) && value >= min && value <= max

function check(profile: LoadProfile): void {
  const problem = problemOf(profile)
  if (problem !== undefined) throw new UserError({ what: `Cannot use the load profile '${profile.name}'`, why: problem })
}

function problemOf({ name, stages }: LoadProfile): string | undefined {
  if (!isName(name)) return `its name is not kebab-case of at most ${MAX_NAME} characters`
  if (stages.length === 0) return 'it has no stage'
  const names = stages.map((stage) => stage.name)
  if (new Set(names).size < names.length) return `two of its stages have one name: ${names.join(', ')}`
  if (durationMs(stages) > MAX_RUN_MS) return `it runs for ${durationMs(stages)} ms, longer than ${MAX_RUN_MS} ms`
  const problems = stages.map((stage) => ({ stage, problem: stageProblem(stage) ?? requestsProblem(stage) }))
  const bad = problems.find(({ problem }) => problem !== undefined)
  return bad === undefined ? undefined : `stage '${bad.stage.name}' ${bad.problem}`
}

function stageProblem({ name, forMs, ratePerS, fromPerS = ratePerS }: LoadStage): string | undefined {
  if (!isName(name)) return `has a name that is not kebab-case of at most ${MAX_NAME} characters`
  if (!isWhole(forMs, 1000, MAX_RUN_MS)) return `lasts ${forMs} ms: expected at least 1000`
  if (!isWhole(ratePerS, 1, MAX_RATE_PER_S)) return `has a rate of ${ratePerS}: expected whole requests per second, 1 to ${MAX_RATE_PER_S}`
  if (!isWhole(fromPerS, 1, MAX_RATE_PER_S)) return `begins at ${fromPerS}: expected whole requests per second, 1 to ${MAX_RATE_PER_S}`
  return undefined
}

function requestsProblem({ requests }: LoadStage): string | undefined {
  if (requests.length === 0) return 'has no request'
  return requests.map(requestProblem).find((problem) => problem !== undefined)
}

function requestProblem({ path, weight = 1, expect = 200 }: LoadRequest): string | undefined {
  // A path that begins with two slashes, or none, would change the host.
  if (!/^\/(?!\/)\S*$/.test(path)) return `asks for '${path}': a path begins with one slash and has no space`
  if (!(weight > 0 && Number.isFinite(weight))) return `gives '${path}' the weight ${weight}: expected more than 0`
  if (!isWhole(expect, 200, 599)) return `expects the status ${expect} of '${path}'`
  return undefined
}
