/** A node is lost, as by a cut of its power: what ran there runs elsewhere soon, and it takes its place again when it returns. */
import {
  type Claim,
  type Context,
  isFrom,
  isSummary,
  LOAD_SOURCE,
  leftOut,
  loadMeasured,
  loadSeconds,
  lookAll,
  type Mutant,
  pauseSync,
  rolledOut,
  type Scenario,
  steadyLoad,
  sumMs,
  type TimingProfile,
  total,
  WORKLOAD,
  WORKLOAD_NAME,
} from '#core'
import { waitFor } from '#kit/wait'
import {
  findOtherNode,
  otherNode,
  otherNodes,
  readiness,
  restoreNodes,
  STEADY,
  servedElsewhere,
  servingNodes,
  spreadPods,
  takeNoNewPods,
  WATCHES,
} from './nodes.ts'

const LOSE = 'lose the node'
const NOTICED = 'the node is given up'
const LEFT = 'its pods get no more traffic'
const BACK = 'as many pods as before serve from elsewhere'
const RETURN = 'start it again'
const READY_AGAIN = 'it is ready again'
const RATE_PER_S = 10
/** The load generator gives a request up after so long. */
const GIVEN_UP_MS = 5_000
/** Half of all connections go to the lost pod, give or take what is due to chance. */
const LOST_SHARE = 0.6
/** Of all later connections, those that may follow a lost one. */
const LATE_SHARE = 0.02
const RETURN_MS = 90_000

const load = steadyLoad('node-lost', { forMs: 80_000, ratePerS: RATE_PER_S, takesMs: 200 })

/** The last sign of life is noticed at the next look, and so is that none came for the whole grace. */
const noticedParts = ({ nodes }: TimingProfile) => ({
  lastSign: nodes.monitorMs,
  grace: nodes.graceMs,
  look: nodes.monitorMs,
})
const leftParts = (timing: TimingProfile) => ({ ...noticedParts(timing), endpoints: 3_000 })
const backParts = (timing: TimingProfile) => ({
  ...noticedParts(timing),
  toleration: timing.nodes.tolerationMs,
  evicted: 2_000,
  podStart: 2 * timing.hpa.podStartMs,
  endpoints: 3_000,
})

/** Until it is noticed, what goes to the lost pod is lost: Kubernetes has nothing faster than the node's silence. */
function lossIsBounded(timing: TimingProfile): Claim {
  const most = Math.ceil((sumMs(leftParts(timing)) / 1000) * RATE_PER_S * LOST_SHARE)
  return {
    name: `at most ${most} requests failed`,
    check(evidence) {
      const [failed, requests] = [total(evidence, 'failed'), total(evidence, 'requests')]
      return { outcome: failed <= most ? 'true' : 'false', seen: `${failed} of ${requests}` }
    },
  }
}

/**
 * What was sent before that may fail up to when it is given up. Later a connection may still be taken for one that was lost: the kernel
 * keeps an unanswered one for two minutes (nf_conntrack_tcp_timeout_syn_sent), and whoever comes from the same port follows it to the dead
 * pod. Seen: 2 of some 380.
 */
const hardlyAnyFailedAfter: Claim = {
  name: `at most ${LATE_SHARE * 100} % failed once its pods were out of the traffic`,
  check(evidence) {
    const leftAtMs = evidence.at(LEFT)
    if (leftAtMs === undefined) return { outcome: 'no data', seen: 'they never were' }
    const events = evidence.events.filter(({ atMs }) => atMs > leftAtMs + GIVEN_UP_MS + 2_000)
    const seconds = loadSeconds({ events })
    if (seconds.length < 10) return { outcome: 'no data', seen: `${seconds.length} seconds` }
    const [failed, requests] = [total({ events }, 'failed'), total({ events }, 'requests')]
    return { outcome: failed <= requests * LATE_SHARE ? 'true' : 'false', seen: `${failed} of ${requests}` }
  },
}

