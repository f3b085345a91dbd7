/** What a game day says at its end, and whose error budget it speaks of. */
import { type GameDay, renderGameDay } from '#core'
import { OBJECTIVES } from '../../alerts/budget.ts'
import { alertTiming } from '../../alerts/rules.ts'
import { stack } from '../../holdfast.config.ts'
import { assert, suite } from '../suite.ts'

const test = suite('game day')

const DAY_MS = 86_400_000
const day: GameDay = {
  minutes: 10,
  seed: 42,
  results: [],
  noticed: { requests: 3_000, failed: 12, outageMs: 3_000 },
  budgets: [
    { objective: '99.9 % not answered with 5xx', badShare: 0.0012, allowedShare: 0.001, periodMs: 2 * DAY_MS },
    { objective: '99 % answered within 0.5 s', badShare: undefined, allowedShare: 0.01, periodMs: 2 * DAY_MS },
  ],
  tookMs: 600_000,
}

test('it says what users noticed, and what was spent of the time and of the whole period', () => {
  assert.equal(renderGameDay(day).split('\n'), [
    'Game day of 10 min 00 s, seed 42: 0 of 0 experiments came out as they should',
    '    users of the soak: 12 of 3000 requests failed, 3 s without an answer',
    "    99.9 % not answered with 5xx: 0.12 % were not, 120 % of this time's error budget and 0.42 % of that of 30 days (2 d on this clock)",
    '    99 % answered within 0.5 s: no request was counted',
  ])
})

test('each objective is the one that its alerts are about: they fire at 14.4 times what may be spent', () => {
  for (const { alert, allowedShare } of OBJECTIVES) {
    const { threshold = 0 } = alertTiming(stack.timing.local, alert)
    assert.ok(Math.abs(threshold / allowedShare - 14.4) < 1e-9, `${alert}: ${threshold}`)
  }
})

test.run()
