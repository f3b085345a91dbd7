/** A made-up story of a canary, as a run would have recorded it. */
import type { LoadSecond, RecordedEvent, RunRecord, Scenario } from '#core'
import type { KubeObject } from '#kit/kube'
import { stack } from '../../holdfast.config.ts'

export const PLACE = { environment: 'staging' } as const
const STEADY = { name: 'calm', ok: true, seen: 'calm' }

const OLD = 'a'.repeat(12)
const NEW = 'b'.repeat(12)
const image = (version: string) => `docker.io/holdfast/service@sha256:${version.padEnd(64, version[0])}`

export function object(kind: string, name: string, more: object): KubeObject {
  return { apiVersion: 'v1', kind, metadata: { name, namespace: 'staging', uid: `${kind}/${name}` }, ...more }
}

export const rollout = (status: object) => object('Rollout', 'service', { status: { stableRS: 'aaaa', currentPodHash: 'bbbb', ...status } })
const endpoints = (...pods: readonly string[]) =>
  object('EndpointSlice', 'service-x', { endpoints: pods.map((name) => ({ conditions: { ready: true }, targetRef: { name } })) })
export const STABLE_PODS = ['service-aaaa-1', 'service-aaaa-2']
const BEFORE = [
  object('Deployment', 'service', { spec: { template: { spec: { containers: [{ image: image(OLD) }] } } } }),
  rollout({ currentPodHash: 'aaaa', phase: 'Healthy' }),
  endpoints(...STABLE_PODS),
]

type Phase = 'Successful' | 'Failed' | 'Inconclusive' | 'Error'

/** An analysis whose errors came to these results, each by a value. */
export function analysis(phase: Phase, measurements: readonly (readonly [Phase, string?])[]): KubeObject {
  const results = measurements.map(([each, value]) => ({ phase: each, value }))
  return object('AnalysisRun', 'service-bbbb-2-1', { status: { phase, metricResults: [{ name: 'errors', measurements: results }] } })
}

export interface Story {
  readonly judgedMs?: number
  readonly run?: KubeObject
  /** Of the seven requests a second that the canary answers. */
  readonly failedPerS?: number
  readonly failedAfter?: number
  readonly last?: object
  readonly endsWith?: readonly string[]
  readonly canaryPerS?: number
}

const FIRST_ANSWER_S = 11
const LOAD_S = 79

function second(atS: number, { byNew = 0, failed = 0 }): RecordedEvent {
  const value: LoadSecond = {
    stage: 'steady',
    requests: 20,
    failed,
    byStatus: { 200: 20 - failed, ...(failed === 0 ? {} : { 500: failed }) },
    byPod: {},
    byVersion: { [OLD]: 20 - byNew, ...(byNew === 0 ? {} : { [NEW]: byNew }) },
    p50Ms: 3,
    p95Ms: 9,
    maxMs: 12,
  }
  return { type: 'OBSERVED', source: 'load', value, atMs: atS * 1000 }
}

/** A canary that answers from the 11th second on, is judged, and is gone or alone half a second later. */
export function storyOf(scenario: Scenario, story: Story): RunRecord {
  const { judgedMs = 19_000, failedPerS = 0, failedAfter = 0, canaryPerS = 7, endsWith = STABLE_PODS } = story
  const profile = scenario.steps(stack.timing.local).flatMap((step) => (step.kind === 'load' ? [step.profile.name] : []))[0]
  const changed = (kubeObject: KubeObject, atMs: number): RecordedEvent => ({ type: 'MODIFIED', object: kubeObject, atMs })
  const isAlone = endsWith !== STABLE_PODS
  const seconds = Array.from({ length: LOAD_S - 3 }, (_, i) => {
    const atS = i + 4
    const serves = atS >= FIRST_ANSWER_S && atS * 1000 <= judgedMs + 1000
    if (serves) return second(atS, { byNew: canaryPerS, failed: failedPerS })
    return second(atS, atS < FIRST_ANSWER_S ? {} : { byNew: isAlone ? 20 : 0, failed: failedAfter })
  })
  const mark = (step: string, atMs: number): RecordedEvent[] => [
    { type: 'BEGUN', step, atMs },
    { type: 'DONE', step, atMs: atMs + 500 },
  ]
  const events = [
    ...mark('take Prometheus away', 10),
    { type: 'DELETED' as const, object: object('Pod', 'prometheus-prometheus-0', {}), atMs: 20 },
    ...mark('load', 2_500),
    ...mark('commit another version', 4_000),
    ...seconds,
    changed(rollout({ phase: 'Progressing' }), 6_500),
    changed(endpoints(...STABLE_PODS, 'service-bbbb-1'), 10_200),
    ...(story.run === undefined ? [] : [changed(story.run, judgedMs)]),
    changed(rollout({ phase: 'Degraded', abort: true, ...story.last }), judgedMs + 100),
    changed(endpoints(...endsWith), judgedMs + 500),
    { type: 'OBSERVED' as const, source: 'load summary', value: summary(profile), atMs: LOAD_S * 1000 + 500 },
  ]
  return record(
    scenario,
    events.map((event) => ('object' in event ? monitoringPod(event) : event)),
  )
}

/** Only Prometheus' pod is elsewhere. */
function monitoringPod(event: RecordedEvent): RecordedEvent {
  if (!('object' in event) || event.object.kind !== 'Pod') return event
  return { ...event, object: { ...event.object, metadata: { ...event.object.metadata, namespace: 'monitoring' } } }
}

const summary = (profile: string | undefined) => ({ profile, planned: 1500, requests: 1500, dropped: 0, failed: 0, exitCode: 0 })

function record(scenario: Scenario, events: readonly RecordedEvent[]): RunRecord {
  return {
    format: 2,
    id: 'r',
    scenario: scenario.name,
    kind: 'proof',
    cluster: 'local',
    clusterKind: 'k3s',
    environment: 'staging',
    timing: 'local',
    startedAt: '2026-01-01T00:00:00Z',
    endedAt: '2026-01-01T00:01:20Z',
    versions: {},
    steadyBefore: [STEADY],
    steadyAfter: [STEADY],
    rounds: [{ before: BEFORE, events, startedAtMs: 0, endedAtMs: 82_000 }],
  }
}

/** Too little traffic at first, then two bad measurements. */
export const FAILED = analysis('Failed', [
  ['Inconclusive', '[]'],
  ['Failed', '[0.5]'],
  ['Failed', '[0.4864864864864865]'],
])
