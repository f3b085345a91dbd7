/**
 * Proof and experiment are one type; `kind` only picks the menu, and a proof that does harm is on both. A scenario is data and small
 * functions: it says what is done and what must be seen, in order. It judges nothing, and what it says of evidence is pure, so that an
 * old record can be judged again.
 */
import type { KubeObject, ListRef, ObjectRef } from '#kit/kube'
import type { DeployChange } from './delivery.ts'
import type { Environment } from './environments.ts'
import type { LoadGenerator, LoadProfile } from './load.ts'
import type { Capability, Cluster, Digest, GitRemote, ServiceName, TimingProfile } from './types.ts'

export interface Scenario {
  /** Kebab-case. */
  readonly name: string
  readonly kind: 'proof' | 'chaos'
  /** One sentence: what is done and why it heals. */
  readonly about: string
  readonly needs?: readonly Capability[]
  /** Where it can be run. @default the first environment */
  readonly environments?: readonly Environment[]
  /** Services that its evidence comes from: a run that could only end without data is refused. @default none */
  readonly asks?: readonly ServiceName[]
  /** Only run by name or with `--all`: the default set is bounded in time. @default false */
  readonly isExtra?: boolean
  /** How often the steps are repeated within one run. @default 1 */
  readonly repeat?: number
  /** Must hold before the first step, and again after the undo. */
  readonly steady: readonly Signal[]
  /** Objects whose every change is recorded while the scenario runs. */
  readonly watches: readonly ListRef[]
  /** What else is recorded: series, receipts. @default nothing */
  readonly observes?: readonly Observer[]
  /** Restores what the acts may leave behind. Written into the cluster before acting. @default nothing */
  undo?(context: Context): Promise<Undo>
  /** In order. Exactly one `until` is the bite: evidence, independent of the acts, that they took effect. */
  steps(timing: TimingProfile): readonly Step[]
  /** What must be true of a round's whole evidence. @default nothing */
  claims?(timing: TimingProfile): readonly Claim[]
  /** The limits of each measured time. */
  bounds(timing: TimingProfile): readonly Bound[]
  readonly mutants: readonly Mutant[]
  /** What it breaks. The menu of chaos lists every scenario that has it. @default it breaks nothing that anybody uses */
  readonly harm?: Harm
}

/** What an experiment does to what runs, and how far it may go. */
export interface Harm {
  /** What is hit. Where nothing is, nothing is done. */
  targets(context: Context): Promise<readonly ObjectRef[]>
  /** One sentence: how the fault is kept from being healed before its time. */
  readonly held: string
  /** The run ends at once, and is undone, when its users suffer more than this. */
  readonly limit: HarmLimit
  /** Only run by name or with `--all` on the menu of chaos. @default as on its own menu */
  readonly isExtra?: boolean
}

/** More than this share of the requests failed, over so long a time. */
export interface HarmLimit {
  readonly failedShare: number
  readonly forMs: number
}

export interface Context {
  readonly cluster: Cluster
  /** Where it acts. */
  readonly environment: Environment
  readonly timing: TimingProfile
  readonly signal: AbortSignal
  readonly load: LoadGenerator
  /** Opens the remote that Argo CD reads. @param signal ends what is done with it. @default that of the run */
  readonly git: (signal?: AbortSignal) => Promise<GitRemote>
  readonly faults: FaultSwitch
  readonly network: NetworkSwitch
}

/** Takes something off the network, on the side of the nodes: nothing of it changes that Argo CD compares. It ends by itself. */
export interface NetworkSwitch {
  /** One cut at a time. @returns once all of it is cut. @throws Failure where it cannot be, and the signal's reason where it aborts. */
  cut(context: Pick<Context, 'cluster' | 'signal'>, what: NetworkCut): Promise<void>
  /** @returns once all is put back. Safe to run again. */
  mend(cluster: Cluster): Promise<void>
  /** What puts back if its starter cannot any more. */
  undo(cluster: Cluster): Promise<Undo>
}

/** Pods, from everybody; or the registry that the nodes pull through, from them. */
export type NetworkCut = { readonly forMs: number } & ({ readonly pods: readonly ObjectRef[] } | { readonly registry: true })

