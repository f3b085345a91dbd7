/** Follows a scenario's steps through a round's evidence. The runner asks it while the round runs, the judge when it is over. */
import type { Always, Mark, Never, RecordedEvent, Round, Scenario, Step, Until } from './scenario.ts'
import type { TimingProfile } from './types.ts'

/** How far the evidence leads. */
export interface Walk {
  /** When each step was done. */
  readonly reached: ReadonlyMap<string, number>
  /** The step that was not done, and why. */
  readonly stop?: Stop
}

export interface Stop {
  readonly step: Step
  /** Never seen; seen to be untrue; or the round ended too early to tell. */
  readonly why: 'unseen' | 'broken' | 'unfinished'
  readonly seen: string
}

/** A scenario's steps, with what a mutant changes of them. */
export function stepsOf(scenario: Scenario, timing: TimingProfile, mutantName: string | undefined): readonly Step[] {
  const mutant = scenario.mutants.find(({ name }) => name === mutantName)
  const planned = mutant?.steps?.(scenario.steps(timing)) ?? scenario.steps(timing)
  const kept = mutant?.skipAct === true ? planned.filter(({ kind }) => kind !== 'act' && kind !== 'load') : planned
  const { holdMs } = mutant ?? {}
  return holdMs === undefined ? kept : kept.map((step) => (step.kind === 'until' ? { ...step, timeoutMs: holdMs } : step))
}

/** Where the search for the next step begins: in the list of events, and in time. */
interface Cursor {
  readonly index: number
  readonly atMs: number
  /** Where the last act began, in the list of events. */
  readonly actIndex: number
}

type Stride = Cursor | Omit<Stop, 'step'>

/** Walks as far as the evidence leads. A source's events may be told late: they count at their own time. */
export function walk(steps: readonly Step[], round: Round): Walk {
  const events = round.events.toSorted((a, b) => a.atMs - b.atMs)
  const reached = new Map<string, number>()
  let cursor: Cursor = { index: 0, atMs: round.startedAtMs, actIndex: 0 }
  for (const step of steps) {
    const next = stride(step, cursor, { ...round, events })
    if ('why' in next) return { reached, stop: { step, ...next } }
    reached.set(step.name, step.kind === 'load' ? doneAt(step, events, next.atMs) : next.atMs)
    cursor = next
  }
  return { reached }
}

function stride(step: Step, cursor: Cursor, round: Round): Stride {
  switch (step.kind) {
    case 'act':
    case 'load':
      return toMark(step, cursor, round)
    case 'until':
      return toMatch(step, cursor, round)
    case 'always':
      return throughAll(step, cursor, round)
    case 'never':
      return throughNone(step, cursor, round)
  }
}

/** What a step brings about may be seen before it returns: the search goes on from where it began. */
function toMark(step: Step, cursor: Cursor, { events }: Round): Stride {
  const mark = markOf(step, events, 'BEGUN')
  if (mark === undefined) return { why: 'unfinished', seen: `'${step.name}' was not begun` }
  const begun = events.findIndex(({ atMs }) => atMs >= mark.atMs)
  const index = Math.max(begun, cursor.index)
  return { index, atMs: mark.atMs, actIndex: index }
}

function markOf(step: Step, events: readonly RecordedEvent[], type: Mark['type']): Mark | undefined {
  return events.find((event): event is Mark => event.type === type && event.step === step.name)
}

/** Load is on its way from its first request. */
function doneAt(step: Step, events: readonly RecordedEvent[], fallbackMs: number): number {
  return markOf(step, events, 'DONE')?.atMs ?? fallbackMs
}

function toMatch(step: Until, { index, atMs, actIndex }: Cursor, { events, before, endedAtMs }: Round): Stride {
  const from = step.mayPrecedeBite === true ? actIndex : index
  const found = events.findIndex((event, i) => i >= from && step.matches(event, before))
  // What shows that an act took effect may at once show what came of it; any other event serves one step only.
  if (found >= 0) return { index: step.isBite === true ? found : found + 1, atMs: events[found]?.atMs ?? atMs, actIndex }
  return { why: 'unseen', seen: `${step.name} was not seen within ${endedAtMs - atMs} ms` }
}

function throughNone(step: Never, cursor: Cursor, round: Round): Stride {
  const { index, atMs } = cursor
  const endMs = atMs + step.forMs
  const found = until(round.events.slice(index), endMs).find((event) => step.matches(event))
  if (found !== undefined) return { why: 'broken', seen: `not '${step.name}': it was seen ${found.atMs - atMs} ms into it` }
  return atEnd(step, { ...cursor, atMs: endMs }, round)
}

function throughAll(step: Always, cursor: Cursor, round: Round): Stride {
  const { index, atMs } = cursor
  const endMs = atMs + step.forMs
  const inForce = round.events.slice(0, index).findLast((event) => step.concerns(event))
  const concerned = [
    ...(inForce === undefined ? [] : [inForce]),
    ...until(round.events.slice(index), endMs).filter((event) => step.concerns(event)),
  ]
  const broken = concerned.find((event) => !step.holds(event))
  if (broken !== undefined) return { why: 'broken', seen: `not '${step.name}': untrue ${broken.atMs - atMs} ms into it` }
  const next = atEnd(step, { ...cursor, atMs: endMs }, round)
  if ('why' in next || concerned.length >= (step.least ?? 1)) return next
  return { why: 'unfinished', seen: `'${step.name}' rests on ${concerned.length} looks, fewer than ${step.least ?? 1}` }
}

function atEnd(step: Step, end: Cursor, { events, endedAtMs }: Round): Stride {
  if (endedAtMs < end.atMs) return { why: 'unfinished', seen: `'${step.name}' was not watched for its whole time` }
  const index = events.findIndex(({ atMs }) => atMs > end.atMs)
  return { ...end, index: index < 0 ? events.length : index }
}

const until = (events: readonly RecordedEvent[], endMs: number) => events.filter(({ atMs }) => atMs <= endMs)
