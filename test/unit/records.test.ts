/** Runs that were recorded on a cluster, judged again: a change of the judge or of a scenario that turns one is seen in milliseconds. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isFrom, judge, type RunRecord, SUMMARY_SOURCE } from '#core'
import { stack } from '../../holdfast.config.ts'
import { assert, suite } from '../suite.ts'

const test = suite('records')

const FOLDER = join(import.meta.dirname, 'records')
const scenarios = stack.parts.flatMap((part) => part.scenarios)
const records = readdirSync(FOLDER).map((file) => JSON.parse(readFileSync(join(FOLDER, file), 'utf8')) as RunRecord)

function judged(record: RunRecord) {
  const scenario = scenarios.find(({ name }) => name === record.scenario)
  assert.ok(scenario !== undefined, `no scenario '${record.scenario}'`)
  return { scenario, ...judge(record, scenario, stack.timing[record.timing]) }
}

for (const record of records) {
  const { scenario, mutant } = record
  test(`${scenario}${mutant === undefined ? '' : ` with ${mutant}`} is judged as on the day`, () => {
    const { verdict, reason, scenario: judgedBy } = judged(record)
    const expected = judgedBy.mutants.find(({ name }) => name === mutant)?.expect ?? 'held'
    assert.is(verdict, expected, reason)
  })
}

const held = records.filter(({ mutant }) => mutant === undefined)

test('every recorded proof loses its verdict without what was seen', () => {
  for (const record of held) {
    const blind = {
      ...record,
      rounds: record.rounds.map((round) => ({ ...round, events: round.events.filter(({ type }) => /^(BEGUN|DONE)$/.test(type)) })),
    }
    assert.is.not(judged(blind).verdict, 'held')
  }
})

test('every recorded proof with load is no data without the end of its load', () => {
  const loaded = held.filter(({ rounds }) => rounds.some(({ events }) => events.some((event) => isFrom(SUMMARY_SOURCE, event))))
  assert.ok(loaded.length > 0)
  for (const record of loaded) {
    const cut = {
      ...record,
      rounds: record.rounds.map((round) => ({
        ...round,
        events: round.events.filter((event) => !isFrom(SUMMARY_SOURCE, event)),
      })),
    }
    assert.is.not(judged(cut).verdict, 'held')
  }
})

test('a second notification, or a resolution of another alert, turns the verdict', () => {
  const record = held.find((each) => each.scenario === 'alert-fires')
  assert.ok(record !== undefined)
  const isResolution = (event: RunRecord['rounds'][number]['events'][number]) => 'value' in event && event.value?.state === 'resolved'
  const twice = record.rounds.map((round) => ({
    ...round,
    events: round.events.flatMap((event) => (isResolution(event) ? [event, event] : [event])),
  }))
  assert.is(judged({ ...record, rounds: twice }).verdict, 'violated')
  const other = record.rounds.map((round) => ({
    ...round,
    events: round.events.map((event) =>
      isResolution(event) && 'value' in event ? { ...event, value: { ...event.value, fingerprints: ['0'] } } : event,
    ),
  }))
  assert.is(judged({ ...record, rounds: other }).verdict, 'violated')
})

test('one failed request turns the verdict', () => {
  const record = held.find((each) => each.scenario === 'hpa-scales')
  assert.ok(record !== undefined)
  const isSecond = (event: RunRecord['rounds'][number]['events'][number]) => 'source' in event && event.source === 'load'
  const [first] = record.rounds
  assert.ok(first !== undefined)
  const index = first.events.findIndex(isSecond)
  const events = first.events.map((event, i) =>
    i === index && 'value' in event ? { ...event, value: { ...event.value, failed: 1 } } : event,
  )
  const { verdict, reason } = judged({ ...record, rounds: [{ ...first, events }] })
  assert.is(verdict, 'violated')
  assert.match(reason, /^no request failed: 1 of \d+ failed$/)
})

test.run()