/** Switches faults of a single pod of the service on. Each ends by itself, whatever becomes of who switched it on. */
export interface FaultSwitch {
  set(cluster: Cluster, pod: string, fault: PodFault): Promise<void>
}

/** At least one fault beside the time that it lasts. */
export interface PodFault {
  readonly forMs: number
  /** Of its answers, 0 to 1. */
  readonly errorShare?: number
  readonly latencyMs?: number
  /** Of one core, 0 to 1. */
  readonly cpuShare?: number
  readonly leakMiBPerS?: number
  readonly hang?: true
  readonly crash?: true
}

/** A question to the cluster with a yes or no and what was seen. */
export interface Signal {
  readonly name: string
  look(context: Context): Promise<{ readonly ok: boolean; readonly seen: string }>
}

/** Writes down, in time order of its own, what no watch tells. */
export interface Observer {
  readonly name: string
  /** Begins to observe. A look that fails is an error to report, not an observation, and it is made again. */
  start(context: Context, tell: Tell): Promise<AsyncDisposable>
}

export interface Tell {
  readonly observed: (value: unknown, atMs: number) => void
  readonly failed: (why: string) => void
}

/** For an act outside of a recorded round: nobody writes down what it tells. */
export const UNTOLD: Tell = { observed() {}, failed() {} }

// ── Steps ───────────────────────────────────────────────────────────────────────────────────────────────────────────

export type Step = Act | StartLoad | Until | Always | Never

/** Does something, once a round; `round` counts from 0. What it is answered it may tell, as a source by its own name. */
export interface Act {
  readonly kind: 'act'
  readonly name: string
  run(context: Context, round: number, tell: Tell): Promise<void>
}

/** Starts load; it is told to the record second by second, and taken away at the end of the round. */
export interface StartLoad {
  readonly kind: 'load'
  readonly name: string
  readonly profile: LoadProfile
  /** What its seconds are told as. Load under a name of its own looks, and is no user that could suffer. @default 'load' */
  readonly source?: string
}

/** Waits for the first event, after the step before, that matches. */
export interface Until {
  readonly kind: 'until'
  readonly name: string
  readonly isBite?: boolean
  /** Whether it may come before the bite, though not before the act: what different watches tell of one moment has no order. @default false */
  readonly mayPrecedeBite?: boolean
  /** How long to wait in a live run. */
  readonly timeoutMs: number
  /** @param before the objects of `watches` as they were before the round. */
  matches(event: RecordedEvent, before: readonly KubeObject[]): boolean
}

/** Every event that it concerns must hold for this long, also the one in force when the time begins. */
export interface Always {
  readonly kind: 'always'
  readonly name: string
  readonly forMs: number
  concerns(event: RecordedEvent): boolean
  holds(event: RecordedEvent): boolean
  /** Fewer events than this show nothing. @default 1 */
  readonly least?: number
}

/** No event may match for this long. */
export interface Never {
  readonly kind: 'never'
  readonly name: string
  readonly forMs: number
  matches(event: RecordedEvent): boolean
}

/** Something that must be true of all the evidence: a total, a share, a list of who took part. */
export interface Claim {
  readonly name: string
  check(evidence: Evidence): ClaimResult
}

export interface Evidence {
  /** In time order. */
  readonly events: readonly RecordedEvent[]
  readonly before: readonly KubeObject[]
  readonly endedAtMs: number
  /** When a step was done; undefined where it was not reached. */
  at(step: string): number | undefined
}

/** What was seen, and what it says: true, false, or too little to tell. */
export interface ClaimResult {
  readonly outcome: 'true' | 'false' | 'no data'
  readonly seen: string
}

/** A time between two steps that must lie between two limits; the upper one is a sum of named parts. */
export interface Bound {
  readonly name: string
  /** Names of steps; by default from the bite to the last step. */
  readonly from?: string
  readonly to?: string
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
  /** Leaves acts and load out. @default false */
  readonly skipAct?: boolean
  /** Replaces steps by name. @default none */
  readonly steps?: (steps: readonly Step[]) => readonly Step[]
  /** Replaces the time that every `until` waits: the state must stay broken for this long. */
  readonly holdMs?: number
}

