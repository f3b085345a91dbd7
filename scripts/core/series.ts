/** The same run many times, by as many commands as it takes: a series that was cut short goes on from its records. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { recordName, recordsDir } from './record.ts'
import type { Mutant, RunRecord, Scenario, SeriesMark } from './scenario.ts'
import type { Digest } from './types.ts'

export interface KeptRecord {
  readonly record: RunRecord
  /** Its file. */
  readonly path: string
}

export interface Series {
  readonly mark: SeriesMark
  /** What is done of it, oldest first. */
  readonly done: readonly KeptRecord[]
}

/** What is to be run so often, and where. */
export interface SeriesRequest extends Pick<RunRecord, 'cluster' | 'environment'> {
  readonly of: number
  readonly digest: Digest
}

/**
 * The last series of these runs where it is unfinished and was of the same digest, else a new one. A run that somebody stopped says
 * nothing; every other one counts, whatever came of it.
 * @param kept records of one scenario, and of one mutant or of none.
 */
export function continueSeries(kept: readonly KeptRecord[], { of, digest, cluster, environment }: SeriesRequest, now = new Date()): Series {
  const here = kept.filter(({ record }) => record.cluster === cluster && record.environment === environment)
  const inOrder = here.toSorted((a, b) => a.record.startedAt.localeCompare(b.record.startedAt))
  const mark = inOrder.findLast(({ record }) => record.series !== undefined)?.record.series
  const done = inOrder.filter(({ record }) => record.series?.id === mark?.id && record.interrupted !== true)
  if (mark !== undefined && mark.of === of && mark.digest === digest && done.length < of) return { mark, done }
  return { mark: { id: now.toISOString(), of, digest }, done: [] }
}

/** Every record of a scenario, and of one mutant or of none. One that cannot be read is none. */
export async function readRecords(scenario: Scenario, mutant: Mutant | undefined): Promise<KeptRecord[]> {
  const name = recordName(scenario, mutant)
  const files = (await readdir(recordsDir())).filter((file) => /^[\dT-]+Z-(.+)\.json$/.exec(file)?.[1] === name)
  const kept = (await Promise.all(files.map((file) => readKept(join(recordsDir(), file))))).flat()
  return kept.filter(({ record }) => record.scenario === scenario.name && record.mutant === mutant?.name)
}

async function readKept(path: string): Promise<KeptRecord[]> {
  try {
    return [{ path, record: JSON.parse(await readFile(path, 'utf8')) as RunRecord }]
  } catch {
    return [] // cut short while it was written
  }
}
