/** Pods that go: taken away in order, killed one at a time, killed all at once. The ReplicaSet and the kubelet bring them back. */
import {
  type Context,
  type Experiment,
  experiment,
  faultPods,
  faultVictim,
  freshPods,
  freshVictim,
  hasAllReady,
  hasReady,
  inSync,
  noNewPods,
  podOf,
  podRefs,
  type RecordedEvent,
  restartsOf,
  rolledOut,
  type Scenario,
  type Sight,
  startsLate,
  steadyLoad,
  sumMs,
  type TimingProfile,
  victimIn,
  victimIsIn,
  victimIsOut,
  victimOf,
  victimRefs,
  WORKLOAD_WATCHES,
  withValuesOf,
} from '#core'
import type { KubeObject } from '#kit/kube'

const RATE_PER_S = 20
const TAKES_MS = 200
const IN_FLIGHT = Math.ceil((RATE_PER_S * TAKES_MS) / 1_000)
/** The kubelet looks at its containers every second, and tells a moment later. */
const TOLD_MS = 2_000
/** From what the kubelet tells to the rules by which the node forwards. */
const ENDPOINTS_MS = 2_000
const STARTS_AGAIN_MS = 2_000
/** Longer than a pod may take to come; and still within the load. */
const STAYS_AWAY_MS = 20_000
const LATE_S = 14

const common = { steady: [inSync, rolledOut], watches: WORKLOAD_WATCHES } satisfies Partial<Experiment>
const loadOf = (name: string, forMs: number) => steadyLoad(name, { forMs, ratePerS: RATE_PER_S, takesMs: TAKES_MS })

const isOut: Sight = { name: 'it gets no more traffic', matches: victimIsOut }

// ── pod-deleted ─────────────────────────────────────────────────────────────────────────────────────────────────────

const isVictim = (pod: KubeObject | undefined, before: readonly KubeObject[]) =>
  pod !== undefined && pod.metadata.uid === victimOf(before)?.metadata.uid

const othersServe = (event: RecordedEvent, before: readonly KubeObject[]) =>
  hasAllReady(event, before, [victimOf(before)?.metadata.name ?? ''])

async function deleteVictim(context: Context): Promise<void> {
  for (const ref of await victimRefs(context)) await context.cluster.kube.delete(ref)
}

export const podDeleted: Scenario = experiment({
  ...common,
  name: 'pod-deleted',
  about: 'Deletes a pod: it gets no new request, finishes those that it has, and the ReplicaSet makes another one. Nobody notices.',
  held: 'Nothing has to be held: a pod that is deleted never comes back, another one takes its place.',
  targets: victimRefs,
  // So many are in flight that some are the victim's, whichever pods they fell to: without a drain they are lost.
  load: steadyLoad('pod-deleted', { forMs: 25_000, ratePerS: RATE_PER_S, takesMs: 1_000 }),
  fault: { kind: 'act', name: 'delete a pod', run: deleteVictim },
  bite: { name: 'it is on its way out', matches: (event, before) => isVictim(endingPodOf(event), before) },
  noticed: { sights: [isOut], within: () => ({ lowerMs: 0, partsMs: { endpoints: ENDPOINTS_MS } }) },
  healed: {
    sights: [{ name: 'as many others as before take traffic', matches: othersServe }],
    within: ({ hpa }) => ({ lowerMs: 300, partsMs: { replaced: 1_000, podStart: hpa.podStartMs, endpoints: ENDPOINTS_MS } }),
  },
  mutants: [withValuesOf('without-drain', { preStopSeconds: 0, drainMs: 0, stopMs: 0 }), noNewPods(STAYS_AWAY_MS)],
})

const endingPodOf = (event: RecordedEvent) => {
  const pod = podOf(event)
  return pod?.metadata.deletionTimestamp === undefined ? undefined : pod
}

// ── Killed ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Its process ends without a drain: whatever it had in hand is lost, as by SIGKILL. */
const died: Sight = {
  name: 'its container has ended',
  matches(event, before) {
    const container = victimIn(event, before)
    return container !== undefined && (container.state?.terminated !== undefined || container.restartCount > restartsOf(before))
  },
}
const CRASH = { forMs: 1_000, crash: true } as const

const outParts = { told: TOLD_MS, endpoints: ENDPOINTS_MS }
const backParts = ({ hpa }: TimingProfile) => ({ ...outParts, startsAgain: STARTS_AGAIN_MS, podStart: hpa.podStartMs })
/** Sent to nobody for so long, this share of all. */
const lostIn = (parts: Readonly<Record<string, number>>, share: number) =>
  Math.ceil(share * ((RATE_PER_S * sumMs(parts)) / 1_000 + IN_FLIGHT))

export const podKilled: Scenario = experiment({
  ...common,
  name: 'pod-killed',
  about:
    'Kills the process of a pod: what it had in hand is lost, the pod gets no more traffic, the kubelet starts it again, and it returns.',
  held: 'Nothing has to be held: a process that has ended does not live again, the kubelet starts another one in its pod.',
  targets: victimRefs,
  undo: freshVictim,
  load: loadOf('pod-killed', 30_000),
  fault: { kind: 'act', name: 'kill a pod', run: (context) => faultVictim(context, CRASH) },
  bite: died,
  noticed: { sights: [isOut], within: () => ({ lowerMs: 0, partsMs: outParts }) },
  healed: {
    sights: [{ name: 'it gets traffic again', matches: victimIsIn }],
    within: (timing) => ({ lowerMs: 300, partsMs: backParts(timing) }),
  },
  // Half of all goes to it until it is out; the other pod answers all the while.
  loss: () => ({ failed: lostIn(outParts, 1 / 2), outageMs: 1_000 }),
  limit: { failedShare: 0.8, forMs: 10_000 },
  mutants: [startsLate(LATE_S)],
})

export const allPodsKilled: Scenario = experiment({
  ...common,
  name: 'all-pods-killed',
  about: 'Kills the processes of all pods at once: nobody answers, until the kubelet has started them again.',
  held: 'Nothing has to be held: a process that has ended does not live again, the kubelet starts another one in its pod.',
  targets: podRefs,
  undo: freshPods,
  load: loadOf('all-pods-killed', 35_000),
  fault: { kind: 'act', name: 'kill all pods', run: async (context) => faultPods(context, CRASH, await podRefs(context)) },
  bite: died,
  noticed: { sights: [{ name: 'no pod takes traffic', matches: hasReady(0) }], within: () => ({ lowerMs: 0, partsMs: outParts }) },
  healed: {
    sights: [{ name: 'as many pods as before take traffic', matches: (event, before) => hasAllReady(event, before) }],
    within: (timing) => ({ lowerMs: 300, partsMs: backParts(timing) }),
  },
  loss: (timing) => ({ failed: lostIn(backParts(timing), 1), outageMs: sumMs(backParts(timing)) }),
  limit: { failedShare: 0.9, forMs: 20_000 },
  mutants: [startsLate(LATE_S)],
})
