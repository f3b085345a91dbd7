/** What changed between two runs, for whoever changed a version between them: verdicts, times, versions, digests. */
import { formatMs } from '#kit/progress'
import { shortDigest } from '../history.ts'
import { percentile } from '../judge.ts'
import { isGood, type Result } from '../render.ts'
import { goodOf, pooled } from './groups.ts'

/**
 * Both sides are judged by what this version knows: a changed bound is no change between the runs. Runs that somebody interrupted are
 * left out.
 */
export interface Comparison {
  readonly before: Side
  readonly after: Side
  readonly rows: readonly ComparedRow[]
}

export interface Side {
  readonly runs: number
  readonly startedAt: string | undefined
  readonly environments: readonly string[]
  readonly digests: readonly string[]
  /** Such as `kubernetes v1.36.3`. */
  readonly versions: readonly string[]
}

/** A scenario, or one of its mutants, that either side has run. */
export interface ComparedRow {
  readonly name: string
  readonly mutant?: string
  readonly before: Count | undefined
  readonly after: Count | undefined
  readonly change: 'same' | 'better' | 'worse' | 'only before' | 'only after'
  readonly times: readonly ComparedTime[]
}

/** How many runs came out as they should, and why the first that did not. */
export interface Count {
  readonly good: number
  readonly runs: number
  readonly red?: string
}

export interface ComparedTime {
  readonly bound: string
  readonly lowerMs: number
  readonly upperMs: number
  readonly before: Spread | undefined
  readonly after: Spread | undefined
  readonly change: 'same' | 'slower' | 'faster' | 'too few'
}

export interface Spread {
  readonly n: number
  readonly minMs: number
  readonly p50Ms: number
  readonly maxMs: number
}

/** Ranges of four values each that do not overlap come about by chance once in 35 times; of fewer, more often. */
const LEAST_VALUES = 4

export function compareResults(...sides: readonly [readonly Result[], readonly Result[]]): Comparison {
  // What somebody stopped says nothing of what it ran on.
  const [before, after] = sides.map((results) => results.filter(({ record }) => record.interrupted !== true)) as [Result[], Result[]]
  const titles = [...new Set([...before, ...after].map(titleOf))]
  const rows = titles.map((title) => rowOf(title, before, after))
  return { before: sideOf(before), after: sideOf(after), rows: rows.toSorted((a, b) => RANKS.indexOf(a.change) - RANKS.indexOf(b.change)) }
}

/** What matters most to whoever decides on a version is read first. */
const RANKS: readonly ComparedRow['change'][] = ['worse', 'better', 'same', 'only before', 'only after']

/** Whether any scenario that came out as it should does so no more, or less often. */
export const isWorse = ({ rows }: Comparison) => rows.some(({ change }) => change === 'worse')

const titleOf = ({ record: { scenario, mutant } }: Result) => JSON.stringify([scenario, mutant])

function sideOf(results: readonly Result[]): Side {
  const records = results.map(({ record }) => record)
  const distinct = (values: readonly (string | undefined)[]) => [...new Set(values.filter((value) => value !== undefined))]
  return {
    runs: results.length,
    startedAt: records.map(({ startedAt }) => startedAt).toSorted()[0],
    environments: distinct(records.map(({ environment }) => environment)),
    digests: distinct(records.map(({ digest }) => digest)),
    versions: distinct(records.flatMap(({ versions }) => Object.entries(versions).map(([what, version]) => `${what} ${version}`))),
  }
}

function rowOf(title: string, before: readonly Result[], after: readonly Result[]): ComparedRow {
  const [own, other] = [before, after].map((side) => side.filter((result) => titleOf(result) === title)) as [Result[], Result[]]
  const { scenario, mutant } = (own[0] ?? (other[0] as Result)).record
  const [counted, recounted] = [countOf(own), countOf(other)]
  return {
    name: scenario,
    ...(mutant === undefined ? {} : { mutant }),
    before: counted,
    after: recounted,
    change: changeOf(counted, recounted),
    times: timesOf(own, other),
  }
}

