/** What the experiments with nodes are judged by: each claim and each bound turns the verdict by itself. */
import { type Context, type GitRemote, judge, type LoadSecond, type RecordedEvent, type RunRecord, type Scenario } from '#core'
import type { KubeObject } from '#kit/kube'
import { stack } from '../../holdfast.config.ts'
import { apiServerKilled } from '../../local/scenarios/api-server.ts'
import { nodeDrained } from '../../local/scenarios/drained.ts'
import { nodeLost } from '../../local/scenarios/lost.ts'
import { nodeRestarted, ownData } from '../../local/scenarios/restarted.ts'
import { spotInterrupted } from '../../local/scenarios/spot.ts'
import { assert, suite } from '../suite.ts'

const test = suite('node scenarios')

const { local, production } = stack.timing
const [SERVER, OTHER] = ['holdfast-local', 'holdfast-local.2']
const END_MS = 120_000

// ── Evidence ────────────────────────────────────────────────────────────────────────────────────────────────────────

const node = (name: string, ready: string): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name, ...(name === SERVER ? { labels: { 'node-role.kubernetes.io/control-plane': 'true' } } : {}) },
  status: { conditions: [{ type: 'Ready', status: ready }] },
})
const endpoints = (...nodes: string[]): KubeObject => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { name: 'service-x' },
  endpoints: nodes.map((nodeName) => ({ nodeName, conditions: { ready: true } })),
})
const endingPod: KubeObject = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'service-a', deletionTimestamp: '2026-01-01T00:00:00Z' },
  spec: { nodeName: OTHER },
}

const BEFORE = [node(SERVER, 'True'), node(OTHER, 'True')]
const act = (step: string, atMs: number, doneAtMs = atMs): RecordedEvent[] => [
  { type: 'BEGUN', step, atMs },
  { type: 'DONE', step, atMs: doneAtMs },
]
const change = (object: KubeObject, atMs: number): RecordedEvent => ({ type: 'MODIFIED', object, atMs })
const told = (source: string, value: unknown, atMs: number): RecordedEvent => ({ type: 'OBSERVED', source, value, atMs })

/** Ten requests in every second up to the end; `failed` says how many of those of a second are. */
function loaded({
  fromMs,
  forMs,
  failed = () => 0,
}: {
  fromMs: number
  forMs: number
  failed?: (atMs: number) => number
}): RecordedEvent[] {
  const times = Array.from({ length: forMs / 1000 }, (_, i) => fromMs + (i + 1) * 1000)
  const second = (atMs: number): Partial<LoadSecond> => ({
    stage: 'steady',
    requests: 10,
    failed: failed(atMs),
    byStatus: { 200: 10 - failed(atMs), ...(failed(atMs) > 0 ? { 0: failed(atMs) } : {}) },
  })
  const planned = forMs / 100
  const summary = { planned, requests: planned, dropped: 0, failed: 0, exitCode: 0 }
  return [...times.map((atMs) => told('load', second(atMs), atMs)), told('load summary', summary, fromMs + forMs + 100)]
}

function verdictOf(scenario: Scenario, events: readonly RecordedEvent[], mutant?: string): string {
  const steady = [{ name: 'calm', ok: true, seen: '' }]
  const round = { before: BEFORE, events: events.toSorted((a, b) => a.atMs - b.atMs), startedAtMs: 0, endedAtMs: END_MS }
  const record = { rounds: [round], steadyBefore: steady, steadyAfter: steady, ...(mutant === undefined ? {} : { mutant }) }
  const { verdict, reason } = judge(record as unknown as RunRecord, scenario, local)
  return `${verdict}: ${reason}`
}

// ── node-drained ────────────────────────────────────────────────────────────────────────────────────────────────────

interface Drained {
  readonly statuses?: readonly number[]
  readonly between?: KubeObject
  readonly failed?: (atMs: number) => number
  readonly emptyAtMs?: number
}

/** Both pods are on the node; one leaves, and the other when a new one serves. */
function drained({ statuses = [201, 429, 201], between = endpoints(OTHER), failed = () => 0, emptyAtMs = 14_000 }: Drained = {}) {
  const drain = 'drain the node'
  return [
    ...act('gather the service on one node', 1_000),
    ...act('keep new pods off the node', 1_100),
    ...act('load', 1_200),
    ...loaded({ fromMs: 1_200, forMs: 60_000, failed }),
    change(endpoints(OTHER, OTHER), 1_500),
    ...act(drain, 2_000, emptyAtMs),
    ...statuses.map((status, i) => told(drain, { pod: `service-${i}`, status }, 2_100 + i)),
    change(endingPod, 2_200),
    change(between, 2_300),
    change(endpoints(OTHER, SERVER), 6_000),
    change(endpoints(SERVER), 6_500),
    change(endpoints(SERVER, SERVER), 9_000),
    told(drain, { left: 0 }, emptyAtMs),
  ]
}

