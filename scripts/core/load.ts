/** The language of load: what is sent into the cluster, and what came of it. What sends it is a part. */
import type { Undo } from './scenario.ts'
import type { Cluster } from './types.ts'

/** Bounded in rate and time, so that it ends by itself whatever becomes of its starter. */
export interface LoadProfile {
  /** Kebab-case. */
  readonly name: string
  /** One sentence. */
  readonly about: string
  /** One after the other. */
  readonly stages: readonly LoadStage[]
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

/** What one second of one stage brought. */
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
  /** Its exit code; anything but 0 says that it did not measure. */
  readonly exitCode: number
}

export interface RunningLoad extends AsyncDisposable {
  /** Settles when the load has ended by itself. Disposing ends it at once and waits until nothing of it is left. */
  readonly done: Promise<LoadSummary>
}

/** Sends load from inside the cluster. */
export interface LoadGenerator {
  /** Every profile that is known by name. */
  readonly profiles: readonly LoadProfile[]
  /** What removes the load of a profile if its starter cannot any more. */
  undo(profile: LoadProfile): Undo
  /** @returns once it sends; `onSecond` is told every second of every stage, `atMs` being its end. */
  start(profile: LoadProfile, options: LoadOptions): Promise<RunningLoad>
}

export interface LoadOptions {
  readonly cluster: Cluster
  readonly signal: AbortSignal
  readonly onSecond?: (second: LoadSecond, atMs: number) => void
}
