/** The story of a round, from kept records: when what happened, and what its lanes show. */
import { type Lane, type RecordedEvent, type Result, type RunRecord, renderHtml, type Timeline, timelineOf } from '#core'
import { assert, suite } from '../suite.ts'
import { keptRecord, oldRecord, resultOf } from './report-fixture.ts'

const test = suite('timeline')

async function storyOf(kept: string | RunRecord, round = 0): Promise<Timeline> {
  const { record, scenario, timing }: Result = await resultOf(typeof kept === 'string' ? keptRecord(kept) : kept)
  const own = record.rounds[round]
  assert.ok(own !== undefined)
  return timelineOf(own, round, { scenario, timing, mutant: record.mutant })
}

function laneOf<K extends Lane['kind']>(kind: K, title: string, { lanes }: Timeline): Extract<Lane, { kind: K }> {
  const found = lanes.find((lane) => lane.title === title)
  assert.is(found?.kind, kind, lanes.map((lane) => lane.title).join(', '))
  return found as Extract<Lane, { kind: K }>
}

test('a round begins at its act, and every step has its place', async () => {
  const { act, fromMs, steps } = await storyOf('process-hangs')
  assert.is(act.name, 'let a pod hang')
  assert.ok(fromMs < 0, 'the load began before')
  assert.equal(
    steps.map(({ name, isBite, outcome }) => [name, isBite, outcome]),
    [
      ['load', false, 'done'],
      ['let a pod hang', false, 'done'],
      ['requests are not answered', true, 'done'],
      ['the pod gets no more traffic', false, 'done'],
      ['its container is started anew', false, 'done'],
      ['it gets traffic again', false, 'done'],
      ['the load ends', false, 'done'],
    ],
  )
  assert.is(steps[1]?.fromMs, 0)
  assert.is(steps[2]?.toMs, act.bittenMs)
})

test('it is over when the last measured time has ended', async () => {
  const { act, bounds } = await storyOf('process-hangs')
  const ends = bounds.map(({ fromMs, valueMs = Number.NaN }) => fromMs + valueMs)
  assert.is(act.healedMs, Math.max(...ends))
  assert.equal(
    bounds.map(({ valueMs }) => valueMs),
    (await resultOf(keptRecord('process-hangs'))).judgement.times.map(({ valuesMs }) => valuesMs[0]),
  )
})

test('a step that was not seen is missed up to the end, those after it are not reached, and it is never over', async () => {
  const { act, steps, endMs } = await storyOf('hpa-scales-scale-in-disabled')
  const missed = steps.find(({ outcome }) => outcome === 'missed')
  assert.is(missed?.name, 'the HPA begins to scale in')
  assert.is(missed?.toMs, endMs)
  assert.equal(
    steps.slice(steps.indexOf(missed as (typeof steps)[number]) + 1).map(({ outcome }) => outcome),
    ['not reached', 'not reached'],
  )
  assert.is(act.healedMs, undefined)
})

test('what has no measured times is over with its last step', async () => {
  const { act, bounds, steps } = await storyOf('alert-keeps-quiet')
  assert.equal(bounds, [])
  assert.is(act.healedMs, Math.max(...steps.map(({ toMs }) => toMs)))
})

