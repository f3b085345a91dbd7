/** Runs measures one after the other on a cluster of its own; a series that was cut short goes on with the next command. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Failure, UserError } from '#kit/errors'
import { root } from '#kit/paths'
import { pickNamed } from '#kit/pick'
import type { Run, Stack } from '../types.ts'
import { growth } from './growth.ts'
import { code, drift, manifest, sync } from './inner-loop.ts'
import { codeKey, machineClass, machineFacts } from './machine.ts'
import { BENCH_CLUSTER, type Bench, type Bout, createNpm, type Measure } from './measure.ts'
import {
  type BenchResults,
  type BenchSeries,
  benchPath,
  continueBench,
  readBench,
  unfinishedPath,
  withoutMeasure,
  withSeries,
  writeBench,
} from './results.ts'
import { cold, rerun, restore, warm } from './start.ts'

/** In the order in which they run: what makes the cluster anew comes first. */
export const MEASURES: readonly Measure[] = [cold, warm, rerun, restore, manifest, code, sync, drift, growth]

/** What rests meanwhile: two stacks on one machine would measure each other. */
const USERS_CLUSTER = 'local'

export interface BenchChoice {
  /** @default all but those that are cold */
  readonly only?: readonly string[]
  readonly cold: boolean
}

/** @throws UserError with the nearest name for one that is not known, and for a cold one without the flag that allows it. */
export function chooseMeasures({ only = [], cold: allowed }: BenchChoice): readonly Measure[] {
  const chosen = pickNamed(MEASURES, only, 'measure')
  const forbidden = chosen.find(({ isCold = false }) => isCold && !allowed)
  if (only.length > 0 && forbidden !== undefined) {
    const why = 'it removes the image store and takes 20 minutes'
    throw new UserError({ what: `Cannot measure '${forbidden.name}'`, why, next: 'Add --cold' })
  }
  return chosen.filter(({ isCold = false }) => !isCold || allowed)
}

/** The menu, as lines or as JSON; needs no cluster. */
export function listMeasures({ json = false }: { readonly json?: boolean }): string {
  const all = MEASURES.map(({ name, about, runs, isCold = false }) => ({ name, about, runs, needsCold: isCold }))
  if (json) return JSON.stringify(all, null, 2)
  return all
    .map(({ name, about, runs, needsCold }) => `${name} (${runs} runs${needsCold ? ', only with --cold' : ''})\n    ${about}`)
    .join('\n')
}

export interface BenchRequest extends Run {
  readonly measures: readonly Measure[]
  /** How often each. @default as each measure says */
  readonly runs?: number
}

export interface BenchDone {
  readonly machine: string
  readonly results: BenchResults
  /** Names of the measures. */
  readonly measured: readonly string[]
}

/** Measures, and adds each series to the file as soon as it is whole. The user's cluster rests meanwhile; ours goes at the end. */
export async function runBench(stack: Stack, request: BenchRequest): Promise<BenchDone> {
  const { local } = stack.clusters
  const { measures, progress, signal } = request
  await using _lock = await local.lock(USERS_CLUSTER, 'bench')
  await using _paused = (await local.exists(USERS_CLUSTER)) ? await local.pause(USERS_CLUSTER) : undefined
  const cluster = async () => {
    const found = await local.find(BENCH_CLUSTER)
    if (found === undefined) throw new Failure({ what: 'Cannot measure', why: `no cluster '${BENCH_CLUSTER}' runs` })
    return found
  }
  const bench: Bench = { stack, progress, signal, npm: createNpm(root, signal), cluster }
  const measured: string[] = []
  try {
    for (const measure of measures) {
      await measureOne(bench, measure, request.runs ?? measure.runs)
      measured.push(measure.name)
    }
  } finally {
    // Also after Ctrl-C: who interrupts wants nothing left behind.
    await local.down({ name: BENCH_CLUSTER, all: false, progress })
  }
  return { machine: machineClass(), results: await readBench(benchPath()), measured }
}

async function measureOne(bench: Bench, measure: Measure, of: number): Promise<void> {
  const { progress, signal } = bench
  const [path, machine] = [unfinishedPath(), machineClass()]
  if (measure.onStack) await progress.step(`Bring the cluster '${BENCH_CLUSTER}' up`, () => bench.npm('local:up'))
  let series = continueBench(await readBench(path), machine, await headOf(bench, measure, of))
  if (series.runs.length > 0) progress.say(`Goes on with ${measure.name}: ${series.runs.length} of ${of} are there`)
  {
    await using bout = await measure.open(bench)
    for (let number = series.runs.length + 1; number <= of; number++) {
      signal.throwIfAborted()
      const run = await progress.step(`${measure.name} ${number} of ${of}`, () => timed(bout, number))
      series = { ...series, runs: [...series.runs, run] }
      await writeBench(path, withSeries(withoutMeasure(await readBench(path), machine, measure.name), machine, series))
    }
  }
  // A cold start may have begun without an engine to ask.
  const facts = await machineFacts(bench.stack.clusters.local.kubernetes.pinned)
  await writeBench(benchPath(), withSeries(await readBench(benchPath()), machine, { ...series, facts }))
  await writeBench(path, withoutMeasure(await readBench(path), machine, measure.name))
}

async function timed(bout: Bout, number: number): Promise<BenchSeries['runs'][number]> {
  const startedAt = new Date().toISOString()
  return { startedAt, ...(await bout.run(number)) }
}

async function headOf({ stack }: Bench, { name }: Measure, of: number): Promise<Omit<BenchSeries, 'runs'>> {
  const [head, facts] = await Promise.all([stack.source.head(), machineFacts(stack.clusters.local.kubernetes.pinned)])
  return { measure: name, of, commit: head?.sha ?? 'none', code: await codeKey(root), facts }
}

/** Writes the table of a README by `edit`. @returns whether it changed. */
export async function rewriteReadme(edit: (text: string) => string): Promise<boolean> {
  const path = join(root, 'README.md')
  const before = await readFile(path, 'utf8')
  const after = edit(before)
  if (after !== before) await writeFile(path, after)
  return after !== before
}
