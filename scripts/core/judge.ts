/** A record and its bounds give a verdict: pure, so that old records can be judged again. No data is never a pass. */
import type { Bound, Judgement, MeasuredTime, Round, RunRecord, Scenario, Verdict } from './scenario.ts'
import type { TimingProfile } from './types.ts'

/** Judges a record of a scenario against the bounds of a timing profile. */
export function judge(record: RunRecord, scenario: Scenario, timing: TimingProfile): Judgement {
  const times = scenario.bounds(timing).map((bound) => measure(bound, record, scenario))
  const [verdict, reason] = decide(record, scenario, times)
  return { verdict, reason, times }
}

function decide(record: RunRecord, scenario: Scenario, times: readonly MeasuredTime[]): [Verdict, string] {
  if (record.abortedBy !== undefined) return ['aborted', record.abortedBy]
  const unsteady = record.steadyBefore.find((result) => !result.ok)
  if (unsteady !== undefined) return ['no data', `not steady before the act: ${unsteady.name}: ${unsteady.seen}`]
  if (record.rounds.length === 0) return ['no data', 'no round was recorded']
  const unbitten = record.rounds.findIndex((round) => bittenAt(round, scenario) === undefined)
  if (unbitten >= 0) return ['not injected', `round ${unbitten + 1}: ${scenario.bit.name} was not seen`]
  const unhealed = record.rounds.findIndex((round) => healedAt(round, scenario) === undefined)
  if (unhealed >= 0)
    return ['violated', `round ${unhealed + 1}: ${scenario.healed.name} was not seen within ${brokenFor(record.rounds[unhealed])}`]
  const wanted = plannedRounds(scenario, record.mutant)
  if (record.rounds.length < wanted) return ['no data', `${record.rounds.length} of ${wanted} rounds were recorded`]
  if (expectsBroken(scenario, record.mutant)) return ['held', 'it healed although the healer was broken']
  const late = times.map(outside).find((each) => each !== undefined)
  if (late !== undefined) return ['violated', late]
  const changed = record.steadyAfter.find((result) => !result.ok)
  if (changed !== undefined) return ['violated', `not steady after the undo: ${changed.name}: ${changed.seen}`]
  if (record.steadyAfter.length < scenario.steady.length) return ['no data', 'the steady state was not looked at after the undo']
  return ['held', `${record.rounds.length} of ${wanted} rounds healed within bounds`]
}

/** From the moment the fault bit, as the watch saw it, to the moment it was healed. */
function measure(bound: Bound, record: RunRecord, scenario: Scenario): MeasuredTime {
  const upperMs = Object.values(bound.partsMs).reduce((sum, ms) => sum + ms, 0)
  const valuesMs = record.rounds.flatMap((round) => {
    const [bitten, healed] = [bittenAt(round, scenario), healedAt(round, scenario)]
    return bitten === undefined || healed === undefined ? [] : [healed - bitten]
  })
  return { bound: bound.name, share: bound.share ?? 1, lowerMs: bound.lowerMs, upperMs, valuesMs }
}

/** A mutant whose state must stay broken for its whole time: a healing, however late, shows that it broke nothing. */
function expectsBroken({ mutants }: Scenario, mutant: string | undefined): boolean {
  const found = mutants.find(({ name }) => name === mutant)
  return found?.expect === 'violated' && found.holdMs !== undefined
}

/** One round shows what a mutant does; its wait alone takes as long as many healings. */
export function plannedRounds({ repeat = 1 }: Scenario, mutant: string | undefined): number {
  return mutant === undefined ? repeat : 1
}

/** When the act was seen to take effect. */
export function bittenAt(round: Round, scenario: Scenario): number | undefined {
  return round.events.find((event) => event.atMs >= round.actedAtMs && scenario.bit.matches(event, round.before))?.atMs
}

/** When, after that, the effect was seen to be gone. */
export function healedAt(round: Round, scenario: Scenario): number | undefined {
  const bitten = round.events.findIndex((event) => event.atMs >= round.actedAtMs && scenario.bit.matches(event, round.before))
  if (bitten < 0) return undefined
  return round.events.slice(bitten + 1).find((event) => scenario.healed.matches(event, round.before))?.atMs
}

function brokenFor(round: Round | undefined): string {
  return round === undefined ? 'no time' : `${round.endedAtMs - round.actedAtMs} ms`
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
