/** Reports, from records and judgements only: they never ask the cluster. */
import { percentile } from './judge.ts'
import { escapeText } from './report/html.ts'
import type { Judgement, MeasuredTime, Mutant, RunRecord, Scenario, Verdict } from './scenario.ts'
import type { TimingProfile } from './types.ts'

/** One run with what it is worth. */
export interface Result {
  readonly record: RunRecord
  readonly judgement: Judgement
  readonly scenario: Scenario
  /** What it was judged by. */
  readonly timing: TimingProfile
  readonly mutant?: Mutant
  /** The record's file. */
  readonly path: string
}

/** Whether a run came out as it should: a proof held, a mutant's verdict is the expected red. */
export function isGood({ judgement, mutant }: Result): boolean {
  return judgement.verdict === (mutant?.expect ?? 'held')
}

/** By the worst verdict: 5 aborted, 1 violated, 4 not injected, 3 no data, 0 all held. A mutant that is not red is a violation. */
export function exitCode(results: readonly Result[]): number {
  const verdicts = results.map((result): Verdict => {
    if (isGood(result)) return 'held'
    return result.mutant === undefined || result.judgement.verdict === 'aborted' ? result.judgement.verdict : 'violated'
  })
  if (results.length === 0) return 3 // nothing was shown
  const worst = (['aborted', 'violated', 'not injected', 'no data'] as const).find((verdict) => verdicts.includes(verdict))
  return worst === undefined ? 0 : { aborted: 5, violated: 1, 'not injected': 4, 'no data': 3 }[worst]
}

/** A line per run, per measured time and per claim, for a terminal; then k of n and the spread of what ran more than once. */
export function renderTable(results: readonly Result[]): string {
  const series = [...Map.groupBy(results, titleOf)].filter(([, runs]) => runs.length > 1)
  const lines = results.flatMap((result) => [headline(result), ...timeLines(result.judgement.times), ...claimLines(result)])
  return [...lines, ...series.flatMap(([title, runs]) => seriesLines(title, runs))].join('\n')
}

const titleOf = ({ scenario, mutant }: Result) => (mutant === undefined ? scenario.name : `${scenario.name} / mutant ${mutant.name}`)

/** One line: what ran, its verdict and why. */
export function headline(result: Result): string {
  const { mutant, judgement } = result
  const expected = mutant === undefined ? '' : ` (expected ${mutant.expect})`
  return `${isGood(result) ? '✓' : '✗'} ${titleOf(result)}: ${judgement.verdict}${expected}: ${judgement.reason}`
}

function timeLines(times: readonly MeasuredTime[]): string[] {
  return times.flatMap(({ bound, valuesMs, lowerMs, upperMs, partsMs }) => {
    if (valuesMs.length === 0) return []
    const sum = Object.entries(partsMs).map(([part, ms]) => `${part.replace(/Ms$/, '')} ${ms}`)
    return [`    ${bound}: ${spread(valuesMs)} (bound ${lowerMs} to ${upperMs} = ${sum.join(' + ')})`]
  })
}

function spread(valuesMs: readonly number[]): string {
  if (valuesMs.length === 1) return `${valuesMs[0]} ms`
  const [p50, p95] = [percentile(valuesMs, 0.5), percentile(valuesMs, 0.95)]
  return `n ${valuesMs.length}, min ${Math.min(...valuesMs)}, p50 ${p50}, p95 ${p95}, max ${Math.max(...valuesMs)} ms`
}

function claimLines({ judgement }: Result): string[] {
  return judgement.claims.map(({ name, outcome, seen }) => `    ${outcome === 'true' ? '' : `${outcome}: `}${name}: ${seen}`)
}

/** All runs count: what was red stays red in the count, and its times stay in the spread. */
function seriesLines(title: string, runs: readonly Result[]): string[] {
  const good = runs.filter(isGood).length
  const pooled = (runs[0]?.judgement.times ?? []).map((time, i) => ({
    ...time,
    valuesMs: runs.flatMap(({ judgement }) => judgement.times[i]?.valuesMs ?? []),
  }))
  const wanted = runs[0]?.mutant?.expect ?? 'held'
  return [`${good === runs.length ? '✓' : '✗'} ${title}: ${good} of ${runs.length} ${wanted}`, ...timeLines(pooled)]
}

/** One element per run: scenario, mutant, verdict, reason, times, record. */
export function renderJson(results: readonly Result[]): string {
  return JSON.stringify(rowsOf(results), null, 2)
}

export function rowsOf(results: readonly Result[]): object[] {
  return results.map(({ scenario, mutant, judgement, path, record }) => ({
    name: scenario.name,
    ...(mutant === undefined ? {} : { mutant: mutant.name, expected: mutant.expect }),
    verdict: judgement.verdict,
    reason: judgement.reason,
    times: judgement.times,
    claims: judgement.claims,
    startedAt: record.startedAt,
    environment: record.environment,
    digest: record.digest,
    record: path,
  }))
}

/** JUnit XML: a test case per run. */
export function renderJunit(results: readonly Result[]): string {
  const failures = results.filter((result) => !isGood(result)).length
  const cases = results.map((result) => {
    const { scenario, judgement, record } = result
    const seconds = (Date.parse(record.endedAt) - Date.parse(record.startedAt)) / 1000
    const failure = isGood(result) ? '' : `<failure message="${escapeText(`${judgement.verdict}: ${judgement.reason}`)}"/>`
    return `  <testcase classname="${scenario.kind}" name="${escapeText(titleOf(result))}" time="${seconds}">${failure}</testcase>`
  })
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuite name="holdfast" tests="${results.length}" failures="${failures}">\n${cases.join('\n')}\n</testsuite>\n`
}
