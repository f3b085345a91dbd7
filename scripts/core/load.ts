/** The language of load: what is sent into the cluster, and what came of it. What sends it is a part. */
import { UserError } from '#kit/errors'
import { unknownName } from '#kit/pick'
import type { Environment } from './environments.ts'
import { journal, settle } from './journal.ts'
import type { Context, Undo } from './scenario.ts'
import type { Cluster } from './types.ts'

/** Bounded in rate and time, so that it ends by itself whatever becomes of its starter. */
export interface LoadProfile {
  /** Kebab-case. */
  readonly name: string
  /** One sentence. */
  readonly about: string
  /** One after the other. */
  readonly stages: readonly LoadStage[]
  /** How long the generator remembers the address of a name; 0 asks for it with every request. @default 5 minutes */
  readonly remembersNamesMs?: number
}

/** Requests arrive at a rate, however slowly they are answered: a slow service gets no rest. */
export interface LoadStage {
  /** Kebab-case, unique in its profile. */
  readonly name: string
  readonly forMs: number
  /** Whole requests per second; the stage ends with this rate. */
  readonly ratePerS: number
  /** The stage begins with this rate and changes it evenly. @default ratePerS */
  readonly fromPerS?: number
  /** Which requests, by weight. */
  readonly requests: readonly LoadRequest[]
}

export interface LoadRequest {
  /** @default 1 */
  readonly weight?: number
  /** On the service, with its query. */
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  /** The status that counts as a success. @default 200 */
  readonly expect?: number
}

/** How many requests a profile asks for. */
export function plannedRequests({ stages }: LoadProfile): number {
  const ofStage = ({ ratePerS, fromPerS = ratePerS, forMs }: LoadStage) => (((fromPerS + ratePerS) / 2) * forMs) / 1000
  return Math.round(stages.reduce((sum, stage) => sum + ofStage(stage), 0))
}

/** What one second of one stage brought; one in which no request ended is not told. */
export interface LoadSecond {
  readonly stage: string
  /** Answered or given up within this second. */
  readonly requests: number
  /** Not answered, or with another status than the expected one. */
  readonly failed: number
  /** How many of each status; `0` is no answer. */
  readonly byStatus: Readonly<Record<string, number>>
  /** How many each pod answered, by its `x-pod` header. */
  readonly byPod: Readonly<Record<string, number>>
  /** How many each version answered, by its `x-version` header. */
  readonly byVersion: Readonly<Record<string, number>>
  /** Why requests were not answered, and how many; absent where all were. */
  readonly byError?: Readonly<Record<string, number>>
  readonly p50Ms: number
  readonly p95Ms: number
  readonly maxMs: number
}

/** The whole run, by the generator's own count. */
export interface LoadSummary {
  readonly profile: string
  /** Requests that the profile asks for. */
  readonly planned: number
  readonly requests: number
  /** Requests that it could not send in time: the generator was starved, and what it measured is not the service. */
  readonly dropped: number
  readonly failed: number
  /** Its exit code, or -1 for none; anything but 0 says that it did not measure. */
  readonly exitCode: number
  /** Why it did not measure; absent where it did. */
  readonly problem?: string
}

const LEAST_SENT_SHARE = 0.95
const MOST_DROPPED_SHARE = 0.01

/** Why a run says nothing about the service: the generator was starved, stopped or broken. Undefined where it does say something. */
export function unmeasured({ planned, requests, dropped, exitCode, problem }: LoadSummary): string | undefined {
  if (problem !== undefined || exitCode !== 0) return problem ?? `the generator ended with exit code ${exitCode}`
  if (requests < LEAST_SENT_SHARE * planned || requests === 0) return `only ${requests} of ${planned} requests were sent`
  if (dropped > MOST_DROPPED_SHARE * planned) return `${dropped} of ${planned} requests could not be sent in time`
  return undefined
}

export interface RunningLoad extends AsyncDisposable {
  /**
   * Resolves when the load has ended by itself, or was ended; rejects only where the signal aborts. Disposing ends it at once
   * and waits until nothing of it is left.
   */
  readonly done: Promise<LoadSummary>
}