/** Steps that restore a state; plain data, so that any later command can carry them out. */
export type Undo = readonly UndoStep[]
export type UndoStep =
  /** Where the object is missing; one that is there is left alone. */
  | { readonly op: 'create'; readonly object: KubeObject }
  | { readonly op: 'patch'; readonly ref: ObjectRef; readonly patch: object }
  | { readonly op: 'delete'; readonly ref: ObjectRef }
  /** Starts the machine of a node, where it is down, and waits for the node. */
  | { readonly op: 'start-machine'; readonly node: string }
  /** Writes these files of `deploy`, and tells Argo CD. */
  | ({ readonly op: 'commit' } & DeployChange)

// ── Records ─────────────────────────────────────────────────────────────────────────────────────────────────────────

export type Verdict = 'held' | 'violated' | 'no data' | 'not injected' | 'aborted'

/** Everything that judging needs; a file. */
export interface RunRecord {
  readonly format: 2
  readonly id: string
  readonly scenario: string
  readonly kind: Scenario['kind']
  readonly mutant?: string
  readonly cluster: string
  readonly clusterKind: Cluster['kind']
  readonly environment: Environment
  /** What the workload ran before and after the run; absent where that was not one digest. */
  readonly digest?: Digest
  readonly timing: TimingProfile['name']
  readonly startedAt: string
  readonly endedAt: string
  readonly versions: Readonly<Record<string, string>>
  readonly steadyBefore: readonly SignalResult[]
  readonly steadyAfter: readonly SignalResult[]
  readonly rounds: readonly Round[]
  /** Why the run stopped early; then it is `aborted`. */
  readonly abortedBy?: string
  /** Somebody stopped it: it says nothing, and a series that goes on runs it again. */
  readonly interrupted?: true
  /** The series that it is one of. */
  readonly series?: SeriesMark
}

/** The same run so many times. */
export interface SeriesMark {
  readonly id: string
  readonly of: number
  /** What the workload ran when the series began. */
  readonly digest: Digest
}

export interface SignalResult {
  readonly name: string
  readonly ok: boolean
  readonly seen: string
}

/** One repetition of the steps. */
export interface Round {
  readonly before: readonly KubeObject[]
  readonly events: readonly RecordedEvent[]
  readonly startedAtMs: number
  readonly endedAtMs: number
}

/** All evidence of a round in one form: what was done, what the cluster's watches said, what was observed. */
export type RecordedEvent = Mark | ObjectEvent | Observation

/** A step of ours began (`DONE` once it returned). */
export interface Mark {
  readonly type: 'BEGUN' | 'DONE'
  readonly step: string
  readonly atMs: number
}

export interface ObjectEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'
  readonly object: KubeObject
  readonly atMs: number
}

export interface Observation {
  readonly type: 'OBSERVED' | 'UNOBSERVED'
  readonly source: string
  // biome-ignore lint/suspicious/noExplicitAny: the value's shape is its observer's
  readonly value: any
  readonly atMs: number
}

// ── Judgements ──────────────────────────────────────────────────────────────────────────────────────────────────────

/** What a record is worth. */
export interface Judgement {
  readonly verdict: Verdict
  readonly reason: string
  readonly times: readonly MeasuredTime[]
  /** What each claim saw, of the last round. */
  readonly claims: readonly (ClaimResult & { readonly name: string })[]
}

export interface MeasuredTime {
  readonly bound: string
  readonly share: number
  readonly lowerMs: number
  readonly upperMs: number
  readonly partsMs: Readonly<Record<string, number>>
  readonly valuesMs: readonly number[]
}

/** Whether an event is one of a watched object. */
export function isChange(event: RecordedEvent): event is ObjectEvent {
  return event.type === 'ADDED' || event.type === 'MODIFIED' || event.type === 'DELETED'
}

/** Whether an event shows an object that is there. */
export function isPresent(event: RecordedEvent): event is ObjectEvent {
  return event.type === 'ADDED' || event.type === 'MODIFIED'
}

/** Whether an event is an observation of one source. */
export function isFrom(source: string, event: RecordedEvent): event is Observation {
  return event.type === 'OBSERVED' && event.source === source
}
