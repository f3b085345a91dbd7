/** The one file of what was measured, by class of machine: read and checked, continued, added to. */
import { readFile, rename, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { UserError } from '#kit/errors'
import { ensureDir, ownDir, root } from '#kit/paths'
import { FIGURES } from './figures.ts'

/** Committed: series that are whole. */
export const RESULTS_FILE = 'docs/bench.json'
export const benchPath = () => join(root, RESULTS_FILE)
/** Not committed: series that were cut short, which the next command goes on with. */
export const unfinishedPath = () => join(ownDir(), 'bench.json')

export interface BenchResults {
  readonly version: 1
  /** The first is the reference machine. */
  readonly machines: readonly MeasuredMachine[]
}

export interface MeasuredMachine {
  /** `linux x64, 2 cores, 24 GiB`: what makes figures comparable. */
  readonly class: string
  /** Oldest first; of each measure the last one counts. */
  readonly series: readonly BenchSeries[]
}

/** One measure, run so often with the same code on the same machine. */
export interface BenchSeries {
  readonly measure: string
  /** How many runs it has when it is whole. */
  readonly of: number
  readonly commit: string
  /** The key of all files but these results and the README, so that a change that is not committed shows. */
  readonly code: string
  /** Kernel, engine, versions … as they were when it began. */
  readonly facts: Readonly<Record<string, string>>
  readonly runs: readonly BenchRun[]
}

export interface BenchRun {
  readonly startedAt: string
  /** By figure. */
  readonly values: Values
  /** What the command said of its steps, in ms; those of half a second and more. */
  readonly steps?: readonly StepTime[]
}

export type Values = Readonly<Record<string, readonly number[]>>
export type StepTime = readonly [step: string, ms: number]

const EMPTY: BenchResults = { version: 1, machines: [] }

/** A file that is not there holds nothing. @throws UserError for one that is not of this form, saying where. */
export async function readBench(path: string): Promise<BenchResults> {
  const text = await readFile(path, 'utf8').catch((thrown: NodeJS.ErrnoException) => {
    if (thrown.code === 'ENOENT') return undefined
    throw thrown
  })
  return text === undefined ? EMPTY : parseBench(text, path)
}

/** @param name of the file, for the error. @throws UserError as `readBench` does. */
export function parseBench(text: string, name = RESULTS_FILE): BenchResults {
  try {
    const parsed: unknown = JSON.parse(text)
    checkBench(parsed)
    return parsed
  } catch (thrown) {
    if (!(thrown instanceof Error)) throw thrown
    throw new UserError({ what: `Cannot read '${name}'`, why: thrown.message, next: 'Take it from Git again, or remove it' }, thrown)
  }
}

/** One run a line: a diff shows what came. */
export function formatBench({ machines }: BenchResults): string {
  const line = (run: BenchRun) => `          ${JSON.stringify(run)}`
  const series = ({ runs, ...head }: BenchSeries) => {
    const text = JSON.stringify(head).slice(0, -1)
    return `        ${text}, "runs": [\n${runs.map(line).join(',\n')}\n        ]}`
  }
  const machine = (each: MeasuredMachine) =>
    `    {\n      "class": ${JSON.stringify(each.class)},\n      "series": [\n${each.series.map(series).join(',\n')}\n      ]\n    }`
  return `{\n  "version": 1,\n  "machines": [\n${machines.map(machine).join(',\n')}\n  ]\n}\n`
}

/** In one step: a command that is killed leaves the file of before or this one. */
export async function writeBench(path: string, results: BenchResults): Promise<void> {
  ensureDir(dirname(path))
  const draft = `${path}.${process.pid}`
  await writeFile(draft, formatBench(results))
  await rename(draft, path)
}

/** The results with one more series at the end of a class of machines; a new class comes last. */
export function withSeries(results: BenchResults, machine: string, series: BenchSeries): BenchResults {
  const known = results.machines.some((each) => each.class === machine)
  const machines = known ? results.machines : [...results.machines, { class: machine, series: [] }]
  return { ...results, machines: machines.map((each) => (each.class === machine ? { ...each, series: [...each.series, series] } : each)) }
}

/** The results without any series of a measure on a class of machines. */
export function withoutMeasure(results: BenchResults, machine: string, measure: string): BenchResults {
  const machines = results.machines.map((each) =>
    each.class === machine ? { ...each, series: each.series.filter((series) => series.measure !== measure) } : each,
  )
  return { ...results, machines: machines.filter(({ series }) => series.length > 0) }
}

/** What was cut short of just this, else a series without runs. A changed file, kernel or engine makes another series. */
export function continueBench(unfinished: BenchResults, machine: string, wanted: Omit<BenchSeries, 'runs'>): BenchSeries {
  const all = unfinished.machines.find((each) => each.class === machine)?.series ?? []
  const same = ({ measure, of, code, facts }: Omit<BenchSeries, 'runs'>) => JSON.stringify([measure, of, code, facts])
  return all.findLast((series) => same(series) === same(wanted) && series.runs.length < series.of) ?? { ...wanted, runs: [] }
}

// ── The form of the file ────────────────────────────────────────────────────────────────────────────────────────────

function checkBench(value: unknown): asserts value is BenchResults {
  const { version, machines } = fields(value, '')
  expect(version === 1, 'version', 'is not 1')
  for (const [i, machine] of list(machines, 'machines').entries()) checkMachine(machine, `machines[${i}]`)
}

function checkMachine(value: unknown, at: string): void {
  const { class: name, series } = fields(value, at)
  isText(name, `${at}.class`)
  for (const [i, each] of list(series, `${at}.series`).entries()) checkSeries(each, `${at}.series[${i}]`)
}

function checkSeries(value: unknown, at: string): void {
  const { measure, of, commit, code, facts, runs } = fields(value, at)
  for (const [name, text] of Object.entries({ measure, commit, code, ...fields(facts, `${at}.facts`) })) isText(text, `${at}.${name}`)
  expect(Number.isInteger(of) && Number(of) > 0, `${at}.of`, 'is no number of runs')
  const all = list(runs, `${at}.runs`)
  expect(all.length > 0 && all.length <= Number(of), `${at}.runs`, `has ${all.length} of ${of}`)
  for (const [i, run] of all.entries()) checkRun(run, `${at}.runs[${i}]`)
}

function checkRun(value: unknown, at: string): void {
  const { startedAt, values } = fields(value, at)
  expect(!Number.isNaN(Date.parse(String(startedAt))), `${at}.startedAt`, 'is no time')
  const figures = Object.entries(fields(values, `${at}.values`))
  expect(figures.length > 0, `${at}.values`, 'has no figure')
  for (const [id, numbers] of figures) {
    expect(
      FIGURES.some((figure) => figure.id === id),
      `${at}.values`,
      `names '${id}', which is no figure`,
    )
    const all = list(numbers, `${at}.values.${id}`)
    expect(all.length > 0 && all.every((each) => Number.isFinite(each) && Number(each) >= 0), `${at}.values.${id}`, 'is no list of numbers')
  }
}

function expect(isTrue: boolean, at: string, why: string): void {
  if (!isTrue) throw new Error(`${at === '' ? 'the file' : at} ${why}`)
}

const isText = (value: unknown, at: string) => expect(typeof value === 'string' && value !== '', at, 'is no text')

function fields(value: unknown, at: string): Readonly<Record<string, unknown>> {
  expect(typeof value === 'object' && value !== null && !Array.isArray(value), at, 'is no object')
  return value as Readonly<Record<string, unknown>>
}

function list(value: unknown, at: string): readonly unknown[] {
  expect(Array.isArray(value), at, 'is no list')
  return value as readonly unknown[]
}
