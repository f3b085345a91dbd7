/** A record and its bounds give a verdict: pure, so that old records can be judged again. No data is never a pass. */
import type { Bound, Evidence, Judgement, MeasuredTime, Round, RunRecord, Scenario, Step, Verdict } from './scenario.ts'
import type { TimingProfile } from './types.ts'
import { type Stop, stepsOf, type Walk, walk } from './walk.ts'

/** Judges a record of a scenario against the bounds of a timing profile. */
export function judge(record: RunRecord, scenario: Scenario, timing: TimingProfile): Judgement {
  const steps = stepsOf(scenario, timing, record.mutant)
  const walks = record.rounds.map((round) => walk(steps, round))
  const times = scenario.bounds(timing).map((bound) => measure(bound, steps, walks))
  const claims = record.rounds.map((round, i) => checkClaims(scenario, timing, evidenceOf(round, walks[i])))
  const facts = { record, scenario, steps, walks, times, claims }
  const [verdict, reason] = decide(facts)
  return { verdict, reason, times, claims: claims.at(-1) ?? [] }
}

type Claims = Judgement['claims']

interface Facts {
  readonly record: RunRecord
  readonly scenario: Scenario
  readonly steps: readonly Step[]
  readonly walks: readonly Walk[]
  readonly times: readonly MeasuredTime[]
  readonly claims: readonly Claims[]
}

type Decision = [Verdict, string]

/** The first that has something to say, says it. */
function decide(facts: Facts): Decision {
  const { record, scenario, walks } = facts
  const wanted = plannedRounds(scenario, record.mutant)
  const early = notStarted(record) ?? stopped(facts) ?? tooFewRounds(record, wanted) ?? healedAnyway(facts)
  const found = early ?? untrue(facts) ?? late(facts) ?? untimed(facts) ?? unsteadyAfter(facts)
  return found ?? ['held', `${walks.length} of ${wanted} ${wanted === 1 ? 'round' : 'rounds'} within bounds`]
}

function notStarted({ abortedBy, steadyBefore, rounds }: RunRecord): Decision | undefined {
  if (abortedBy !== undefined) return ['aborted', abortedBy]
  const unsteady = steadyBefore.find((result) => !result.ok)
  if (unsteady !== undefined) return ['no data', `not steady before the act: ${unsteady.name}: ${unsteady.seen}`]
  return rounds.length === 0 ? ['no data', 'no round was recorded'] : undefined
}

function stopped({ steps, walks }: Facts): Decision | undefined {
  const round = walks.findIndex(({ stop }) => stop !== undefined)
  const stop = walks[round]?.stop
  return stop === undefined ? undefined : [verdictOf(stop, steps), `round ${round + 1}: ${stop.seen}`]
}

/** What is not seen up to the bite was not injected; what is not seen after it did not heal. */
function verdictOf({ step, why }: Stop, steps: readonly Step[]): Verdict {
  if (why === 'unfinished') return 'no data'
  const bite = steps.findIndex((each) => each.kind === 'until' && each.isBite === true)
  return why === 'unseen' && steps.indexOf(step) <= bite ? 'not injected' : 'violated'
}

function tooFewRounds({ rounds }: RunRecord, wanted: number): Decision | undefined {
  return rounds.length < wanted ? ['no data', `${rounds.length} of ${wanted} rounds were recorded`] : undefined
}

/** A mutant whose state must stay broken for its whole time: a healing, however late, shows that it broke nothing. */
function healedAnyway({ record, scenario: { mutants } }: Facts): Decision | undefined {
  const mutant = mutants.find(({ name }) => name === record.mutant)
  const mustStay = mutant?.expect === 'violated' && mutant.holdMs !== undefined
  return mustStay ? ['held', 'it healed although the healer was broken'] : undefined
}

function untrue({ claims }: Facts): Decision | undefined {
  const all = claims.flat()
  const broken = all.find(({ outcome }) => outcome === 'false')
  if (broken !== undefined) return ['violated', `${broken.name}: ${broken.seen}`]
  const empty = all.find(({ outcome }) => outcome === 'no data')
  return empty === undefined ? undefined : ['no data', `${empty.name}: ${empty.seen}`]
}

function late({ times }: Facts): Decision | undefined {
  const seen = times.map(outside).find((each) => each !== undefined)
  return seen === undefined ? undefined : ['violated', seen]
}

/** A time between steps of which no round, or not every one, had both: nothing was measured of what it bounds. */
function untimed({ times, walks }: Facts): Decision | undefined {
  const found = times.find(({ valuesMs }) => valuesMs.length < walks.length)
  return found && ['no data', `${found.bound}: measured in ${found.valuesMs.length} of ${walks.length} rounds`]
}

/** A mutant must be red by what it breaks, not by what its undo leaves behind: that is a failure of the run. */
function unsteadyAfter({ record }: Facts): Decision | undefined {
  const changed = record.steadyAfter.find((result) => !result.ok)
  if (changed !== undefined)
    return [record.mutant === undefined ? 'violated' : 'aborted', `not steady after the undo: ${changed.name}: ${changed.seen}`]
  const looked = record.steadyAfter.length >= record.steadyBefore.length
  return looked ? undefined : ['no data', 'the steady state was not looked at after the undo']
}

function evidenceOf({ events, before, endedAtMs }: Round, path: Walk | undefined): Evidence {
  return { events, before, endedAtMs, at: (step) => path?.reached.get(step) }
}

function checkClaims(scenario: Scenario, timing: TimingProfile, evidence: Evidence): Claims {
  return (scenario.claims?.(timing) ?? []).map((claim) => ({ name: claim.name, ...claim.check(evidence) }))
}

/** From one step to another, in every round that reached both. */
function measure(bound: Bound, steps: readonly Step[], walks: readonly Walk[]): MeasuredTime {
  const { from, to } = endsOf(bound, steps)
  const valuesMs = walks.flatMap(({ reached }) => {
    const [start, end] = [reached.get(from), reached.get(to)]
    return start === undefined || end === undefined ? [] : [end - start]
  })
  const { share = 1, lowerMs, partsMs } = bound
  return { bound: bound.name, share, lowerMs, upperMs: sumMs(partsMs), partsMs, valuesMs }
}

/** The names of the steps that a time lies between: by default from the bite to the last one. */
export function endsOf({ from, to }: Pick<Bound, 'from' | 'to'>, steps: readonly Step[]): { readonly from: string; readonly to: string } {
  const bite = steps.find((step) => step.kind === 'until' && step.isBite === true)
  return { from: from ?? bite?.name ?? '', to: to ?? steps.at(-1)?.name ?? '' }
}

/** What a bound adds up to: its upper limit. */
export function sumMs(partsMs: Bound['partsMs']): number {
  return Object.values(partsMs).reduce((sum, ms) => sum + ms, 0)
}

/** One round shows what a mutant does; its wait alone takes as long as many healings. */
export function plannedRounds({ repeat = 1 }: Scenario, mutant: string | undefined): number {
  return mutant === undefined ? repeat : 1
}

/** Faster than possible counts for every round, slower than allowed for the share that the bound is about. */
function outside({ bound, share, valuesMs, lowerMs, upperMs }: MeasuredTime): string | undefined {
  const slowest = percentile(valuesMs, share)
  const value = slowest !== undefined && slowest > upperMs ? slowest : valuesMs.find((ms) => ms < lowerMs)
  return value === undefined ? undefined : `${bound}: ${value} ms is not between ${lowerMs} and ${upperMs} ms`
}

/** The value below which a share of all values lies, nearest rank: `percentile(times, 0.95)`. */
export function percentile(values: readonly number[], share: number): number | undefined {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]
}
