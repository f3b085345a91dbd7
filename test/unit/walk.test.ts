/** The three kinds of wait, by recorded evidence: until, always for, never for. */
import { isFrom, type RecordedEvent, type Round, type Step, walk } from '#core'
import { assert, suite } from '../suite.ts'

const test = suite('walk')

const begun = (step: string, atMs: number): RecordedEvent => ({ type: 'BEGUN', step, atMs })
const saw = (value: unknown, atMs: number): RecordedEvent => ({ type: 'OBSERVED', source: 'probe', value, atMs })
const act: Step = { kind: 'act', name: 'act', run: async () => {} }
const until = (value: number): Step => ({ kind: 'until', name: `see ${value}`, timeoutMs: 1, matches: (event) => sees(event, value) })
const never: Step = { kind: 'never', name: 'a nine', forMs: 1000, matches: (event) => sees(event, 9) }
const always: Step = {
  kind: 'always',
  name: 'fives',
  forMs: 1000,
  concerns: (event) => isFrom('probe', event),
  holds: (event) => sees(event, 5),
  least: 2,
}
const sees = (event: RecordedEvent, value: number) => isFrom('probe', event) && event.value === value
const roundOf = (events: RecordedEvent[], endedAtMs = 5000): Round => ({ before: [], events, startedAtMs: 0, endedAtMs })

test('until: the first match after the step before', () => {
  const { reached, stop } = walk([act, until(1), until(2)], roundOf([saw(2, 50), begun('act', 100), saw(1, 200), saw(2, 300), saw(2, 400)]))
  assert.is(stop, undefined)
  assert.equal([...reached.values()], [100, 200, 300])
})

test('until: one event does not serve two steps', () => {
  assert.is(walk([act, until(1), until(1)], roundOf([begun('act', 100), saw(1, 200)])).stop?.why, 'unseen')
})

test('until: the event that shows the bite may show what came of it, too', () => {
  const bite: Step = { kind: 'until', isBite: true, name: 'bite', timeoutMs: 1, matches: (event) => sees(event, 1) }
  assert.is(walk([act, bite, until(1)], roundOf([begun('act', 100), saw(1, 200)])).stop, undefined)
})

test('until: what was noticed may be told before the bite, though not before the act, and the search goes on from it', () => {
  const bite: Step = { kind: 'until', isBite: true, name: 'bite', timeoutMs: 1, matches: (event) => sees(event, 1) }
  const noticed = { ...until(2), mayPrecedeBite: true } as Step
  const told = roundOf([begun('act', 100), saw(2, 200), saw(1, 210), saw(3, 300)])
  assert.equal([...walk([act, bite, noticed, until(3)], told).reached.values()], [100, 210, 200, 300])
  assert.is(walk([act, bite, until(2)], told).stop?.why, 'unseen')
  const early = roundOf([saw(2, 50), begun('act', 100), saw(1, 210)])
  assert.is(walk([act, bite, noticed], early).stop?.seen.startsWith('see 2 was not seen'), true)
})

test('evidence counts at its own time, however late it was told', () => {
  const { reached } = walk([act, until(1), until(2)], roundOf([begun('act', 100), saw(2, 300), saw(1, 200)]))
  assert.is(reached.get('see 2'), 300)
})

test('never: broken by a match within its time, kept by one after it', () => {
  assert.is(walk([act, never], roundOf([begun('act', 100), saw(9, 1100)])).stop?.why, 'broken')
  assert.is(walk([act, never], roundOf([begun('act', 100), saw(9, 1101)])).reached.get('a nine'), 1100)
})

test('never: what ended the step before is not held against it', () => {
  assert.is(walk([act, until(9), never], roundOf([begun('act', 100), saw(9, 200)])).stop, undefined)
  assert.is(walk([act, until(9), never], roundOf([begun('act', 100), saw(9, 200), saw(9, 200)])).stop?.why, 'broken')
})

test('never: not shown by a round that ended before its time', () => {
  assert.is(walk([act, never], roundOf([begun('act', 100)], 1099)).stop?.why, 'unfinished')
})

test('always: what is in force when its time begins counts', () => {
  assert.is(walk([act, always], roundOf([saw(4, 50), begun('act', 100), saw(5, 200), saw(5, 300)])).stop?.why, 'broken')
  assert.is(walk([act, always], roundOf([saw(5, 50), begun('act', 100), saw(5, 200)])).stop, undefined)
})

test('always: too few looks show nothing', () => {
  assert.match(walk([act, always], roundOf([begun('act', 100), saw(5, 200)])).stop?.seen ?? '', /1 looks, fewer than 2/)
})

test('a failed look is no observation', () => {
  const failed: RecordedEvent = { type: 'UNOBSERVED', source: 'probe', value: 'HTTP 503', atMs: 150 }
  assert.is(walk([act, always], roundOf([begun('act', 100), failed, saw(5, 200), saw(5, 300)])).stop, undefined)
})

test('a step that was not begun is unfinished, not unseen', () => {
  assert.is(walk([act, until(1)], roundOf([saw(1, 200)])).stop?.why, 'unfinished')
})

test.run()