function countOf(results: readonly Result[]): Count | undefined {
  if (results.length === 0) return undefined
  const red = results.find((result) => !isGood(result))?.judgement
  return { good: goodOf(results), runs: results.length, ...(red === undefined ? {} : { red: `${red.verdict}: ${red.reason}` }) }
}

function changeOf(before: Count | undefined, after: Count | undefined): ComparedRow['change'] {
  if (before === undefined) return 'only after'
  if (after === undefined) return 'only before'
  const difference = after.good / after.runs - before.good / before.runs
  return difference === 0 ? 'same' : difference > 0 ? 'better' : 'worse'
}

function timesOf(before: readonly Result[], after: readonly Result[]): ComparedTime[] {
  const [own, other] = [pooled(before), pooled(after)]
  return (own.length > 0 ? own : other).flatMap(({ bound, lowerMs, upperMs }) => {
    const [spread, again] = [own, other].map((times) => spreadOf(times.find((time) => time.bound === bound)?.valuesMs ?? []))
    if (spread === undefined && again === undefined) return []
    return [{ bound, lowerMs, upperMs, before: spread, after: again, change: timeChange(spread, again) }]
  })
}

function spreadOf(valuesMs: readonly number[]): Spread | undefined {
  const p50Ms = percentile(valuesMs, 0.5)
  return p50Ms === undefined ? undefined : { n: valuesMs.length, minMs: Math.min(...valuesMs), p50Ms, maxMs: Math.max(...valuesMs) }
}

function timeChange(before: Spread | undefined, after: Spread | undefined): ComparedTime['change'] {
  if (before === undefined || after === undefined || Math.min(before.n, after.n) < LEAST_VALUES) return 'too few'
  if (after.minMs > before.maxMs) return 'slower'
  return after.maxMs < before.minMs ? 'faster' : 'same'
}

// ── For a terminal ──────────────────────────────────────────────────────────────────────────────────────────────────

const SIGNS = { same: '=', better: '✓', worse: '✗', 'only before': '−', 'only after': '+' } as const

/** A line per side's fact that differs, per scenario, and per time. */
export function renderComparison({ before, after, rows }: Comparison): string {
  const facts = [
    ['Runs', `${before.runs} from ${before.startedAt}`, `${after.runs} from ${after.startedAt}`],
    ['Digest', before.digests.map(shortDigest).join(', '), after.digests.map(shortDigest).join(', ')],
    ['Environment', before.environments.join(', '), after.environments.join(', ')],
    ['Versions', before.versions.join(', '), after.versions.join(', ')],
  ] as const
  const head = facts.map(
    ([what, own, other]) => `${what}: ${own === other ? `${own || 'not recorded'} (both)` : `${own || 'none'} → ${other || 'none'}`}`,
  )
  return [...head, ...rows.flatMap(lines)].join('\n')
}

function lines({ name, mutant, before, after, change, times }: ComparedRow): string[] {
  const title = mutant === undefined ? name : `${name} / mutant ${mutant}`
  const verdicts = `${sayCount(before)} → ${sayCount(after)}`
  const why = [before?.red, after?.red].flatMap((red, i) => (red === undefined ? [] : [`    ${i === 0 ? 'before' : 'after'}: ${red}`]))
  return [`${SIGNS[change]} ${title}: ${verdicts}${change === 'same' ? '' : ` (${change})`}`, ...why, ...times.map(timeLine)]
}

/** `3 of 3 as it should be`, or that it was not run. */
export const sayCount = (count: Count | undefined) => (count === undefined ? 'not run' : `${count.good} of ${count.runs} good`)

const timeLine = ({ bound, before, after, change }: ComparedTime) =>
  `    ${bound}: ${saySpread(before)} → ${saySpread(after)}${change === 'slower' || change === 'faster' ? ` (${change})` : ''}`

/** `229 ms (157 ms to 528 ms, n 60)`; the first is the median. */
export function saySpread(spread: Spread | undefined): string {
  if (spread === undefined) return 'not measured'
  const { n, minMs, p50Ms, maxMs } = spread
  return n === 1 ? formatMs(p50Ms) : `${formatMs(p50Ms)} (${formatMs(minMs)} to ${formatMs(maxMs)}, n ${n})`
}
