import { isChange, type Judgement, judge, percentile, type RunRecord, type Scenario } from '#core'
import type { KubeObject } from '#kit/kube'
import { assert, suite } from '../suite.ts'

const test = suite('judge')

const selfHeal = { noticedMs: 200, comparedMs: 300, syncedMs: 500 }
const timing = {
  name: 'local',
  selfHeal,
  recreate: selfHeal,
  delivery: { pushMs: 1000, seenMs: 2000, syncedMs: 2000 },
  reconciliationMs: 9000,
  speedup: 15,
  hpa: { syncMs: 5000, usageMs: 10_000, scaleInWindowMs: 20_000, podStartMs: 5000 },
  nodes: { heartbeatMs: 10_000, graceMs: 20_000, monitorMs: 5000, tolerationMs: 10_000 },
} as const
const object = (value: string, uid = 'a'): KubeObject => ({ apiVersion: 'v1', kind: 'Thing', metadata: { name: 'x', uid }, value })
const scenario: Scenario = {
  name: 'edit',
  kind: 'proof',
  about: '',
  steady: [{ name: 'calm', look: async () => ({ ok: true, seen: 'calm' }) }],
  watches: [],
  steps: () => [
    { kind: 'act', name: 'edit', run: async () => {} },
    { kind: 'until', isBite: true, name: 'the edit', timeoutMs: 1, matches: (event) => isChange(event) && event.object.value === 'bad' },
    { kind: 'until', name: 'the healing', timeoutMs: 1, matches: (event) => isChange(event) && event.object.value === 'good' },
  ],
  bounds: ({ selfHeal }) => [{ name: 'reverted', lowerMs: 20, partsMs: selfHeal }],
  mutants: [],
}
const calm = { name: 'calm', ok: true, seen: 'calm' }

const begun = (step: string, atMs: number) => ({ type: 'BEGUN' as const, step, atMs })

/** A run whose object is edited 10 ms after the act and healed `healMs` later. */
function recordOf(healMs: number | undefined, changes: Partial<RunRecord> = {}): RunRecord {
  const event = (value: string, atMs: number) => ({ type: 'MODIFIED' as const, object: object(value), atMs })
  const events = [
    event('good', 900),
    begun('edit', 1000),
    event('bad', 1010),
    ...(healMs === undefined ? [] : [event('good', 1010 + healMs)]),
  ]
  return {
    format: 2,
    id: 'r',
    scenario: 'edit',
    kind: 'proof',
    cluster: 'local',
    clusterKind: 'k3s',
    environment: 'dev',
    timing: 'local',
    startedAt: '2026-01-01T00:00:00Z',
    endedAt: '2026-01-01T00:00:01Z',
    versions: {},
    steadyBefore: [calm],
    steadyAfter: [calm],
    rounds: [{ before: [object('good')], events, startedAtMs: 1000, endedAtMs: 3010 }],
    ...changes,
  }
}

const verdictOf = (record: RunRecord): Judgement => judge(record, scenario, timing)

test('held when the healing is within the sum of the named parts', () => {
  const { verdict, times } = verdictOf(recordOf(1000))
  assert.is(verdict, 'held')
  assert.equal(times, [{ bound: 'reverted', share: 1, lowerMs: 20, upperMs: 1000, partsMs: selfHeal, valuesMs: [1000] }])
})

test('violated a millisecond beyond the bound', () => {
  const { verdict, reason } = verdictOf(recordOf(1001))
  assert.is(verdict, 'violated')
  assert.is(reason, 'reverted: 1001 ms is not between 20 and 1000 ms')
})

test('a bound for a share forgives as many rounds as it says, and no more', () => {
  const bounds = () => [{ name: 'p50', share: 0.5, lowerMs: 20, partsMs: { all: 1000 } }]
  const [round] = recordOf(900).rounds
  const [slow] = recordOf(5000).rounds
  const judged = (rounds: RunRecord['rounds']) =>
    judge(recordOf(900, { rounds }), { ...scenario, repeat: rounds.length, bounds }, timing).verdict
  assert.ok(round !== undefined && slow !== undefined)
  assert.is(judged([round, slow]), 'held')
  assert.is(judged([round, slow, slow]), 'violated')
})

test('violated when it is faster than possible', () => {
  assert.is(verdictOf(recordOf(19)).verdict, 'violated')
  assert.is(verdictOf(recordOf(20)).verdict, 'held')
})

test('violated when it never heals', () => {
  const { verdict, reason } = verdictOf(recordOf(undefined))
  assert.is(verdict, 'violated')
  assert.match(reason, /the healing was not seen within 2000 ms/)
})

