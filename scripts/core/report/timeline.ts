/** A round as a story in time: what was done, what was seen of it, and when. From the record alone. */
import { LOAD_SOURCE, summaryOf } from '../evidence.ts'
import { endsOf, sumMs } from '../judge.ts'
import { type Bound, isFrom, type Judgement, type Mark, type Round, type Scenario, type Step } from '../scenario.ts'
import type { TimingProfile } from '../types.ts'
import { stepsOf, type Walk, walk } from '../walk.ts'
import type { Lane } from './lane.ts'
import { lanesOf } from './lanes.ts'

/** All times are milliseconds from the act: what was done last before the bite, or the load where nothing else was. */
export interface Timeline {
  /** Which round is shown, from 0. */
  readonly round: number
  readonly startedAtMs: number
  /** Before 0 what came before the act. */
  readonly fromMs: number
  /** The end of the round: nothing is known after it. */
  readonly endMs: number
  /** The end of the axis: an upper limit may lie after the round. */
  readonly toMs: number
  readonly steps: readonly StepSpan[]
  readonly bounds: readonly BoundSpan[]
  readonly act: ActSpan
  readonly lanes: readonly Lane[]
}

export interface StepSpan {
  readonly name: string
  readonly kind: Step['kind']
  readonly isBite: boolean
  readonly outcome: 'done' | 'missed' | 'not reached'
  /** Where it was waited for, or done; both the same for a step that was not reached. */
  readonly fromMs: number
  readonly toMs: number
}

/** Where on the timeline a measured time may end, and where it did. */
export interface BoundSpan {
  readonly name: string
  readonly fromMs: number
  readonly lowerMs: number
  readonly upperMs: number
  readonly partsMs: Readonly<Record<string, number>>
  /** How long it took; undefined where it did not come to its end. */
  readonly valueMs?: number
}

/** From the act over its bite to the end of the last measured time, all of which must have come to theirs. */
export interface ActSpan {
  readonly name: string
  readonly bittenMs?: number
  readonly healedMs?: number
}

export interface TimelineOptions {
  readonly scenario: Scenario
  readonly timing: TimingProfile
  readonly mutant?: string | undefined
}

/** The round of a run that shows most: the one that stopped, else the one that came closest to its bounds. */
export function tellingRound(rounds: readonly Round[], { times }: Judgement, { scenario, timing, mutant }: TimelineOptions): number {
  const steps = stepsOf(scenario, timing, mutant)
  const stopped = rounds.findIndex((round) => walk(steps, round).stop !== undefined)
  if (stopped >= 0) return stopped
  const used = rounds.map((_, i) => Math.max(0, ...times.map(({ valuesMs, upperMs }) => (valuesMs[i] ?? 0) / upperMs)))
  return Math.max(0, used.indexOf(Math.max(...used)))
}

/** The story of one round. */
export function timelineOf(round: Round, index: number, { scenario, timing, mutant }: TimelineOptions): Timeline {
  const steps = stepsOf(scenario, timing, mutant)
  const path = walk(steps, round)
  const zeroAtMs = zeroOf(steps, round)
  const since = (atMs: number) => atMs - zeroAtMs
  const spans = spansOf(steps, path, round).map((span) => ({ ...span, fromMs: since(span.fromMs), toMs: since(span.toMs) }))
  const bounds = scenario.bounds(timing).flatMap((bound) => boundOf(bound, steps, path) ?? [])
  const [fromMs, endMs] = [since(round.startedAtMs), since(round.endedAtMs)]
  return {
    round: index,
    startedAtMs: round.startedAtMs,
    fromMs,
    endMs,
    // An upper limit that lies after the end is shown, but never makes the story small.
    toMs: Math.max(
      endMs,
      fromMs + 1,
      ...bounds.map(({ fromMs: at, upperMs }) => Math.min(since(at) + upperMs, endMs + (endMs - fromMs) / 3)),
    ),
    steps: spans,
    bounds: bounds.map((bound) => ({ ...bound, fromMs: since(bound.fromMs) })),
    act: actOf(spans, bounds, since),
    lanes: lanesOf(round, zeroAtMs),
  }
}

