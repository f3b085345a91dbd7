/** An experiment's verdict on made-up runs: who noticed, who healed, what was lost. */
import { judge, type LoadSecond, type RecordedEvent, type RunRecord, type Scenario, servesAgain, underLoad } from '#core'
import type { KubeObject } from '#kit/kube'
import { handEdit } from '../../argocd/scenarios/drift.ts'
import { podKilled } from '../../chart/scenarios/pods.ts'
import { stack } from '../../holdfast.config.ts'
import { assert, suite } from '../suite.ts'

const test = suite('experiment')
const { local } = stack.timing
const CALM = { name: 'calm', ok: true, seen: 'calm' }
const PODS = ['service-a', 'service-b']
const RATE_PER_S = 20
const LOAD_S = 30

function object(kind: string, name: string, more: object): KubeObject {
  return { apiVersion: 'v1', kind, metadata: { name, namespace: 'dev', uid: name }, ...more }
}
const pod = (name: string, restartCount: number) =>
  object('Pod', name, { status: { containerStatuses: [{ restartCount, ready: restartCount === 0, state: {} }] } })
const endpoints = (...pods: readonly string[]) =>
  object('EndpointSlice', 'service-x', { endpoints: pods.map((name) => ({ conditions: { ready: true }, targetRef: { name } })) })
const BEFORE = [...PODS.map((name) => pod(name, 0)), endpoints(...PODS)]

const changed = (seen: KubeObject, atMs: number): RecordedEvent => ({ type: 'MODIFIED', object: seen, atMs })
const mark = (step: string, atMs: number): RecordedEvent[] => [
  { type: 'BEGUN', step, atMs },
  { type: 'DONE', step, atMs: atMs + 100 },
]

interface Story {
  /** When the pod is out of the traffic, and back; infinite where it never is. */
  readonly outMs?: number
  readonly backMs?: number
  /** How many requests failed in a second. */
  readonly failures?: Readonly<Record<number, number>>
  readonly loadS?: number
}

const KILLED_MS = 2_000

/** A pod is killed after two seconds of load. */
function told({ outMs = 3_000, backMs = 6_000, failures = { 3: 10 }, loadS = LOAD_S }: Story): RecordedEvent[] {
  const seconds = Array.from({ length: loadS }, (_, i): RecordedEvent => {
    const value = { stage: 'steady', requests: RATE_PER_S, failed: failures[i + 1] ?? 0, byStatus: {} } as LoadSecond
    return { type: 'OBSERVED', source: 'load', value, atMs: (i + 1) * 1_000 }
  })
  const planned = LOAD_S * RATE_PER_S
  const summary = { profile: 'pod-killed', planned, requests: planned, dropped: 0, failed: 0, exitCode: 0 }
  return [
    ...mark('load', 0),
    ...seconds,
    ...mark('kill a pod', KILLED_MS),
    changed(pod('service-a', 1), 2_400),
    changed(endpoints('service-b'), outMs),
    ...(Number.isFinite(backMs) ? [changed(endpoints(...PODS), backMs)] : []),
    { type: 'OBSERVED', source: 'load summary', value: summary, atMs: loadS * 1_000 + 500 },
  ]
}

function judged(scenario: Scenario, events: readonly RecordedEvent[], mutant?: string): string {
  const record = {
    steadyBefore: [CALM],
    steadyAfter: [CALM],
    rounds: [{ before: BEFORE, events, startedAtMs: 0, endedAtMs: 60_000 }],
    ...(mutant === undefined ? {} : { mutant }),
  } as unknown as RunRecord
  const { verdict, reason } = judge(record, scenario, local)
  return `${verdict}: ${reason}`
}

const killed = (story: Story = {}, mutant?: string) => judged(podKilled, told(story), mutant)

test('it holds where it is noticed and healed in time, and users lose no more than they may', () => {
  assert.is(killed(), 'held: 1 of 1 round within bounds')
})

test('it is violated where it is noticed too late, healed too late, or never', () => {
  assert.is(killed({ outMs: 6_500, backMs: 8_000 }), 'violated: noticed: 4500 ms is not between 0 and 4000 ms')
  assert.match(killed({ backMs: 14_000 }), /^violated: healed after the fault: 12000 ms is not between 300 and 11000 ms/)
  assert.match(killed({ backMs: Number.POSITIVE_INFINITY }), /^violated: round 1: it gets traffic again was not seen/)
})

test('it is violated where users lose more, and where they lose any once it has healed', () => {
  assert.match(
    killed({ failures: { 3: 20, 4: 20, 5: 3 } }),
    /^violated: users lose at most 42 requests, .*: 43 of 600 failed, 2 s without an answer$/,
  )
  assert.is(killed({ failures: { 20: 1 } }), 'violated: then every request was answered: 1 of 360 failed')
})

test('it is no data where the load has not outlasted the healing', () => {
  assert.match(killed({ loadS: 12 }), /^no data: then every request was answered: 0 of 0 failed/)
})

test('it is not injected without the fault, whatever the load brought', () => {
  const calm = told({}).filter((event) => !('object' in event) && !('step' in event && event.step === 'kill a pod'))
  assert.match(judged(podKilled, calm, 'fault-skipped'), /^not injected: round 1: its container has ended was not seen/)
})

test('where a name has its old address for a while, users count as served again only once it is forgotten', () => {
  const evidence = { events: told({ failures: { 20: 1 } }), before: [], endedAtMs: 60_000, at: () => 10_000 }
  const claimed = (knownAfterMs: number) => servesAgain({ step: 'it is back', knownAfterMs }).check(evidence)
  assert.equal(claimed(0), { outcome: 'false', seen: '1 of 280 failed' })
  assert.equal(claimed(5_000), { outcome: 'true', seen: '0 of 180 failed' })
  assert.is(claimed(20_000).outcome, 'no data')
})

test('a proof under load keeps its own steps, and its bounds of a single round', () => {
  const scenario = underLoad(handEdit, {
    name: 'edited',
    about: '',
    held: '',
    targets: async () => [],
    load: { name: 'edited', about: '', stages: [{ name: 'a', forMs: 1_000, ratePerS: 1, requests: [{ path: '/' }] }] },
  })
  const names = (steps: Scenario['steps']) => steps(local).map(({ name }) => name)
  assert.equal(names(scenario.steps), ['load', ...names(handEdit.steps), 'the load ends'])
  assert.equal(
    scenario.bounds(local).map(({ name, from, to }) => [name, from, to]),
    [['hand edit reverted, each', ...names(handEdit.steps).slice(1)]],
  )
  assert.equal([scenario.kind, scenario.repeat, handEdit.repeat], ['chaos', 1, 20])
})

test.run()
