/** A node is drained: its pods are evicted one after the other as the disruption budget allows, and no request fails. */
import {
  type Claim,
  drain,
  ENVIRONMENT,
  type Eviction,
  isFrom,
  isPresent,
  isSummary,
  leftOut,
  loadMeasured,
  type Mutant,
  NOBODY_NOTICES,
  noRequestFailed,
  pauseSync,
  type RecordedEvent,
  type Scenario,
  steadyLoad,
  WORKLOAD_NAME,
} from '#core'
import type { KubeObject, ObjectRef } from '#kit/kube'
import {
  findOtherNode,
  gatherPods,
  otherNode,
  otherNodes,
  REPLICAS,
  restoreNodes,
  STEADY,
  servedElsewhere,
  servingNodes,
  takeNoNewPods,
  WATCHES,
} from './nodes.ts'

export const DRAIN = 'drain the node'
export const EMPTY = 'nothing is left on the node'
/** Kubernetes' own for a pod that names none; the service's needs less. */
const GRACE_MS = 30_000
const DRAIN_TIMEOUT_MS = 120_000
/** The chart's preStop: no pod of the service is gone sooner. */
export const PRE_STOP_MS = 5_000
const BUDGET: ObjectRef = { apiVersion: 'policy/v1', kind: 'PodDisruptionBudget', name: WORKLOAD_NAME, namespace: ENVIRONMENT }

const load = steadyLoad('node-drained', { forMs: 60_000, ratePerS: 10, takesMs: 200 })

function isOnItsWayOut(event: RecordedEvent, before: readonly KubeObject[]): boolean {
  if (!isPresent(event) || event.object.kind !== 'Pod') return false
  return event.object.spec.nodeName === otherNode(before) && event.object.metadata.deletionTimestamp !== undefined
}

const budgetHeld: Claim = {
  name: 'the disruption budget held an eviction back',
  check({ events }) {
    const answers = events.flatMap((event) => (isFrom(DRAIN, event) && 'status' in event.value ? [event.value as Eviction] : []))
    const held = answers.filter(({ status }) => status === 429).length
    return { outcome: held > 0 ? 'true' : 'no data', seen: `${held} of ${answers.length} answers were 429` }
  },
}

/** What the budget is for: it allows one pod to be missing. */
const neverBelow: Claim = {
  name: `never fewer than ${REPLICAS - 1} pods took traffic`,
  check({ events, at }) {
    const sinceMs = at(DRAIN)
    if (sinceMs === undefined) return { outcome: 'no data', seen: 'nothing was drained' }
    const inForce = events.findLast((event) => event.atMs < sinceMs && servingNodes(event) !== undefined)
    const counts = [...(inForce === undefined ? [] : [inForce]), ...events.filter(({ atMs }) => atMs >= sinceMs)].flatMap(
      (event) => servingNodes(event)?.length ?? [],
    )
    const fewest = Math.min(...counts)
    if (counts.length < 2) return { outcome: 'no data', seen: 'the endpoints did not change' }
    return { outcome: fewest >= REPLICAS - 1 ? 'true' : 'false', seen: `at least ${fewest}, in ${counts.length} states` }
  },
}

const servedFromElsewhere: Claim = {
  name: 'the service is served from elsewhere',
  check({ events, before }) {
    const found = events.some((event) => servedElsewhere(event, before))
    return { outcome: found ? 'true' : 'false', seen: found ? `${REPLICAS} pods` : 'it never was' }
  },
}

/** Nothing holds an eviction back any more: all pods of the service go at once. */
const withoutBudget: Mutant = {
  name: 'without-budget',
  expect: 'violated',
  async break(context) {
    const { kube } = context.cluster
    const budget = await kube.get(BUDGET)
    const pause = await pauseSync(context, WORKLOAD_NAME)
    return {
      async apply() {
        await pause.apply()
        await kube.delete(BUDGET)
      },
      undo: [...(budget === undefined ? [] : [{ op: 'create', object: freshly(budget) } as const]), ...pause.undo],
    }
  },
}

/** An object as it can be created again. */
function freshly({ apiVersion, kind, metadata, spec }: KubeObject): KubeObject {
  const { name, namespace, labels, annotations } = metadata
  const kept = { name, ...(namespace === undefined ? {} : { namespace }), ...(labels === undefined ? {} : { labels }) }
  return { apiVersion, kind, metadata: { ...kept, ...(annotations === undefined ? {} : { annotations }) }, spec }
}

export const nodeDrained: Scenario = {
  name: 'node-drained',
  kind: 'chaos',
  about: 'Drains the node that has all pods of the service: the disruption budget lets one go at a time, and no request fails.',
  needs: ['secondNode'],
  isExtra: true,
  steady: STEADY,
  watches: WATCHES,
  harm: { targets: otherNodes, held: 'It stays cordoned until the undo, so that no pod comes back to it.', limit: NOBODY_NOTICES },
  undo: restoreNodes,
  steps: () => [
    gatherPods,
    takeNoNewPods,
    { kind: 'load', name: 'load', profile: load },
    {
      kind: 'act',
      name: DRAIN,
      async run(context, _round, { observed }) {
        const options = { timeoutMs: DRAIN_TIMEOUT_MS, signal: context.signal }
        const onAnswer = (eviction: Eviction) => observed(eviction, Date.now())
        await drain(context.cluster.kube, await findOtherNode(context), { ...options, onAnswer })
        observed({ left: 0 }, Date.now())
      },
    },
    { kind: 'until', isBite: true, name: 'a pod of the service is on its way out', timeoutMs: 20_000, matches: isOnItsWayOut },
    { kind: 'until', name: EMPTY, timeoutMs: DRAIN_TIMEOUT_MS, matches: (event) => isFrom(DRAIN, event) && event.value.left === 0 },
    { kind: 'until', name: 'the load ends', timeoutMs: 120_000, matches: isSummary },
  ],
  claims: () => [loadMeasured(load), noRequestFailed(500), budgetHeld, neverBelow, servedFromElsewhere],
  bounds: (timing) => [
    {
      name: 'the node is empty',
      from: DRAIN,
      to: EMPTY,
      lowerMs: PRE_STOP_MS,
      // One pod goes at once, the next when another one is ready in its place.
      partsMs: { podStarts: REPLICAS * timing.hpa.podStartMs, askedAgain: 2_000, endpoints: 5_000, grace: GRACE_MS },
    },
  ],
  mutants: [withoutBudget, leftOut(DRAIN, 'not-drained')],
}
