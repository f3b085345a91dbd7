/** What changed between two runs: by counts and ranges, and said only where the numbers can say it. */
import { compareResults, isWorse, type RunRecord, renderComparison, renderComparisonHtml } from '#core'
import { assert, suite } from '../suite.ts'
import { HOSTILE, keptRecord, resultsOf } from './report-fixture.ts'

const test = suite('compare')

const before = keptRecord('hand-edit')
/** The same run, so many times as slow. */
const slowed = (record: RunRecord, factor: number): RunRecord => ({
  ...record,
  rounds: record.rounds.map((round) => {
    const stretched = (atMs: number) => round.startedAtMs + factor * (atMs - round.startedAtMs)
    return {
      ...round,
      events: round.events.map((event) => ({ ...event, atMs: stretched(event.atMs) })),
      endedAtMs: stretched(round.endedAtMs),
    }
  }),
})

async function compared(after: object, own: object = before) {
  return compareResults(await resultsOf(own), await resultsOf(after))
}

test('a run compared with itself has not changed', async () => {
  const comparison = await compared(before)
  assert.equal(
    comparison.rows.map(({ name, change, times }) => [name, change, times.map((time) => time.change)]),
    [['hand-edit', 'same', ['same', 'same']]],
  )
  assert.is(isWorse(comparison), false)
  assert.match(renderComparison(comparison), /^Versions: kubernetes v1\.36\.3, holdfast holdfast \(both\)$/m)
})

test('versions and digest that differ are shown from one to the other', async () => {
  const after = { ...before, versions: { kubernetes: 'v1.37.0' }, digest: `sha256:${'a'.repeat(64)}` }
  const text = renderComparison(await compared(after))
  assert.match(text, /^Versions: kubernetes v1\.36\.3, holdfast holdfast → kubernetes v1\.37\.0$/m)
  assert.match(text, /^Digest: sha256:[0-9a-f]{12} → sha256:aaaaaaaaaaaa$/m)
})

test('what held and does no more is worse, and the other way round better', async () => {
  const violated = slowed(before, 20)
  const worse = await compared(violated)
  assert.is(worse.rows[0]?.change, 'worse')
  assert.match(worse.rows[0]?.after?.red ?? '', /^violated: /)
  assert.is(isWorse(worse), true)
  assert.is((await compared(before, violated)).rows[0]?.change, 'better')
})

test('slower is said where no range overlaps, of four values at least', async () => {
  const slower = await compared(slowed(before, 20))
  assert.is(slower.rows[0]?.times[0]?.change, 'slower')
  assert.is((await compared(before, slowed(before, 20))).rows[0]?.times[0]?.change, 'faster')
  const one = keptRecord('hpa-scales')
  assert.is((await compared(slowed(one, 1.1), one)).rows[0]?.times[0]?.change, 'too few')
})

test('what only one of both has run is neither better nor worse', async () => {
  const comparison = await compared(keptRecord('hpa-scales-no-window'))
  assert.equal(
    comparison.rows.map(({ change }) => change),
    ['only before', 'only after'],
  )
  assert.is(isWorse(comparison), false)
})

test('a run that somebody interrupted is left out', async () => {
  const comparison = await compared({ ...before, interrupted: true, abortedBy: 'Interrupted by SIGINT' })
  assert.equal(
    comparison.rows.map(({ change }) => change),
    ['only before'],
  )
})

test('the page of a comparison escapes what it shows', async () => {
  const page = renderComparisonHtml(await compared({ ...before, scenario: HOSTILE, versions: { [HOSTILE]: HOSTILE } }))
  assert.not.match(page, /<img|<script|onerror="/)
  assert.match(page, /<h1>No verdict changed<\/h1>/)
})

test.run()
