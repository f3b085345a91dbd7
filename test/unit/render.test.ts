import {
  exitCode,
  isGood,
  type Mutant,
  type Result,
  type RunRecord,
  renderJson,
  renderJunit,
  renderTable,
  type Scenario,
  type Verdict,
} from '#core'
import { assert, suite } from '../suite.ts'

const test = suite('render')

const scenario = { name: 'edit', kind: 'proof' } as Scenario
const record = { startedAt: '2026-01-01T00:00:00.000Z', endedAt: '2026-01-01T00:00:02.500Z' } as RunRecord
const times = [
  { bound: 'reverted', share: 1, lowerMs: 20, upperMs: 1500, partsMs: { seenMs: 500, healedMs: 1000 }, valuesMs: [100, 300, 200] },
]
const claims = [{ name: 'served', outcome: 'true', seen: '12 requests' }] as const

function resultOf(verdict: Verdict, mutant?: Pick<Mutant, 'name' | 'expect'>): Result {
  return {
    record,
    scenario,
    timing: { name: 'local' } as Result['timing'],
    judgement: { verdict, reason: 'why <&> not', times, claims },
    path: 'r.json',
    ...(mutant === undefined ? {} : { mutant }),
  }
}

const off = { name: 'off', expect: 'violated' } as const

test('a proof is good when held, a mutant when its verdict is the expected red', () => {
  assert.is(isGood(resultOf('held')), true)
  assert.is(isGood(resultOf('no data')), false)
  assert.is(isGood(resultOf('violated', off)), true)
  assert.is(isGood(resultOf('held', off)), false)
  assert.is(isGood(resultOf('not injected', off)), false)
})

test('exitCode() is the worst verdict in the order aborted, violated, not injected, no data', () => {
  const codes = (...verdicts: Verdict[]) => exitCode(verdicts.map((verdict) => resultOf(verdict)))
  assert.is(codes('held', 'held'), 0)
  assert.is(codes(), 3)
  assert.is(codes('held', 'no data'), 3)
  assert.is(codes('no data', 'not injected'), 4)
  assert.is(codes('not injected', 'violated'), 1)
  assert.is(codes('violated', 'aborted'), 5)
})

test('exitCode() of a mutant that is not red is 1', () => {
  assert.is(exitCode([resultOf('held', off)]), 1)
  assert.is(exitCode([resultOf('violated', off)]), 0)
})

test('renderTable() shows the verdict, the reason and the spread', () => {
  assert.is(
    renderTable([resultOf('held')]),
    [
      '✓ edit: held: why <&> not',
      '    reverted: n 3, min 100, p50 200, p95 300, max 300 ms (bound 20 to 1500 = seen 500 + healed 1000)',
      '    served: 12 requests',
    ].join('\n'),
  )
})

test('renderTable() ends with k of n and the spread of what ran more than once, red runs included', () => {
  const last = renderTable([resultOf('held'), resultOf('violated')])
    .split('\n')
    .slice(-2)
  assert.is(last[0], '✗ edit: 1 of 2 held')
  assert.match(last[1] ?? '', /reverted: n 6, min 100/)
})

test('renderJunit() is well-formed and counts failures', () => {
  const xml = renderJunit([resultOf('held'), resultOf('violated')])
  assert.match(xml, /<testsuite name="holdfast" tests="2" failures="1">/)
  assert.match(xml, /time="2.5"><failure message="violated: why &#60;&#38;&#62; not"\/>/)
})

test('renderJson() is one array with a row per run', () => {
  const rows = JSON.parse(renderJson([resultOf('held'), resultOf('violated', off)]))
  assert.is(rows.length, 2)
  assert.equal([rows[1].name, rows[1].mutant, rows[1].expected, rows[1].verdict], ['edit', 'off', 'violated', 'violated'])
})

test.run()
