/** Proofs of canaries, judged on made-up stories. */
import { type Context, judge, type RecordedEvent, renderObjects, type Scenario, type Stack, type Target } from '#core'
import { prometheus } from '../../alerts/prometheus/part.ts'
import { canaryScenarios } from '../../argocd/scenarios/canary.ts'
import { stack } from '../../holdfast.config.ts'
import { assert, suite } from '../suite.ts'
import { analysis, FAILED, PLACE, rollout, STABLE_PODS, type Story, storyOf } from './canary-fixture.ts'

const test = suite('canary')

const [bad, good, blind] = canaryScenarios(PLACE) as [Scenario, Scenario, Scenario]
const judged = (scenario: Scenario, story: Story) => judge(storyOf(scenario, story), scenario, stack.timing.local)

// ── bad-canary-aborted ──────────────────────────────────────────────────────────────────────────────────────────────

test('a bad canary that is measured, aborted and gone is held, with its loss', () => {
  const { verdict, reason, times, claims } = judged(bad, { run: FAILED, failedPerS: 3 })
  assert.is(verdict, 'held', reason)
  assert.equal(
    times.map(({ valuesMs }) => valuesMs),
    [[7_000], [8_500]],
  )
  assert.is(
    claims.find(({ name }) => name.startsWith('no more requests failed'))?.seen,
    '30 failed, 2.0 % of all; at most 74: 33 % of 220 while it served',
  )
})

const BAD: readonly [what: string, story: Story, verdict: string, reason: RegExp][] = [
  [
    'blind: an error is no failure',
    { run: analysis('Error', [['Error']]), failedPerS: 3 },
    'violated',
    /the analysis comes to an end was not seen/,
  ],
  ['inconclusive', { run: analysis('Inconclusive', [['Inconclusive', '[]']]), failedPerS: 3 }, 'violated', /was not seen/],
  ['judged by one measurement', { run: analysis('Failed', [['Failed', '[0.5]']]), failedPerS: 3 }, 'violated', /at least 2 measurements/],
  [
    'judged by NaN',
    {
      run: analysis('Failed', [
        ['Failed', '[NaN]'],
        ['Failed', '[NaN]'],
      ]),
      failedPerS: 3,
    },
    'violated',
    /at least 2 measure/,
  ],
  [
    'partly blind',
    { run: analysis('Failed', [['Failed', '[0.5]'], ['Failed', '[0.5]'], ['Error']]), failedPerS: 3 },
    'violated',
    /each was taken: Failed: 0 Successful, 2 Failed, 0 Inconclusive, 1 Error$/,
  ],
  ['promoted all the same', { run: FAILED, failedPerS: 3, last: { stableRS: 'bbbb' } }, 'violated', /stayed the good one: aaaa and bbbb/],
  ['not aborted', { run: FAILED, failedPerS: 3, last: { abort: false } }, 'violated', /the rollout was aborted/],
  ['failing beyond its share', { run: FAILED, failedPerS: 15 }, 'violated', /no more requests failed than the canary got: 150 failed/],
  [
    'failing also afterwards',
    { run: FAILED, failedPerS: 3, failedAfter: 1 },
    'violated',
    /then the old version answered everything, and well/,
  ],
  ['harmless', { run: FAILED }, 'not injected', /the canary answers with errors was not seen/],
  [
    'in the traffic for ever',
    { run: FAILED, failedPerS: 3, endsWith: [...STABLE_PODS, 'service-bbbb-1'] },
    'violated',
    /only the old version/,
  ],
  ['aborted too late', { run: FAILED, failedPerS: 3, judgedMs: 50_000 }, 'violated', /39500 ms is not between 1500 and \d+ ms/],
  ['aborted before it can have been measured', { run: FAILED, failedPerS: 3, judgedMs: 11_200 }, 'violated', /700 ms is not between 1500/],
]

for (const [what, story, verdict, reason] of BAD) {
  test(`a bad canary that is ${what} is ${verdict}`, () => {
    const found = judged(bad, story)
    assert.is(found.verdict, verdict, found.reason)
    assert.match(found.reason, reason)
  })
}

test('the bound after the first bad answer is a minute at most, and five at production’s pace', () => {
  const upperMs = (timing: 'local' | 'production') =>
    Object.values(bad.bounds(stack.timing[timing])[1]?.partsMs ?? {}).reduce((sum, ms) => sum + ms, 0)
  assert.ok(upperMs('local') <= 60_000, `${upperMs('local')} ms`)
  assert.ok(upperMs('production') <= 300_000, `${upperMs('production')} ms`)
})

// ── good-canary-promoted ────────────────────────────────────────────────────────────────────────────────────────────

const GOOD_RUN = analysis('Successful', [
  ['Successful', '[0]'],
  ['Successful', '[0]'],
  ['Successful', '[0]'],
])
const ALONE: Story = {
  run: GOOD_RUN,
  last: { stableRS: 'bbbb', abort: false, phase: 'Healthy' },
  endsWith: ['service-bbbb-1', 'service-bbbb-2'],
}