/** Pods that wait ten minutes for their node to return. */
const boundForEver: Mutant = {
  name: 'bound-for-ever',
  expect: 'violated',
  async break(context) {
    const { kube } = context.cluster
    const pause = await pauseSync(context, WORKLOAD_NAME)
    const tolerations = ((await kube.get(WORKLOAD))?.spec.template.spec.tolerations ?? []) as object[]
    const patchOf = (all: readonly object[]) => ({ spec: { template: { spec: { tolerations: all } } } })
    const longer = tolerations.map((toleration) =>
      'tolerationSeconds' in toleration ? { ...toleration, tolerationSeconds: 600 } : toleration,
    )
    return {
      async apply() {
        await pause.apply()
        await kube.mergePatch(WORKLOAD, patchOf(longer))
        await untilRolledOut(context)
      },
      undo: [{ op: 'patch', ref: WORKLOAD, patch: patchOf(tolerations) }, ...pause.undo],
    }
  },
}

async function untilRolledOut(context: Context): Promise<void> {
  const look = () => lookAll([rolledOut], context)
  await waitFor('the workload to run with other tolerations', look, { timeoutMs: 90_000, signal: context.signal })
}

export const nodeLost: Scenario = {
  name: 'node-lost',
  kind: 'chaos',
  about: 'Cuts a node off its power: it is given up after its grace, its pods run elsewhere, and it takes pods again once it returns.',
  needs: ['secondNode', 'restartNode'],
  isExtra: true,
  steady: STEADY,
  watches: WATCHES,
  harm: {
    targets: otherNodes,
    held: 'Its machine is stopped, and nobody but the experiment starts it again.',
    limit: { failedShare: 0.9, forMs: 30_000 },
  },
  undo: restoreNodes,
  steps: () => [
    spreadPods,
    takeNoNewPods,
    { kind: 'load', name: 'load', profile: load },
    { kind: 'act', name: LOSE, run: async (context) => context.cluster.machines?.lose(await findOtherNode(context)) },
    {
      kind: 'until',
      isBite: true,
      name: 'requests are not answered',
      timeoutMs: 20_000,
      matches: (event) => isFrom(LOAD_SOURCE, event) && (event.value.byStatus['0'] ?? 0) > 0,
    },
    {
      kind: 'until',
      name: NOTICED,
      timeoutMs: 60_000,
      matches: (event, before) => (readiness(event, otherNode(before)) ?? 'True') !== 'True',
    },
    {
      kind: 'until',
      name: LEFT,
      timeoutMs: 30_000,
      matches: (event, before) => servingNodes(event)?.includes(otherNode(before) ?? '') === false,
    },
    { kind: 'until', name: BACK, timeoutMs: 90_000, matches: servedElsewhere },
    { kind: 'until', name: 'the load ends', timeoutMs: 120_000, matches: isSummary },
    { kind: 'act', name: RETURN, run: async (context) => context.cluster.machines?.start(await findOtherNode(context)) },
    { kind: 'until', name: READY_AGAIN, timeoutMs: RETURN_MS, matches: (event, before) => readiness(event, otherNode(before)) === 'True' },
  ],
  claims: (timing) => [loadMeasured(load), lossIsBounded(timing), hardlyAnyFailedAfter],
  bounds: (timing) => [
    // It said last that it is there up to one heartbeat before.
    {
      name: 'given up after the loss',
      from: LOSE,
      to: NOTICED,
      lowerMs: timing.nodes.graceMs - timing.nodes.heartbeatMs - timing.nodes.monitorMs,
      partsMs: noticedParts(timing),
    },
    { name: 'out of the traffic after the loss', from: LOSE, to: LEFT, lowerMs: 1_000, partsMs: leftParts(timing) },
    { name: 'served from elsewhere after the loss', from: LOSE, to: BACK, lowerMs: timing.nodes.tolerationMs, partsMs: backParts(timing) },
    { name: 'ready again after its start', from: RETURN, to: READY_AGAIN, lowerMs: 200, partsMs: { boot: 15_000, kubelet: 10_000 } },
  ],
  mutants: [boundForEver, leftOut(LOSE, 'not-lost')],
}
