/** The node with the API server is restarted: the same data, and everything runs again by itself. */
import {
  type Act,
  ARGOCD_NAMESPACE,
  applicationState,
  type Claim,
  type Cluster,
  type Context,
  isFrom,
  leftOut,
  NOBODY_NOTICES,
  nodeRef,
  type Observer,
  polled,
  type RecordedEvent,
  type Scenario,
  type Step,
  type TimingProfile,
  WORKLOAD,
  wholeSecond,
} from '#core'
import { Failure } from '#kit/errors'
import type { KubeObject } from '#kit/kube'
import { STEADY, serverMachine } from './nodes.ts'
import { type Answer, asked } from './outside.ts'

const BEFORE = 'note what is there'
const RESTART = 'restart the node'
const SERVED = 'the service answers again'
const HEALED = 'everything runs anew, Synced and Healthy'
const AFTER = 'note it again'
const SERVICE = 'service from outside'
const STACK = 'stack'
const LOOK_MS = 200
/** Three seconds without a gap: while pods come up some answer and others do not. */
const STREAK = 15
const LATE_MS = 45_000
const ROWS_TIMEOUT_MS = 10_000

/** The load: k6 runs in the node, and would go with it. */
const service = asked({
  name: SERVICE,
  everyMs: LOOK_MS,
  ask: async ({ cluster, signal }) => (await cluster.fetch('service', '/api/products', { signal })).ok,
})
const answerOf = (event: RecordedEvent) => (isFrom(SERVICE, event) ? (event.value as Answer) : undefined)

// ── Whether everything runs anew ────────────────────────────────────────────────────────────────────────────────────

interface StackState {
  /** Whether the machine has been started since the observer began. */
  readonly restarted: boolean
  readonly pods: number
  /** Those that are ready, and all of whose containers were started since. */
  readonly anew: number
  /** Applications that are not Synced and Healthy. */
  readonly unhealthy: readonly string[]
}

const stack: Observer = polled({
  name: STACK,
  everyMs: 1_000,
  begin(context) {
    const first = serverMachine(context).then(({ startedAt }) => startedAt)
    first.catch(() => {}) // told by the looks
    return async () => [{ value: await stateOf(context, await first), atMs: Date.now() }]
  },
})

async function stateOf(context: Context, firstStart: string): Promise<StackState> {
  const { kube } = context.cluster
  const [{ node, startedAt }, pods, applications] = await Promise.all([
    serverMachine(context),
    kube.list({ apiVersion: 'v1', kind: 'Pod' }),
    kube.list({ apiVersion: 'argoproj.io/v1alpha1', kind: 'Application', namespace: ARGOCD_NAMESPACE }),
  ])
  const own = pods.filter(({ spec, status }) => spec.nodeName === node && status?.phase !== 'Succeeded')
  return {
    restarted: startedAt !== firstStart,
    pods: own.length,
    anew: own.filter((pod) => runsSince(pod, startedAt)).length,
    unhealthy: applications
      .map(applicationState)
      .filter(({ sync, health }) => sync !== 'Synced' || health !== 'Healthy')
      .map(({ name }) => name),
  }
}

interface ContainerState {
  readonly ready: boolean
  readonly state?: { readonly running?: { readonly startedAt: string } }
}

function runsSince({ status }: KubeObject, startedAt: string): boolean {
  const containers = (status?.containerStatuses ?? []) as ContainerState[]
  const since = wholeSecond(Date.parse(startedAt))
  return containers.length > 0 && containers.every(({ ready, state }) => ready && Date.parse(state?.running?.startedAt ?? '') >= since)
}

function runsAnew(event: RecordedEvent): boolean {
  if (!isFrom(STACK, event)) return false
  const { restarted, pods, anew, unhealthy } = event.value as StackState
  return restarted && pods > 0 && anew === pods && unhealthy.length === 0
}

// ── Whether it is the same data ─────────────────────────────────────────────────────────────────────────────────────

/** What a new cluster would not have: identities, what Git holds, what the database does. */
export async function ownData({ cluster, git, signal }: Pick<Context, 'cluster' | 'git' | 'signal'>): Promise<OwnData> {
  const { kube } = cluster
  const [spaces, claims, workload, deploy, products] = await Promise.all([
    kube.list({ apiVersion: 'v1', kind: 'Namespace' }),
    kube.list({ apiVersion: 'v1', kind: 'PersistentVolumeClaim' }),
    kube.get(WORKLOAD),
    git().then((remote) => remote.readDeploy()),
    rowsOf(cluster, signal),
  ])
  const uids = [...spaces, ...claims, ...(workload === undefined ? [] : [workload])].map(({ metadata }) => metadata.uid ?? '')
  return { uids: uids.toSorted(), deploy: deploy.sha, products }
}

