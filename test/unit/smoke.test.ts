/** The proof that promoted versions serve, judged on made-up runs. */
import { judge, LOAD_SOURCE, type LoadSecond, type RunRecord, SUMMARY_SOURCE } from '#core'
import { stack } from '../../holdfast.config.ts'
import { smoke } from '../../load/scenarios/smoke.ts'
import { assert, suite } from '../suite.ts'

const test = suite('smoke')

const SECONDS = 20
const second = (changes: Partial<LoadSecond> = {}) => ({ requests: 10, failed: 0, byVersion: { abc: 10 }, ...changes })

/** What comes of a run whose last second differs. */
function judged(last: Partial<LoadSecond> = {}, { sent = 200, mutant }: { sent?: number; mutant?: string } = {}) {
  const observed = (source: string, value: unknown, atMs: number) => ({ type: 'OBSERVED' as const, source, value, atMs })
  const seconds = Array.from({ length: SECONDS }, (_, i) => observed(LOAD_SOURCE, second(i === SECONDS - 1 ? last : {}), (i + 1) * 1000))
  const summary = { profile: 'smoke', planned: 200, requests: sent, dropped: 0, failed: 0, exitCode: 0 }
  const events = [
    { type: 'BEGUN' as const, step: 'load', atMs: 0 },
    { type: 'DONE' as const, step: 'load', atMs: 500 },
    ...seconds,
    observed(SUMMARY_SOURCE, summary, 23_000),
  ]
  const record = {
    steadyBefore: [],
    steadyAfter: [],
    rounds: [{ before: [], events, startedAtMs: 0, endedAtMs: 23_000 }],
    ...(mutant === undefined ? {} : { mutant }),
  } as unknown as RunRecord
  const { verdict, reason } = judge(record, smoke, stack.timing.local)
  return `${verdict}: ${reason}`
}

test('smoke holds where every request is answered by one version', () => {
  assert.is(judged(), 'held: 1 of 1 round within bounds')
})

test('smoke is violated by one failed request and by a second version, and is no data where little was sent', () => {
  assert.is(judged({ failed: 1 }), 'violated: no request failed: 1 of 200 failed')
  assert.is(judged({ byVersion: { abc: 5, def: 5 } }), 'violated: one version answered: abc, def')
  assert.match(judged({}, { sent: 100 }), /^no data: load 'smoke' was measured: only 100 of 200 requests were sent/)
})

test('the mutant that asks for failures is red by them', () => {
  assert.match(judged({ failed: 10 }, { mutant: 'with-failures' }), /^violated: no request failed/)
})

test.run()