test('a drain holds where the budget held a pod back, one always served, and no request failed', () => {
  assert.is(verdictOf(nodeDrained, drained()), 'held: 1 of 1 round within bounds')
})

test('a drain without an eviction that was held back has shown nothing', () => {
  assert.match(verdictOf(nodeDrained, drained({ statuses: [201, 201] })), /^no data: the disruption budget held an eviction back: 0 of 2/)
})

test('a drain that leaves no pod to serve is violated, though nothing was asked at that moment', () => {
  assert.match(verdictOf(nodeDrained, drained({ between: endpoints() })), /^violated: never fewer than 1 pods took traffic: at least 0/)
})

test('a drain under which a request fails is violated, and so is one that takes too long', () => {
  assert.match(verdictOf(nodeDrained, drained({ failed: (atMs) => (atMs === 5_200 ? 1 : 0) })), /^violated: no request failed: 1 of 600/)
  assert.match(verdictOf(nodeDrained, drained({ emptyAtMs: 55_000 })), /^violated: the node is empty: 53000 ms/)
})

test('without the drain nothing is injected', () => {
  const events = drained().filter((event) => !('object' in event && event.object === endingPod))
  assert.match(verdictOf(nodeDrained, events, 'not-drained'), /^not injected: /)
})

// ── spot-interrupted ────────────────────────────────────────────────────────────────────────────────────────────────

const interrupted = (story?: Drained) => [...act('AWS gives notice', 1_900), ...drained(story)]

test('a Spot node holds where it is empty within its two minutes and no request failed', () => {
  assert.is(verdictOf(spotInterrupted, interrupted()), 'held: 1 of 1 round within bounds')
  assert.is(verdictOf(spotInterrupted, interrupted({ emptyAtMs: 55_000 })), 'held: 1 of 1 round within bounds')
})

test('a Spot node that AWS ends before it is empty is violated, and so is one whose drain costs a request', () => {
  assert.match(verdictOf(spotInterrupted, interrupted({ emptyAtMs: 123_000 })), /^violated: /)
  assert.match(
    verdictOf(spotInterrupted, interrupted({ failed: (atMs) => (atMs === 5_200 ? 1 : 0) })),
    /^violated: no request failed: 1 of 600/,
  )
})

test('both mutants of a Spot node turn its verdict red', () => {
  assert.match(verdictOf(spotInterrupted, interrupted({ between: endpoints() }), 'without-budget'), /^violated: never fewer than 1 pods/)
  const events = interrupted().filter((event) => !('object' in event && event.object === endingPod))
  assert.match(verdictOf(spotInterrupted, events, 'not-drained'), /^not injected: /)
})

// ── node-lost ───────────────────────────────────────────────────────────────────────────────────────────────────────

interface Lost {
  readonly noticedAtMs?: number
  readonly backAtMs?: number
  readonly failed?: (atMs: number) => number
}

const LOST_AT_MS = 2_000
const untilMs = (endMs: number, count: number) => (atMs: number) => (atMs > LOST_AT_MS && atMs <= endMs ? count : 0)

function lost({ noticedAtMs = 22_000, backAtMs = 38_000, failed = untilMs(noticedAtMs + 2_000, 5) }: Lost = {}) {
  return [
    ...act('spread the service over the nodes', 500),
    ...act('keep new pods off the node', 600),
    ...act('load', 700),
    ...loaded({ fromMs: 700, forMs: 80_000, failed }),
    change(endpoints(SERVER, OTHER), 800),
    ...act('lose the node', LOST_AT_MS),
    change(node(OTHER, 'Unknown'), noticedAtMs),
    change(endpoints(SERVER), noticedAtMs + 500),
    change(endpoints(SERVER, SERVER), backAtMs),
    ...act('start it again', 90_000, 92_000),
    change(node(OTHER, 'False'), 91_000),
    change(node(OTHER, 'True'), 92_000),
  ]
}

test('a lost node holds where it is given up, its pods run elsewhere in time, and it returns', () => {
  assert.is(verdictOf(nodeLost, lost()), 'held: 1 of 1 round within bounds')
})

test('a lost node is violated by a late recovery, by too many failures, and by failures that go on', () => {
  assert.match(verdictOf(nodeLost, lost({ backAtMs: 70_000 })), /^violated: served from elsewhere after the loss: 68000 ms/)
  assert.match(verdictOf(nodeLost, lost({ failed: untilMs(24_000, 10) })), /^violated: at most 198 requests failed: 220 of 800/)
  const goesOn = (count: number) => (atMs: number) => (atMs > 60_000 && atMs < 62_000 ? count : untilMs(24_000, 5)(atMs))
  assert.match(
    verdictOf(nodeLost, lost({ failed: goesOn(8) })),
    /^violated: at most 2 % failed once its pods were out of the traffic: \d+ of \d+/,
  )
  assert.match(verdictOf(nodeLost, lost({ failed: goesOn(2) })), /^held: /)
})