/** @throws Failure where it does not answer well: of two refusals one looks like the other. */
async function rowsOf(cluster: Pick<Cluster, 'fetch'>, signal: AbortSignal): Promise<string> {
  const answer = await cluster.fetch('service', '/api/products', {
    signal: AbortSignal.any([signal, AbortSignal.timeout(ROWS_TIMEOUT_MS)]),
  })
  const text = await answer.text()
  if (answer.ok) return text
  throw new Failure({ what: 'Cannot note what the database has', why: `the service answers ${answer.status}: ${text.slice(0, 200)}` })
}

export interface OwnData {
  readonly uids: readonly string[]
  readonly deploy: string | undefined
  readonly products: string
}

const noted = (name: string): Act => ({
  kind: 'act',
  name,
  run: async (context, _round, { observed }) => observed(await ownData(context), Date.now()),
})

const sameData: Claim = {
  name: 'identities, commits and rows are the same',
  check({ events }) {
    const [before, after] = [BEFORE, AFTER].map((act) => events.find((event) => isFrom(act, event)))
    if (before === undefined || after === undefined || !('value' in before) || !('value' in after))
      return { outcome: 'no data', seen: 'they were not noted twice' }
    const { uids, deploy } = before.value as { uids: string[]; deploy: string }
    const isSame = JSON.stringify(before.value) === JSON.stringify(after.value)
    return { outcome: isSame ? 'true' : 'false', seen: `${uids.length} identities, deploy ${deploy.slice(0, 7)}` }
  },
}

// ── node-restarted ──────────────────────────────────────────────────────────────────────────────────────────────────

/** @param downMs for how long nobody starts it again. @default 0 */
const restart = (downMs = 0): Act => ({
  kind: 'act',
  name: RESTART,
  async run(context) {
    const { machines, node } = await serverMachine(context)
    await machines.restart(node, { downMs, signal: context.signal })
  },
})

const awayParts = (timing: TimingProfile) => ({
  stop: 10_000,
  boot: 10_000,
  podStart: 3 * timing.hpa.podStartMs,
  answers: 2 * STREAK * LOOK_MS,
})

export const nodeRestarted: Scenario = {
  name: 'node-restarted',
  kind: 'chaos',
  about: 'Restarts the node with the API server while the service is asked from outside: all pods run anew on the same data.',
  needs: ['restartNode'],
  asks: ['service'],
  isExtra: true,
  steady: STEADY,
  watches: [],
  harm: {
    targets: async (context) => [nodeRef((await serverMachine(context)).node)],
    held: 'Nothing holds it: how soon everything is back is what is measured.',
    // It is asked from outside, where k6 would go with the node: nothing is told as load.
    limit: NOBODY_NOTICES,
  },
  observes: [service, stack],
  steps: () => [
    noted(BEFORE),
    restart(),
    {
      kind: 'until',
      isBite: true,
      name: 'the service does not answer',
      timeoutMs: 30_000,
      matches: (event) => answerOf(event)?.ok === false,
    },
    { kind: 'until', name: SERVED, timeoutMs: LATE_MS + 60_000, matches: (event) => (answerOf(event)?.streak ?? 0) >= STREAK },
    { kind: 'until', name: HEALED, timeoutMs: 180_000, matches: runsAnew },
    noted(AFTER),
  ],
  claims: () => [sameData],
  bounds: (timing) => [
    { name: 'the service was away', to: SERVED, lowerMs: STREAK * LOOK_MS, partsMs: awayParts(timing) },
    {
      name: 'everything runs anew after the restart',
      from: RESTART,
      to: HEALED,
      lowerMs: 2_000,
      partsMs: { ...awayParts(timing), allPods: 8 * timing.hpa.podStartMs, compared: timing.reconciliationMs },
    },
  ],
  mutants: [
    // Whoever starts it again is late.
    {
      name: 'started-late',
      expect: 'violated',
      steps: (steps) => steps.map((step): Step => (step.name === RESTART ? restart(LATE_MS) : step)),
    },
    leftOut(RESTART, 'not-restarted'),
  ],
}
