/** Claims about load: a starved generator and too few requests are no data, never a pass. */
import { type Evidence, type LoadProfile, type LoadSummary, loadMeasured, noRequestFailed, type RecordedEvent } from '#core'
import { assert, suite } from '../suite.ts'

const test = suite('evidence')

const profile: LoadProfile = { name: 'steady', about: '', stages: [] }
const good: LoadSummary = { profile: 'steady', planned: 100, requests: 100, dropped: 0, failed: 0, exitCode: 0 }

function evidenceOf(...events: RecordedEvent[]): Evidence {
  return { events, before: [], endedAtMs: 0, at: () => undefined }
}
const second = (requests: number, failed: number): RecordedEvent => ({
  type: 'OBSERVED',
  source: 'load',
  atMs: 0,
  value: { stage: 'a', requests, failed, byStatus: {}, byPod: {}, byVersion: {}, p50Ms: 1, p95Ms: 1, maxMs: 1 },
})
const summary = (changes: Partial<LoadSummary>) =>
  loadMeasured(profile).check(evidenceOf({ type: 'OBSERVED', source: 'load summary', atMs: 0, value: { ...good, ...changes } })).outcome

test('load is measured when it ended by itself with 95 % of its requests and 1 % dropped at most', () => {
  assert.is(summary({}), 'true')
  assert.is(summary({ requests: 95 }), 'true')
  assert.is(summary({ dropped: 1 }), 'true')
})

test('load is not measured when it was cut, starved, or its generator failed', () => {
  assert.is(loadMeasured(profile).check(evidenceOf(second(100, 0))).outcome, 'no data')
  assert.is(summary({ requests: 94 }), 'no data')
  assert.is(summary({ dropped: 2 }), 'no data')
  assert.is(summary({ exitCode: 107 }), 'no data')
})

test('one failed request is one too many, and too few requests show nothing', () => {
  const claim = noRequestFailed(50)
  assert.is(claim.check(evidenceOf(second(30, 0), second(20, 0))).outcome, 'true')
  assert.is(claim.check(evidenceOf(second(49, 0))).outcome, 'no data')
  assert.is(claim.check(evidenceOf(second(49, 1))).outcome, 'false')
  assert.is(claim.check(evidenceOf()).outcome, 'no data')
})

test.run()