test('a node that is given up sooner than Kubernetes can was not lost by us', () => {
  assert.match(verdictOf(nodeLost, lost({ noticedAtMs: 4_000 })), /^violated: given up after the loss: 2000 ms/)
})

test('a lost node is healed within a minute here, and the bound of production is stated', () => {
  const upper = (timing: typeof local) => {
    const bound = nodeLost.bounds(timing).find(({ name }) => name === 'served from elsewhere after the loss')
    return Object.values(bound?.partsMs ?? {}).reduce((sum, ms) => sum + ms, 0)
  }
  assert.ok(upper(local) <= 60_000, `${upper(local)} ms`)
  assert.is(upper(production), 425_000)
})

// ── The node with the API server ────────────────────────────────────────────────────────────────────────────────────

const FACTS = { uids: ['a', 'b'], deploy: 'abc1234', products: '[]' }
const answers = (source: string, from: number, { away, back }: { away: number; back: number }): RecordedEvent[] => {
  const times = Array.from({ length: (END_MS - from) / 200 - 1 }, (_, i) => from + i * 200)
  return times.map((atMs) => {
    const ok = atMs < away || atMs >= back
    const streak = atMs >= back ? Math.floor((atMs - back) / 200) + 1 : ok ? Math.floor((atMs - from) / 200) + 1 : 0
    return told(source, { ok, streak }, atMs)
  })
}

function restarted({ back = 18_000, after = FACTS }: { back?: number; after?: object } = {}): RecordedEvent[] {
  const state = (atMs: number, anew: number) => told('stack', { restarted: atMs > 6_000, pods: 9, anew, unhealthy: [] }, atMs)
  return [
    ...act('note what is there', 1_000),
    told('note what is there', FACTS, 1_000),
    ...act('restart the node', 2_000, 8_000),
    ...answers('service from outside', 1_000, { away: 4_000, back }),
    state(5_000, 0),
    state(back + 3_500, 8),
    state(back + 8_000, 9),
    ...act('note it again', back + 9_000),
    told('note it again', after, back + 9_000),
  ]
}

test('a restart holds where the service is away for its time only, everything runs anew, and the data is the same', () => {
  assert.is(verdictOf(nodeRestarted, restarted()), 'held: 1 of 1 round within bounds')
})

test('a restart is violated by other data, and by an outage that is too long', () => {
  assert.match(verdictOf(nodeRestarted, restarted({ after: { ...FACTS, deploy: 'fff' } })), /^violated: identities, commits and rows/)
  assert.match(verdictOf(nodeRestarted, restarted({ back: 60_000 })), /^violated: the service was away: \d+ ms/)
})

test('rows are noted only of a good answer, and nobody waits for one beyond the run', async () => {
  const noted = (answer: (signal: AbortSignal) => Promise<Response>, signal = new AbortController().signal) => {
    const fetch = (_service: string, _path: string, init: RequestInit) => answer(init.signal as AbortSignal)
    const cluster = { kube: { list: async () => [], get: async () => undefined }, fetch } as unknown as Context['cluster']
    return ownData({ cluster, signal, git: async () => ({ readDeploy: async () => ({ sha: 'a' }) }) as unknown as GitRemote })
  }
  assert.is((await noted(async () => Response.json([]))).products, '[]')
  const refused = noted(async () => new Response('no database', { status: 503 }))
  await assert.rejects(refused, 'Cannot note what the database has: the service answers 503: no database')
  const hanging = (signal: AbortSignal) =>
    new Promise<Response>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
  await assert.rejects(noted(hanging, AbortSignal.timeout(20)), /timeout/)
})

test('a service that answered all the while was not restarted', () => {
  const events = restarted({ back: 4_000 })
  assert.match(verdictOf(nodeRestarted, events), /^not injected: round 1: the service does not answer/)
})

function killed({ back = 6_000, failed = 0 }: { back?: number; failed?: number } = {}): RecordedEvent[] {
  return [
    ...act('load', 1_000),
    ...loaded({ fromMs: 1_000, forMs: 40_000, failed: (atMs) => (atMs === 5_000 ? failed : 0) }),
    ...act('kill the API server', 2_000),
    ...answers('API server', 1_000, { away: 2_200, back }),
  ]
}

test('an API server that is killed holds where it is back in time and nobody who is served notices', () => {
  assert.is(verdictOf(apiServerKilled, killed()), 'held: 1 of 1 round within bounds')
  assert.match(verdictOf(apiServerKilled, killed({ back: 20_000 })), /^violated: answers again after the kill/)
  assert.match(verdictOf(apiServerKilled, killed({ failed: 1 })), /^violated: no request failed: 1 of 400 failed/)
})

test.run()
