/** What was measured as a table: of each figure the last whole series, beside what was promised of it. */
import { Failure } from '#kit/errors'
import { formatMs } from '#kit/progress'
import { percentile } from '../judge.ts'
import { type Budget, FIGURES, type Figure } from './figures.ts'
import type { BenchResults, BenchSeries, MeasuredMachine } from './results.ts'

/** A figure of one class of machines. */
export interface Measured {
  readonly figure: Figure
  readonly n: number
  readonly p50: number
  readonly p95: number
  readonly series: BenchSeries
}

/** Those that were measured, in the order of the table. */
export function measuredOn({ series: all }: MeasuredMachine): Measured[] {
  return FIGURES.flatMap((figure) => {
    const series = all.findLast(({ runs }) => runs.some(({ values }) => values[figure.id] !== undefined))
    const values = series?.runs.flatMap((run) => run.values[figure.id] ?? []) ?? []
    const [p50, p95] = [median(values), percentile(values, 0.95)]
    return series === undefined || p50 === undefined || p95 === undefined ? [] : [{ figure, n: values.length, p50, p95, series }]
  })
}

/** The middle value, or halfway between the two in the middle; undefined of none. */
export function median(values: readonly number[]): number | undefined {
  const sorted = values.toSorted((a, b) => a - b)
  const [low, high] = [sorted[Math.ceil(sorted.length / 2) - 1], sorted[Math.floor(sorted.length / 2)]]
  return low === undefined || high === undefined ? undefined : (low + high) / 2
}

/** The shares whose limit a figure is over; none where nothing was promised. */
export function overBudget({ figure: { budget = {} }, ...seen }: Pick<Measured, 'figure' | 'p50' | 'p95'>): (keyof Budget)[] {
  return (['p50', 'p95'] as const).filter((share) => seen[share] > (budget[share] ?? Number.POSITIVE_INFINITY))
}

/** What was promised, and whether it was kept. */
export function budgetText(measured: Pick<Measured, 'figure' | 'p50' | 'p95'>): string {
  const { budget = {}, unit } = measured.figure
  const limits = Object.entries(budget).map(([share, limit]) => `${share === 'p50' ? 'median' : share} ≤ ${shown(limit, unit)}`)
  if (limits.length === 0) return ''
  const over = overBudget(measured).map((share) => (share === 'p50' ? 'median' : share))
  return `${limits.join(', ')}: ${over.length === 0 ? 'kept' : `**not kept** (${over.join(', ')})`}`
}

const shown = (value: number, unit: Figure['unit']) => (unit === 'ms' ? formatMs(value) : `${Math.round(value)} MiB`)

/** Markdown; a table for each class of machines. */
export function benchTable({ machines }: BenchResults): string {
  if (machines.length === 0) return 'Nothing was measured yet: `npm run bench`.'
  return machines.map(renderMachine).join('\n\n')
}

function renderMachine(machine: MeasuredMachine): string {
  const all = measuredOn(machine)
  const rows = all.map((each) => {
    const { figure, n, p50, p95, series } = each
    return `| ${[figure.what, n, shown(p50, figure.unit), shown(p95, figure.unit), budgetText(each), series.commit.slice(0, 7)].join(' | ')} |`
  })
  const missing = FIGURES.filter((figure) => !all.some((each) => each.figure === figure)).map(({ id }) => id)
  return [
    `On ${machine.class}${factsOf(machine)}; of fewer than 20 values p95 is the slowest:`,
    '',
    '| what | n | median | p95 | budget | commit |',
    '|---|---|---|---|---|---|',
    ...rows,
    ...(missing.length === 0 ? [] : ['', `Not measured yet: ${missing.join(', ')}.`]),
  ].join('\n')
}

function factsOf({ series }: MeasuredMachine): string {
  const facts = Object.entries(series.at(-1)?.facts ?? {}).map(([name, value]) => `${name} ${value}`)
  return facts.length === 0 ? '' : ` (${facts.join(', ')})`
}

const BEGIN = '<!-- bench: written by `npm run bench -- --table` -->'
const END = '<!-- /bench -->'

/** The README with the table of these results between its two marks. @throws Failure where it has no place for it. */
export function withTable(readme: string, results: BenchResults): string {
  const [before, rest] = cut(readme, BEGIN)
  const [, after] = cut(rest, END)
  return `${before}${BEGIN}\n\n${benchTable(results)}\n\n${END}${after}`
}

function cut(text: string, mark: string): [string, string] {
  const at = text.indexOf(mark)
  if (at < 0) throw new Failure({ what: 'Cannot write the table', why: `README.md has no '${mark}'` })
  return [text.slice(0, at), text.slice(at + mark.length)]
}
