import fc from 'fast-check'
import { formatDuration, parseDuration, sped } from '#kit/duration'
import { assert, suite } from '../suite.ts'

const test = suite('duration')

test('every unit is read, also several together', () => {
  const cases = {
    '1ms': 1,
    '15s': 15_000,
    '5m': 300_000,
    '1h30m': 5_400_000,
    '1d': 86_400_000,
    '2w': 1_209_600_000,
    '0s': 0,
    '1m0s': 60_000,
  }
  for (const [text, ms] of Object.entries(cases)) assert.is(parseDuration(text), ms, text)
  assert.is(parseDuration('1y1w1d1h1m1s1ms'), 31_536_000_000 + 604_800_000 + 86_400_000 + 3_600_000 + 60_000 + 1000 + 1)
})

test('what Prometheus refuses is refused: no unit, fractions, signs, spaces, units twice or out of order', () => {
  const bad = ['', '5', '0', 's', '1.5m', '-5m', '5 m', ' 5m', '5m ', '5M', '5min', '5m1h', '5m5m', '1ms1s', '5m\n', '1e3s']
  for (const text of bad) assert.throws(() => parseDuration(text), /is not a duration such as 15s, 5m or 1h30m/, text)
  assert.throws(() => parseDuration(`${'9'.repeat(20)}s`), /is not a duration/)
})

test('milliseconds are written in the largest units that lose nothing', () => {
  const cases = { 0: '0s', 1: '1ms', 1500: '1s500ms', 90000: '1m30s', 86400000: '24h' }
  for (const [ms, text] of Object.entries(cases)) assert.is(formatDuration(Number(ms)), text)
})

test('what is no whole number of milliseconds from 0 is not written', () => {
  for (const ms of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 60]) {
    assert.throws(() => formatDuration(ms), /is not a duration in whole milliseconds/)
  }
})

test('what is written is read as the same', () => {
  fc.assert(fc.property(fc.maxSafeNat(), (ms) => parseDuration(formatDuration(ms)) === ms))
})

test('production’s durations on a clock 15 times as fast', () => {
  const cases = { '15s': '1s', '30s': '2s', '1m': '4s', '2m': '8s', '5m': '20s', '4h': '16m', '0s': '0s', '30ms': '2ms' }
  for (const [from, to] of Object.entries(cases)) assert.is(sped(from, 15), to, from)
})

test('the same clock keeps even the spelling', () => {
  assert.is(sped('90m', 1), '90m')
})

test('what does not divide, and what is no factor, is refused and not rounded', () => {
  assert.throws(() => sped('10s', 15), /'10s' cannot run 15 times as fast in whole milliseconds/)
  for (const factor of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) assert.throws(() => sped('15s', factor), /is not a factor/)
  assert.throws(() => sped('often', 1), /is not a duration/)
})

test.run()