const markOf = ({ events }: Round, step: string, type: Mark['type']) =>
  events.find((event): event is Mark => event.type === type && event.step === step)

/** What brought the bite about: the last act before it, the load where there is none; else the round's own beginning. */
function zeroOf(steps: readonly Step[], round: Round): number {
  const doing = doingOf(steps)
  return (doing && markOf(round, doing.name, 'BEGUN')?.atMs) ?? round.startedAtMs
}

function doingOf<S extends { readonly kind: Step['kind'] }>(steps: readonly S[]): S | undefined {
  const bite = steps.findIndex((step) => 'isBite' in step && step.isBite === true)
  const before = bite < 0 ? steps : steps.slice(0, bite)
  return before.findLast(({ kind }) => kind === 'act') ?? steps.find(({ kind }) => kind === 'load')
}

/** What is waited for is waited for since the step before. */
function spansOf(steps: readonly Step[], { reached, stop }: Walk, round: Round): StepSpan[] {
  let cursorMs = round.startedAtMs
  return steps.map((step) => {
    const [fromMs, reachedMs] = [cursorMs, reached.get(step.name)]
    cursorMs = reachedMs ?? cursorMs
    const { kind } = step
    const name = kind === 'never' || kind === 'always' ? `${kind}: ${step.name}` : step.name
    const isBite = kind === 'until' && step.isBite === true
    if (stop?.step === step) return { name, kind, isBite, outcome: 'missed', fromMs, toMs: round.endedAtMs }
    if (reachedMs === undefined) return { name, kind, isBite, outcome: 'not reached', fromMs: round.endedAtMs, toMs: round.endedAtMs }
    return { name, kind, isBite, outcome: 'done', ...ownSpan(step, round, { fromMs: Math.min(fromMs, reachedMs), toMs: reachedMs }) }
  })
}

/** What is done by us has a beginning and an end of its own; load goes on until it has been counted. */
function ownSpan(step: Step, round: Round, waited: { fromMs: number; toMs: number }): { fromMs: number; toMs: number } {
  const fromMs = markOf(round, step.name, 'BEGUN')?.atMs ?? waited.fromMs
  if (step.kind === 'act') return { fromMs, toMs: markOf(round, step.name, 'DONE')?.atMs ?? round.endedAtMs }
  if (step.kind !== 'load') return waited
  const counted = summaryOf(step.source ?? LOAD_SOURCE)
  const ended = round.events.find((event) => isFrom(counted, event) && event.atMs > fromMs)
  return { fromMs, toMs: ended?.atMs ?? round.endedAtMs }
}

/** Undefined where its time did not even begin. */
function boundOf(bound: Bound, steps: readonly Step[], { reached }: Walk): BoundSpan | undefined {
  const { from, to } = endsOf(bound, steps)
  const [fromMs, toMs] = [reached.get(from), reached.get(to)]
  if (fromMs === undefined) return undefined
  const { name, lowerMs, partsMs } = bound
  return { name, fromMs, lowerMs, upperMs: sumMs(partsMs), partsMs, ...(toMs === undefined ? {} : { valueMs: toMs - fromMs }) }
}

/** What has no times is over with its last step. */
function actOf(spans: readonly StepSpan[], bounds: readonly BoundSpan[], since: (atMs: number) => number): ActSpan {
  const doing = doingOf(spans)
  const bite = spans.find(({ isBite, outcome }) => isBite && outcome === 'done')
  const timed = bounds.map(({ fromMs, valueMs }) => (valueMs === undefined ? undefined : since(fromMs) + valueMs))
  const stepped = spans.map(({ outcome, toMs }) => (outcome === 'done' ? toMs : undefined))
  const ends = timed.length > 0 ? timed : stepped
  const isOver = ends.length > 0 && ends.every((end) => end !== undefined)
  return {
    name: doing?.name ?? 'the round',
    ...(bite === undefined ? {} : { bittenMs: bite.toMs }),
    ...(isOver ? { healedMs: Math.max(...ends) } : {}),
  }
}
