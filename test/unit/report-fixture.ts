/** Kept records and what they give, for the tests of reports. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Result, type RunRecord, readResults, renderHtml } from '#core'
import { stack } from '../../holdfast.config.ts'
import { createTree } from './tree-fixture.ts'

export const RECORDS = join(import.meta.dirname, 'records')

export function keptRecord(name: string, folder = RECORDS): RunRecord {
  return JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8')) as RunRecord
}

/** From before its scenario began with load: this version can show it, and not judge it. */
export const oldRecord = () => keptRecord('memory-alert', join(import.meta.dirname, 'old-records'))

/** As `npm run report` reads them. */
export async function resultsOf(...records: readonly object[]): Promise<Result[]> {
  using tree = createTree(Object.fromEntries(records.map((record, i) => [`${i}.json`, JSON.stringify(record)])))
  return await readResults(stack, [tree.path])
}

export async function resultOf(record: object): Promise<Result> {
  const [result] = await resultsOf(record)
  if (result === undefined) throw new Error('no result')
  return result
}

/** A string that would be noticed if it were not escaped. */
export const HOSTILE = `"><img src=x onerror="alert(1)"></style><script>alert('&')</script>\u0007`

/** A run whose every text that comes from outside is hostile. */
export function hostileRecord(): RunRecord {
  const record = keptRecord('process-hangs')
  const text = JSON.stringify(HOSTILE).slice(1, -1)
  const swapped = JSON.stringify(record)
    .replaceAll(/service-[0-9a-f]+-[a-z0-9]{5}/g, text)
    .replaceAll('"v1.36.3"', `"${text}"`)
  const abortedBy = HOSTILE
  const steadyBefore = [{ name: HOSTILE, ok: true, seen: HOSTILE }]
  return { ...(JSON.parse(swapped) as RunRecord), id: HOSTILE, digest: HOSTILE as `sha256:${string}`, abortedBy, steadyBefore }
}

/** Every kind of run that there is: held, red, mutants, many rounds, a series, aborted, hostile, of an unknown scenario. */
export const everyKind = once(async () => {
  const kept = readdirSync(RECORDS).map((file) => keptRecord(file.replace('.json', '')))
  const again = { ...keptRecord('process-hangs'), id: 'again', startedAt: '2026-11-26T01:00:00.000Z', endedAt: '2026-11-26T01:01:20.000Z' }
  const unknown = { ...keptRecord('alert-fires'), id: 'unknown', scenario: 'of-another-time' }
  return await resultsOf(...kept, again, unknown, oldRecord(), hostileRecord())
})

export const everyKindPage = once(async () => renderHtml(await everyKind()))

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined
  return () => (made ??= make())
}
