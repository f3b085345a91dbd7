/** What users notice, by what load says, and when it is too much. */
import { type LoadSecond, noticedBy, type RecordedEvent, tooMuchHarm } from '#core'
import { assert, suite } from '../suite.ts'
import { secondOf } from './engine-fixture.ts'

const test = suite('harm')

const told = (value: LoadSecond, atS: number, source = 'load'): RecordedEvent => ({ type: 'OBSERVED', source, value, atMs: atS * 1_000 })
const seconds = (...failed: readonly number[]) => failed.map((count, i) => told(secondOf(10, count), i + 1))

test('what users notice is what failed, and the seconds in which nobody was answered', () => {
  assert.equal(noticedBy(seconds(0, 0, 3)), { requests: 30, failed: 3, outageMs: 0 })
  assert.equal(noticedBy(seconds(0, 10, 10, 4)), { requests: 40, failed: 24, outageMs: 2_000 })
  assert.equal(noticedBy([]), { requests: 0, failed: 0, outageMs: 0 })
})

test('a second of which nothing is told had no answer', () => {
  assert.is(noticedBy([told(secondOf(10, 0), 1), told(secondOf(10, 0), 5)]).outageMs, 3_000)
})

test('two stages that meet in one second are one second', () => {
  assert.is(noticedBy([told(secondOf(5, 5), 1), told(secondOf(5, 0), 1), told(secondOf(5, 0), 2)]).outageMs, 0)
})

test('load that only looks is no user', () => {
  assert.equal(noticedBy([...seconds(0, 0), told(secondOf(10, 10), 2, 'probe')]), { requests: 20, failed: 0, outageMs: 0 })
  const probed = [...seconds(0, 0, 0, 0), ...[1, 2, 3, 4].map((at) => told(secondOf(90, 90), at, 'probe'))]
  assert.is(tooMuchHarm(probed, { failedShare: 0.5, forMs: 2_000 }), undefined)
})

test('it is too much once more than the share failed, over the whole time and not before', () => {
  const limit = { failedShare: 0.5, forMs: 3_000 }
  assert.is(tooMuchHarm(seconds(10, 10, 10), limit), undefined, 'the load has not lasted so long')
  assert.match(tooMuchHarm(seconds(10, 10, 10, 10), limit) ?? '', /^Stopped: 100 % of the requests of the last 3\.0 s failed/)
  assert.is(tooMuchHarm(seconds(0, 5, 5, 5), limit), undefined, 'half is not more than half')
  assert.match(tooMuchHarm(seconds(0, 5, 5, 6), limit) ?? '', /53 %/)
  assert.is(tooMuchHarm(seconds(10, 0, 0, 0), limit), undefined, 'it is over')
})

test.run()
