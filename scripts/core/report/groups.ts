/** The results of a run in the order in which a person reads them: by scenario, what was run itself before its mutants. */
import { isGood, type Result } from '../render.ts'
import type { MeasuredTime, Scenario } from '../scenario.ts'

export interface Group {
  readonly scenario: Scenario
  readonly series: readonly Series[]
}

/** The same thing, once or several times. */
export interface Series {
  readonly title: string
  readonly results: readonly [Result, ...Result[]]
  /** Of all runs together. */
  readonly times: readonly MeasuredTime[]
}

export function groupsOf(results: readonly Result[]): Group[] {
  const byScenario = Map.groupBy(results, ({ scenario }) => scenario.name)
  return [...byScenario.values()].map((all) => ({ scenario: (all[0] as Result).scenario, series: seriesOf(all) }))
}

function seriesOf(results: readonly Result[]): Series[] {
  const byMutant = Map.groupBy(results, ({ record }) => record.mutant)
  const own = byMutant.get(undefined)
  byMutant.delete(undefined)
  const all = [...(own === undefined ? [] : [own]), ...byMutant.values()]
  return all.map((runs) => {
    const [first, ...rest] = runs as [Result, ...Result[]]
    const title = first.record.mutant === undefined ? first.scenario.name : `mutant ${first.record.mutant}`
    return { title, results: [first, ...rest], times: pooled(runs) }
  })
}

/** All runs count: what was red keeps its times in the spread. */
export function pooled(runs: readonly Result[]): MeasuredTime[] {
  return (runs[0]?.judgement.times ?? []).map((time, i) => ({
    ...time,
    valuesMs: runs.flatMap(({ judgement }) => judgement.times[i]?.valuesMs ?? []),
  }))
}

/** How many runs came out as they should. */
export const goodOf = (runs: readonly Result[]) => runs.filter(isGood).length

/** The share of its upper limit that the slowest value took; undefined without a value. */
export function shareUsed({ valuesMs, upperMs }: MeasuredTime): number | undefined {
  return valuesMs.length === 0 ? undefined : Math.max(...valuesMs) / upperMs
}

const MOST_RED = 3

/** Of runs that are alike, those that a person wants to see: the red ones, and the slowest of the good. */
export function tellingRuns({ results }: Series): readonly Result[] {
  const red = results.filter((result) => !isGood(result)).slice(0, MOST_RED)
  const slowness = ({ judgement }: Result) => Math.max(0, ...judgement.times.map((time) => shareUsed(time) ?? 0))
  const slowest = results.filter(isGood).toSorted((a, b) => slowness(b) - slowness(a))[0]
  return [...red, ...(slowest === undefined ? [] : [slowest])]
}