/** Sends load from inside the cluster. */
export interface LoadGenerator {
  /** Every profile that is known by name. */
  readonly profiles: readonly LoadProfile[]
  /** What removes the load of a profile if its starter cannot any more. */
  undo(profile: LoadProfile): Undo
  /**
   * Removes what is left of an earlier load of that profile, and starts.
   * @returns once it sends; `onSecond` is told the seconds of every stage in order, `atMs` being a second's end.
   * @throws UserError for a profile that is not bounded; Failure where it cannot run, such as a pod without its image.
   */
  start(profile: LoadProfile, options: LoadOptions): Promise<RunningLoad>
}

export interface LoadOptions {
  readonly cluster: Cluster
  /** Where it is sent. @default the first environment */
  readonly environment?: Environment
  readonly signal: AbortSignal
  readonly onSecond?: (second: LoadSecond, atMs: number) => void
}

/** Starts load with its undo journalled first, so that any later command ends what a killed one left. */
export async function startLoad(
  profile: LoadProfile,
  context: Pick<Context, 'cluster' | 'environment' | 'load' | 'signal' | 'git'>,
  onSecond: NonNullable<LoadOptions['onSecond']>,
): Promise<RunningLoad> {
  const { cluster, environment, load, signal } = context
  await using begun = new AsyncDisposableStack()
  const entry = await journal(cluster.kube, `load ${profile.name}`, load.undo(profile))
  begun.defer(() => settle(context, entry))
  const { done } = begun.use(await load.start(profile, { cluster, environment, signal, onSecond }))
  const running = begun.move()
  return { done, [Symbol.asyncDispose]: () => running.disposeAsync() }
}

// ── For a terminal ──────────────────────────────────────────────────────────────────────────────────────────────────

/** @throws UserError with the nearest name for one that is not known. */
export function selectProfile(profiles: readonly LoadProfile[], name = ''): LoadProfile {
  const found = profiles.find((profile) => profile.name === name)
  if (found !== undefined) return found
  const known = profiles.map((profile) => profile.name)
  const what = 'Cannot send load'
  if (name === '') throw new UserError({ what, why: 'no profile is named', next: `Known: ${known.join(', ')}` })
  throw unknownName(name, known, { what, why: `there is no profile '${name}'` })
}

/** One line, such as `12 s  spike  60 requests  0 failed  p95 9 ms  2 pods`. */
export function renderSecond(second: LoadSecond, elapsedMs: number): string {
  const { stage, requests, failed, p95Ms, byPod } = second
  const cells = [
    `${Math.round(elapsedMs / 1000)} s`.padStart(6),
    stage.padEnd(8),
    `${requests} requests`.padStart(13),
    `${failed} failed`.padStart(9),
    `p95 ${p95Ms} ms`.padEnd(11),
    `${Object.keys(byPod).length} pods`,
  ]
  return [...cells, ...(failed === 0 ? [] : [reasons(second)])].join('  ')
}

function reasons({ byStatus, byError = {} }: LoadSecond): string {
  const { 0: _none, ...statuses } = byStatus
  return [...Object.entries(statuses), ...Object.entries(byError)].map(([what, count]) => `${what}: ${count}`).join(', ')
}

/** One line that says what a run was worth. */
export function renderSummary(summary: LoadSummary): string {
  const { profile, planned, requests, dropped, failed } = summary
  const why = unmeasured(summary)
  const verdict = why === undefined ? `${failed === 0 ? '✓' : '✗'} ${profile}` : `✗ ${profile}: not measured: ${why}`
  return `${verdict}: ${requests} of ${planned} requests sent, ${dropped} dropped, ${failed} failed`
}

/** 0 where all was answered as expected, 1 where not, 3 where nothing was measured. */
export function loadExitCode(summary: LoadSummary): number {
  if (unmeasured(summary) !== undefined) return 3
  return summary.failed === 0 ? 0 : 1
}
