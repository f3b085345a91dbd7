/** Results from records that were kept: read from files, judged again by what this version knows. */
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { messageOf, UserError } from '#kit/errors'
import { reportsDir } from '#kit/paths'
import { judge } from '../judge.ts'
import type { Result } from '../render.ts'
import type { Judgement, RunRecord, Scenario } from '../scenario.ts'
import type { Stack, TimingProfile } from '../types.ts'

const WHAT = 'Cannot make a report'
const FORMAT = 2
const TIMINGS: readonly string[] = ['local', 'production'] satisfies TimingProfile['name'][]

/**
 * The results of every record in these files: records (also packed), reports of ours, results.json, and folders of them; in the order
 * in which they began. Without any path the last run's.
 * @throws UserError for a path that is missing, holds no record, or one of a format that this version does not know.
 */
export async function readResults(stack: Stack, paths: readonly string[] = []): Promise<Result[]> {
  const files = (await Promise.all((paths.length === 0 ? [await lastRun()] : paths).map(filesAt))).flat()
  const results = await Promise.all(files.map(async (file) => (await recordsIn(file)).map((kept) => judgeKept(stack, kept))))
  const byId = new Map(results.flat().map((result) => [result.record.id, result]))
  return [...byId.values()].toSorted((a, b) => orderOf(a).localeCompare(orderOf(b)))
}

const orderOf = ({ record }: Result) => `${record.startedAt} ${record.id}`

interface Kept {
  readonly record: RunRecord
  /** The file that it is in. */
  readonly path: string
}

async function lastRun(): Promise<string> {
  const path = join(reportsDir(), 'results.json')
  if (await stat(path).catch(() => undefined)) return path
  throw new UserError({ what: WHAT, why: 'nothing was run here yet', next: 'Run npm run prove, or name a record' })
}

async function filesAt(path: string): Promise<string[]> {
  const found = await stat(path).catch(() => undefined)
  if (found === undefined) throw new UserError({ what: WHAT, why: `there is no file '${path}'` })
  if (!found.isDirectory()) return [path]
  const files = (await readdir(path)).filter((name) => /\.json(\.gz)?$/.test(name)).sort()
  if (files.length === 0) throw new UserError({ what: WHAT, why: `the folder '${path}' holds no record`, next: 'Records end in .json' })
  return files.map((name) => join(path, name))
}

async function recordsIn(path: string): Promise<Kept[]> {
  const content = await readFile(path)
  if (content.subarray(0, 2).equals(GZIP)) return [{ record: checked(parse(gunzipSync(content).toString(), path), path), path }]
  const text = content.toString()
  if (/^\s*<!doctype html/i.test(text)) return embeddedIn(text, path)
  const parsed = parse(text, path)
  return Array.isArray(parsed) ? listedIn(parsed, path) : [{ record: checked(parsed, path), path }]
}

const GZIP = Buffer.from([0x1f, 0x8b])

function parse(text: string, path: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new UserError({ what: WHAT, why: `'${path}' is no JSON`, next: 'Name a record, a report of ours or a results.json' })
  }
}

/** A report carries its records in its links. */
function embeddedIn(page: string, path: string): Kept[] {
  const packed = [...page.matchAll(/href="data:application\/gzip;base64,([A-Za-z0-9+/=]+)"/g)].map(([, base64 = '']) => base64)
  if (packed.length === 0) throw new UserError({ what: WHAT, why: `'${path}' holds no record`, next: 'Name a report of ours' })
  return packed.map((base64) => ({ record: checked(parse(gunzipSync(Buffer.from(base64, 'base64')).toString(), path), path), path }))
}

/** `results.json` names the records' files. */
async function listedIn(rows: readonly unknown[], path: string): Promise<Kept[]> {
  const files = rows.map((row) => (row as { record?: unknown } | null)?.record)
  const missing = files.findIndex((file) => typeof file !== 'string')
  if (missing >= 0) throw new UserError({ what: WHAT, why: `row ${missing + 1} of '${path}' names no record` })
  return (await Promise.all((files as string[]).map(async (file) => recordsIn((await filesAt(file))[0] ?? file)))).flat()
}

/** Fields that came later may be missing of an old record; what judging needs may not. */
function checked(value: unknown, path: string): RunRecord {
  const record = value as Partial<RunRecord> | null
  const isRecord = typeof record === 'object' && typeof record?.scenario === 'string' && Array.isArray(record.rounds)
  if (!isRecord) throw new UserError({ what: WHAT, why: `'${path}' is no record of a run`, next: 'Records are in .holdfast/reports/runs' })
  if (record.format !== FORMAT)
    throw new UserError({ what: WHAT, why: `'${path}' has format ${record.format}, and this version reads ${FORMAT}` })
  if (!TIMINGS.includes(record.timing ?? '')) throw new UserError({ what: WHAT, why: `'${path}' names no timing that this version knows` })
  return record as RunRecord
}

/** A scenario or mutant that this version does not know cannot be judged; what was recorded is shown all the same. */
function judgeKept(stack: Stack, { record, path }: Kept): Result {
  const timing = stack.timing[record.timing]
  const scenario = stack.parts.flatMap((part) => part.scenarios).find(({ name }) => name === record.scenario)
  const mutant = scenario?.mutants.find(({ name }) => name === record.mutant)
  if (scenario === undefined) return { record, path, timing, scenario: unknownScenario(record), judgement: unjudged('this scenario') }
  if (mutant === undefined && record.mutant !== undefined)
    return { record, path, timing, scenario: { ...unknownScenario(record), about: scenario.about }, judgement: unjudged('this mutant') }
  return { record, path, timing, scenario, judgement: judgeSafely(record, scenario, timing), ...(mutant === undefined ? {} : { mutant }) }
}

const unjudged = (what: string): Judgement => ({
  verdict: 'no data',
  reason: `not judged: this version does not know ${what}`,
  times: [],
  claims: [],
})

/** What a scenario reads of evidence may be missing in an old record. */
function judgeSafely(record: RunRecord, scenario: Scenario, timing: Result['timing']): Judgement {
  try {
    return judge(record, scenario, timing)
  } catch (thrown) {
    return { ...unjudged(''), reason: `not judged: the record lacks what this version reads (${messageOf(thrown)})` }
  }
}

/** As much of a scenario as its record tells: what was done. */
function unknownScenario({ scenario, kind, rounds }: RunRecord): Scenario {
  const begun = rounds.flatMap(({ events }) => events.flatMap((event) => (event.type === 'BEGUN' ? [event.step] : [])))
  const steps = [...new Set(begun)].map((name) => ({ kind: 'act' as const, name, run: async () => {} }))
  return {
    name: scenario,
    kind,
    about: 'Recorded by another version.',
    steady: [],
    watches: [],
    steps: () => steps,
    bounds: () => [],
    mutants: [],
  }
}