test('not injected when the edit was never seen, even if the state is good', () => {
  const calmRound = {
    before: [object('good')],
    events: [begun('edit', 1000), { type: 'MODIFIED' as const, object: object('good'), atMs: 1100 }],
    startedAtMs: 1000,
    endedAtMs: 2000,
  }
  assert.is(verdictOf(recordOf(100, { rounds: [calmRound] })).verdict, 'not injected')
})

test('an edit from before the act is not taken for it', () => {
  const early = {
    before: [object('good')],
    events: [{ type: 'MODIFIED' as const, object: object('bad'), atMs: 1010 }, begun('edit', 2000)],
    startedAtMs: 900,
    endedAtMs: 3000,
  }
  assert.is(verdictOf(recordOf(100, { rounds: [early] })).verdict, 'not injected')
})

test('a mutant that must stay broken is not red because its healing came late', () => {
  const off = { name: 'off', expect: 'violated', holdMs: 30_000 } as const
  const withMutant = { ...scenario, mutants: [off] }
  assert.is(judge(recordOf(5000, { mutant: 'off' }), withMutant, timing).verdict, 'held')
  assert.is(judge(recordOf(undefined, { mutant: 'off' }), withMutant, timing).verdict, 'violated')
})

test('a mutant is judged by one round', () => {
  const often = { ...scenario, repeat: 20 }
  assert.is(judge(recordOf(undefined, { mutant: 'off' }), often, timing).verdict, 'violated')
  assert.is(judge(recordOf(900), often, timing).verdict, 'no data')
})

test('no data without a round, without a steady start, or without a look after the undo', () => {
  assert.is(verdictOf(recordOf(100, { rounds: [] })).verdict, 'no data')
  assert.is(verdictOf(recordOf(100, { steadyBefore: [{ ...calm, ok: false }] })).verdict, 'no data')
  assert.is(verdictOf(recordOf(100, { steadyAfter: [] })).verdict, 'no data')
})

test('violated when the state is not steady after the undo', () => {
  assert.is(verdictOf(recordOf(100, { steadyAfter: [{ ...calm, ok: false, seen: 'storm' }] })).verdict, 'violated')
})

test('a mutant is not red because its undo failed', () => {
  const late: Scenario = { ...scenario, mutants: [{ name: 'late', expect: 'violated' }] }
  const record = recordOf(100, { mutant: 'late', steadyAfter: [{ ...calm, ok: false, seen: 'storm' }] })
  assert.is(judge(record, late, timing).verdict, 'aborted')
})

test('a claim that is untrue violates, one without data is no data', () => {
  const claiming = (outcome: 'true' | 'false' | 'no data') =>
    judge(recordOf(100), { ...scenario, claims: () => [{ name: 'all served', check: () => ({ outcome, seen: '7' }) }] }, timing)
  assert.is(claiming('true').verdict, 'held')
  assert.equal(claiming('true').claims, [{ name: 'all served', outcome: 'true', seen: '7' }])
  assert.equal([claiming('false').verdict, claiming('false').reason], ['violated', 'all served: 7'])
  assert.is(claiming('no data').verdict, 'no data')
})

test('a bound may lie between any two steps', () => {
  const bounds = () => [{ name: 'bitten', from: 'edit', to: 'the edit', lowerMs: 0, partsMs: { all: 5 } }]
  assert.equal(judge(recordOf(100), { ...scenario, bounds }, timing).times[0]?.valuesMs, [10])
  assert.is(judge(recordOf(100), { ...scenario, bounds }, timing).verdict, 'violated')
})

test('a bound that no step, or not every round, gave a time is no data: else a name that is misspelt could never fail', () => {
  const misspelt = { ...scenario, bounds: () => [{ name: 'bitten', from: 'edti', lowerMs: 0, partsMs: { all: 5 } }] }
  const { verdict, reason } = judge(recordOf(100), misspelt, timing)
  assert.equal([verdict, reason], ['no data', 'bitten: measured in 0 of 1 rounds'])
})

test('aborted comes before everything else', () => {
  const { verdict, reason } = verdictOf(recordOf(100, { rounds: [], abortedBy: 'Interrupted by SIGINT' }))
  assert.is(verdict, 'aborted')
  assert.is(reason, 'Interrupted by SIGINT')
})

test('a record that went through a file is judged the same', () => {
  const record = recordOf(640)
  assert.equal(verdictOf(JSON.parse(JSON.stringify(record))), verdictOf(record))
})

test('percentile() is the nearest rank', () => {
  const values = Array.from({ length: 20 }, (_, i) => i + 1)
  assert.is(percentile(values, 0.95), 19)
  assert.is(percentile(values, 0.5), 10)
  assert.is(percentile([7], 0.95), 7)
  assert.is(percentile([], 0.95), undefined)
})

test.run()