test('a good canary that is measured again and again and then runs alone is held', () => {
  const { verdict, reason, claims } = judged(good, ALONE)
  assert.is(verdict, 'held', reason)
  assert.is(claims.find(({ name }) => name.startsWith('the canary answered'))?.seen, '63 requests')
})

const GOOD: readonly [what: string, story: Story, verdict: string, reason: RegExp][] = [
  [
    'promoted after one measurement',
    { ...ALONE, run: analysis('Successful', [['Successful', '[0]']]) },
    'violated',
    /at least 2 measurements/,
  ],
  ['promoted without a measurement', { ...ALONE, run: analysis('Successful', []) }, 'violated', /at least 2 measurements were good/],
  [
    'promoted in spite of a bad one',
    {
      ...ALONE,
      run: analysis('Successful', [
        ['Failed', '[1]'],
        ['Successful', '[0]'],
        ['Successful', '[0]'],
      ]),
    },
    'violated',
    /none was bad: Successful: 2 Successful, 1 Failed/,
  ],
  ['promoted for want of requests', { ...ALONE, canaryPerS: 2 }, 'no data', /18 requests/],
  ['not promoted', { ...ALONE, last: { phase: 'Paused' } }, 'violated', /the new version runs alone was not seen/],
  ['promoted with a loss', { ...ALONE, failedAfter: 1 }, 'violated', /no request failed/],
  ['promoted at once', { ...ALONE, judgedMs: 12_000, canaryPerS: 20 }, 'violated', /1100 ms is not between 2000/],
]

for (const [what, story, verdict, reason] of GOOD) {
  test(`a good canary that is ${what} is ${verdict}`, () => {
    const found = judged(good, story)
    assert.is(found.verdict, verdict, found.reason)
    assert.match(found.reason, reason)
  })
}

test('a good canary that was promoted although nothing could be measured shows that the mutant broke nothing', () => {
  const { verdict, reason } = judge({ ...storyOf(good, ALONE), mutant: 'no-data' }, good, stack.timing.local)
  assert.equal([verdict, reason], ['held', 'it healed although the healer was broken'])
})

// ── blind-canary-not-promoted ───────────────────────────────────────────────────────────────────────────────────────

const BLIND_RUN = analysis('Error', [['Error'], ['Error']])

test('a canary that nobody can judge, and that goes again, is held', () => {
  const { verdict, reason } = judged(blind, { run: BLIND_RUN, judgedMs: 25_000 })
  assert.is(verdict, 'held', reason)
})

const BLIND: readonly [what: string, story: Story, verdict: string, reason: RegExp][] = [
  ['judged good', { run: GOOD_RUN, judgedMs: 25_000 }, 'violated', /the analysis comes to an end was not seen/],
  [
    'judged by something',
    { run: analysis('Error', [['Successful', '[0]'], ['Error'], ['Error']]), judgedMs: 25_000 },
    'violated',
    /no measurement came to a result/,
  ],
  ['promoted', { run: BLIND_RUN, judgedMs: 25_000, last: { stableRS: 'bbbb' } }, 'violated', /stayed the good one/],
]

for (const [what, story, verdict, reason] of BLIND) {
  test(`a blind canary that is ${what} is ${verdict}`, () => {
    const found = judged(blind, story)
    assert.is(found.verdict, verdict, found.reason)
    assert.match(found.reason, reason)
  })
}

test('a blind canary that somebody promotes by hand is seen', () => {
  const story = storyOf(blind, { run: BLIND_RUN, judgedMs: 25_000 })
  const [round] = story.rounds
  const promoted: RecordedEvent[] = [
    { type: 'BEGUN', step: 'promote by hand', atMs: 26_000 },
    { type: 'MODIFIED', object: rollout({ stableRS: 'bbbb', phase: 'Healthy' }), atMs: 36_000 },
  ]
  const rounds = round === undefined ? [] : [{ ...round, events: [...round.events, ...promoted] }]
  const { verdict, reason } = judge({ ...story, rounds, mutant: 'promoted-by-hand' }, blind, stack.timing.local)
  assert.is(verdict, 'violated')
  assert.match(reason, /not 'it is promoted': it was seen 10000 ms into it/)
})

test('what takes Prometheus away changes the file that the stack renders', async () => {
  const images = new Map(prometheus.images.map((spec) => [spec.name, { spec, key: 'k', digest: 'sha256:aa', way: 'built' }]))
  const cluster = { name: 'local', address: () => 'http://127.0.0.1' }
  const target = { cluster, images, timing: stack.timing.local } as unknown as Target
  const { files } = await renderObjects({ name: 's', parts: [prometheus] } as unknown as Stack, target)
  const path = 'rendered/prometheus/prometheus.monitoring.prometheus.yaml'
  assert.match(files.get(path) ?? '', /^ {2}replicas: 1$/m)
  const git = async () => ({ readDeploy: async () => ({ sha: 'x', files }) })
  const [undo] = (await blind.undo?.({ git } as unknown as Context)) ?? []
  assert.ok(undo?.op === 'commit')
  assert.is(undo.files[path], files.get(path))
  assert.equal(undo.applications, ['prometheus'])
})

test.run()
