/** Proof and experiment are one type; `kind` only picks the menu. A scenario is data and small functions: it judges nothing. */
import type { KubeObject, ListRef, ObjectRef } from '#kit/kube'
import type { Capability, Cluster, TimingProfile } from './types.ts'

export interface Scenario {
  /** Kebab-case. */
  readonly name: string
  readonly kind: 'proof' | 'chaos'
  /** One sentence: what is done and why it heals. */
  readonly about: string
  readonly needs?: readonly Capability[]
  /** How often the act is repeated within one run. @default 1 */
  readonly repeat?: number
  /** Must hold before the act, and again after the undo. */
  readonly steady: readonly Signal[]
  /** Objects whose every change is recorded while the scenario runs. */
  readonly watches: readonly ListRef[]
  /** Restores what `act` may leave behind. Written into the cluster before acting. */
  undo(context: Context): Promise<Undo>
  /** Does it, once; `round` counts from 0. */
  act(context: Context, round: number): Promise<void>
  /** Evidence, independent of `act`, that the act took effect. */
  readonly bit: Measure
  /** What must become true again, and when. */
  readonly healed: Measure
  /** The limits of each measured time. */
  bounds(timing: TimingProfile): readonly Bound[]
  readonly mutants: readonly Mutant[]
}

export interface Context {
  readonly cluster: Cluster
  readonly timing: TimingProfile
  readonly signal: AbortSignal
}

/** A question to the cluster with a yes or no and what was seen. */
export interface Signal {
  readonly name: string
  look(context: Context): Promise<{ readonly ok: boolean; readonly seen: string }>
}

/**
 * A moment in the record: the first watch event after `since` that matches. Pure, so that an old record can be judged
 * again.
 */
export interface Measure {
  readonly name: string
  /** @param before the objects of `watches` as they were before the act. */
  matches(event: RecordedEvent, before: readonly KubeObject[]): boolean
  /** How long to wait for it in a live run. */
  readonly timeoutMs: number
}

/** A time that must lie between two limits; the upper one is a sum of named parts. */
export interface Bound {
  readonly name: string
  /** The share of all rounds that must keep the upper limit, by nearest rank: 0.95 is the p95. @default 1 */
  readonly share?: number
  /** Faster than this is impossible, so something else was measured. */
  readonly lowerMs: number
  readonly partsMs: Readonly<Record<string, number>>
}

/** Breaks the healer, or the scenario itself: the verdict must go red. */
export interface Mutant {
  readonly name: string
  readonly expect: Exclude<Verdict, 'held' | 'aborted'>
  /** What is broken for the run, and how it is put right. Journalled like an undo. @default nothing */
  break?(context: Context): Promise<{ readonly apply: () => Promise<void>; readonly undo: Undo }>
  /** Leaves the act out. @default false */
  readonly skipAct?: boolean
  /** The state must stay broken for this long. */
  readonly holdMs?: number
}

/** Steps that restore a state; plain data, so that any later command can carry them out. */
export type Undo = readonly UndoStep[]
export type UndoStep =
  /** Where the object is missing; one that is there is left alone. */
  | { readonly op: 'create'; readonly object: KubeObject }
  | { readonly op: 'patch'; readonly ref: ObjectRef; readonly patch: object }
  | { readonly op: 'delete'; readonly ref: ObjectRef }

export type Verdict = 'held' | 'violated' | 'no data' | 'not injected' | 'aborted'

/** Everything that judging needs; a file. */
export interface RunRecord {
  readonly format: 1
  readonly id: string
  readonly scenario: string
  readonly kind: Scenario['kind']
  readonly mutant?: string
  readonly cluster: string
  readonly clusterKind: Cluster['kind']
  readonly timing: TimingProfile['name']
  readonly startedAt: string
  readonly endedAt: string
  readonly versions: Readonly<Record<string, string>>
  readonly steadyBefore: readonly SignalResult[]
  readonly steadyAfter: readonly SignalResult[]
  readonly rounds: readonly Round[]
  /** Why the run stopped early; then it is `aborted`. */
  readonly abortedBy?: string
}

export interface SignalResult {
  readonly name: string
  readonly ok: boolean
  readonly seen: string
}

/** One repetition of the act. */
export interface Round {
  readonly actedAtMs: number
  readonly before: readonly KubeObject[]
  readonly events: readonly RecordedEvent[]
  readonly endedAtMs: number
}

export interface RecordedEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'
  readonly object: KubeObject
  readonly atMs: number
}

/** What a record is worth. */
export interface Judgement {
  readonly verdict: Verdict
  readonly reason: string
  readonly times: readonly MeasuredTime[]
}

export interface MeasuredTime {
  readonly bound: string
  readonly share: number
  readonly lowerMs: number
  readonly upperMs: number
  readonly valuesMs: readonly number[]
}
