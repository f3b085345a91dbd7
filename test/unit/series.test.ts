/** A series that was cut short goes on, and nothing else does. */
import { continueSeries, type KeptRecord, type RunRecord, recordName, type Scenario } from '#core'
import { assert, suite } from '../suite.ts'

const test = suite('series')

const DIGEST = `sha256:${'a'.repeat(64)}` as const
const REQUEST = { of: 3, digest: DIGEST, cluster: 'local', environment: 'dev' } as const
const NOW = new Date('2026-02-01T00:00:00Z')
const MARK = { id: 's1', of: 3, digest: DIGEST }

function kept(minute: number, changes: Partial<RunRecord> = {}): KeptRecord {
  const startedAt = `2026-01-01T00:${String(minute).padStart(2, '0')}:00Z`
  return { path: `${minute}.json`, record: { startedAt, cluster: 'local', environment: 'dev', series: MARK, ...changes } as RunRecord }
}

const isNew = (records: readonly KeptRecord[], changes: Partial<typeof REQUEST> = {}) => {
  const { mark, done } = continueSeries(records, { ...REQUEST, ...changes }, NOW)
  return mark.id === NOW.toISOString() && done.length === 0
}

test('an unfinished series goes on from its records, oldest first, whatever came of them', () => {
  const { mark, done } = continueSeries([kept(2), kept(1, { abortedBy: 'Stopped: too much' })], REQUEST, NOW)
  assert.equal(mark, MARK)
  assert.equal(
    done.map(({ path }) => path),
    ['1.json', '2.json'],
  )
})

test('what somebody interrupted is run again', () => {
  const { done } = continueSeries([kept(1), kept(2, { abortedBy: 'Interrupted by SIGINT', interrupted: true })], REQUEST, NOW)
  assert.is(done.length, 1)
})

test('a finished series begins anew, as one of another length, digest, cluster or environment does', () => {
  assert.ok(isNew([]))
  assert.ok(isNew([kept(1), kept(2), kept(3)]))
  const two = [kept(1), kept(2)]
  assert.not.ok(isNew(two))
  assert.ok(isNew(two, { of: 4 as 3 }))
  assert.ok(isNew(two, { digest: `sha256:${'b'.repeat(64)}` as typeof DIGEST }))
  assert.ok(isNew(two, { cluster: 'other' as 'local' }))
  assert.ok(isNew(two, { environment: 'staging' as 'dev' }))
})

test('only the last series goes on', () => {
  const newer = kept(5, { series: { ...MARK, id: 's2', of: 10 } })
  assert.ok(isNew([kept(1), newer]))
  const { series: _, ...single } = kept(6).record
  assert.not.ok(isNew([kept(1), { path: '6.json', record: single }]), 'a run of its own is of no series')
})

test('a record is called by its scenario and its mutant', () => {
  const scenario = { name: 'pod-killed' } as Scenario
  assert.is(recordName(scenario, undefined), 'pod-killed')
  assert.is(recordName(scenario, { name: 'starts-late', expect: 'violated' }), 'pod-killed-starts-late')
})

test.run()