test('a round that was cut short at once has a page all the same', async () => {
  const record = keptRecord('hpa-scales')
  const rounds = record.rounds.map(({ before, startedAtMs }) => ({ before, startedAtMs, endedAtMs: startedAtMs, events: [] }))
  const page = renderHtml([await resultOf({ ...record, rounds, abortedBy: 'Interrupted by SIGINT' })])
  assert.not.match(page.replaceAll(/base64,[^"]*/g, ''), /NaN|Infinity|cannot be drawn/)
})

test('load is counted as the record counts it', async () => {
  const lane = laneOf('bars', 'Requests per second', await storyOf('process-hangs'))
  assert.is(lane.sum, '751 sent, 64 failed')
  const sums = lane.layers.map(({ bars }) => bars.reduce((sum, { value }) => sum + value, 0))
  assert.equal(sums, [687, 64])
})

test('pods take the traffic, lose it and get it back; a restart is seen', async () => {
  const story = await storyOf('process-hangs')
  const replicas = laneOf('lines', 'Deployment service: pods', story)
  assert.is(replicas.sum, '1 to 2 ready')
  const pods = laneOf('rows', 'Pods', story)
  assert.is(pods.sum, '2 in all, 1 restart')
  assert.equal(
    pods.rows.map(({ spans }) => spans.map(({ text }) => text)),
    [['ready', 'starting', 'starting again', 'ready'], ['ready']],
  )
})

test('an alert is inactive, pending, firing and inactive again, with its two messages', async () => {
  const alerts = laneOf('rows', 'Alerts', await storyOf('alert-fires'))
  const [states, messages] = alerts.rows
  assert.equal(
    states?.spans.map(({ text }) => text),
    ['inactive', 'pending', 'firing', 'inactive'],
  )
  assert.equal(
    messages?.ticks.map(({ tone }) => tone),
    ['bad', 'good'],
  )
  const pending = states?.spans[1]
  assert.is((pending?.toMs ?? 0) - (pending?.fromMs ?? 0), 8_000)
})

test('an alert by its stored samples ends where they do', async () => {
  const alerts = laneOf('rows', 'Alerts', await storyOf(oldRecord()))
  const states = alerts.rows.find(({ name }) => name.startsWith('HighMemoryUsage: '))?.spans.map(({ text }) => text)
  assert.equal(states, ['pending', 'firing'])
  const usage = laneOf('lines', 'container_memory_working_set_bytes', await storyOf(oldRecord()))
  assert.is(usage.unit, 'MiB')
  assert.is(usage.series.length, 2)
})

test('a rollout, its analysis, its pods', async () => {
  const story = await storyOf('good-canary-promoted')
  const statesIn = (title: string) => laneOf('rows', title, story).rows.map(({ spans }) => spans.map(({ text }) => text))
  assert.equal(statesIn('Rollouts'), [['Healthy', 'Progressing', 'Healthy']])
  assert.equal(statesIn('AnalysisRuns'), [['Pending', 'Running', 'Successful']])
  assert.is(laneOf('rows', 'Pods', story).rows.length, 4)
  assert.equal(
    story.lanes.filter(({ title }) => title.startsWith('Deployment ')),
    [],
    'a Deployment whose pods a Rollout has',
  )
})

test('a hand edit and its reversal are two changes', async () => {
  const [row] = laneOf('rows', 'Deployments', await storyOf('hand-edit')).rows
  assert.equal(
    row?.ticks.map(({ text }) => text),
    ['changed', 'changed'],
  )
})

test('what another source sends, and what a step was told, have lanes of their own', async () => {
  const record = keptRecord('process-hangs')
  const [round] = record.rounds
  assert.ok(round !== undefined)
  const asProbe = round.events.map((event) => ('source' in event && event.source === 'load' ? { ...event, source: 'lookups' } : event))
  const told = { type: 'OBSERVED', source: 'let a pod hang', value: { evicted: 'x', status: 429 }, atMs: round.startedAtMs + 1_000 }
  const { scenario, timing } = await resultOf(record)
  const story = timelineOf({ ...round, events: [...asProbe, told as RecordedEvent] }, 0, { scenario, timing })
  assert.is(laneOf('bars', 'lookups: Requests per second', story).sum, '751 sent, 64 failed')
  assert.equal(
    laneOf('rows', 'Told by the steps', story).rows.map(({ name, ticks }) => [name, ticks[0]?.text]),
    [['let a pod hang', '{"evicted":"x","status":429}']],
  )
})

test('looks that failed are shown as such', async () => {
  const blind = laneOf('rows', 'Looks that failed', await storyOf('alert-fires-sink-away'))
  assert.is(blind.rows[0]?.name, 'messages at the sink')
  assert.is(blind.rows[0]?.ticks.length, 53)
})

test.run()
