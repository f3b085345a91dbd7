/** Argo CD's self-heal: a hand edit is reverted and a deleted object comes back. */
import {
  actSkipped,
  autoSyncOff,
  type Bound,
  ENVIRONMENT,
  hasReady,
  inSync,
  isChange,
  isPresent,
  isWorkload,
  outageOf,
  present,
  type RecordedEvent,
  rolledOut,
  type Scenario,
  steadyLoad,
  type TimingProfile,
  underLoad,
  WORKLOAD,
  WORKLOAD_NAME,
  WORKLOAD_WATCHES,
  workloadOf,
} from '#core'
import type { KubeObject, ObjectRef } from '#kit/kube'

const EDITED = WORKLOAD
const DELETED: ObjectRef = { apiVersion: 'v1', kind: 'Service', name: WORKLOAD_NAME, namespace: ENVIRONMENT }
/** Written in Git and without effect on pods: twenty edits make no rollout. */
const FIELD = 'revisionHistoryLimit'
const EDITS = 20
const BITE_TIMEOUT_MS = 5_000
const HEAL_TIMEOUT_MS = 30_000

const isEdited = isWorkload
const isDeleted = ({ kind, metadata }: KubeObject) => kind === DELETED.kind && metadata.name === DELETED.name

/** The value that no round before has used and Git does not hold. */
const strangeValue = (round: number) => 50 + round

/**
 * Nearly every drift is seen by watch. Argo CD 3.5.7 can miss one: `writeBackToInformer` puts the answer of an older patch over a
 * newer Application, the ended operation seems to run on, and auto-sync is skipped until the next full comparison.
 */
const healBounds = ({ name, lowerMs, partsMs, ...span }: Bound, { reconciliationMs }: TimingProfile): Bound[] => [
  { ...span, name: `${name}, p95`, share: 0.95, lowerMs, partsMs },
  { ...span, name: `${name}, each`, lowerMs, partsMs: { ...partsMs, missedByWatchMs: reconciliationMs } },
]

const mutants = [autoSyncOff(30_000, WORKLOAD_NAME), actSkipped(5_000)]

export const handEdit: Scenario = {
  name: 'hand-edit',
  kind: 'proof',
  about: `Edits ${FIELD} of the running Deployment by hand; Argo CD sees that it differs from Git and writes Git's value back.`,
  repeat: EDITS,
  steady: [inSync],
  watches: [{ apiVersion: EDITED.apiVersion, kind: EDITED.kind, namespace: ENVIRONMENT }],
  async undo({ cluster }) {
    const original = (await cluster.kube.get(EDITED))?.spec[FIELD]
    return [{ op: 'patch', ref: EDITED, patch: { spec: { [FIELD]: original } } }]
  },
  steps: () => [
    {
      kind: 'act',
      name: 'edit',
      run: async ({ cluster }, round) => void (await cluster.kube.mergePatch(EDITED, { spec: { [FIELD]: strangeValue(round) } })),
    },
    {
      kind: 'until',
      isBite: true,
      name: `${FIELD} differs from Git's`,
      timeoutMs: BITE_TIMEOUT_MS,
      matches: (event, before) =>
        isChange(event) && isEdited(event.object) && event.object.spec[FIELD] !== before.find(isEdited)?.spec[FIELD],
    },
    {
      kind: 'until',
      name: `${FIELD} has Git's value again, in the same object`,
      timeoutMs: HEAL_TIMEOUT_MS,
      matches: (event, before) => isChange(event) && isAsBefore(event.object, before.find(isEdited)),
    },
  ],
  // A revert within 20 ms cannot have gone through a comparison: something else wrote the value.
  bounds: (timing) => healBounds({ name: 'hand edit reverted', lowerMs: 20, partsMs: timing.selfHeal }, timing),
  mutants,
}

export const objectDeleted: Scenario = {
  name: 'object-deleted',
  kind: 'proof',
  about: 'Deletes the running Service object; Argo CD misses it and creates it anew.',
  repeat: EDITS,
  steady: [inSync],
  watches: [{ apiVersion: DELETED.apiVersion, kind: DELETED.kind, namespace: ENVIRONMENT }],
  async undo({ cluster }) {
    const original = await cluster.kube.get(DELETED)
    return original === undefined ? [] : [{ op: 'create', object: asWritten(original) }]
  },
  steps: () => [
    { kind: 'act', name: 'delete', run: async ({ cluster }) => void (await cluster.kube.delete(DELETED)) },
    {
      kind: 'until',
      isBite: true,
      name: 'the object is gone',
      timeoutMs: BITE_TIMEOUT_MS,
      matches: (event) => event.type === 'DELETED' && isDeleted(event.object),
    },
    { kind: 'until', name: 'an object with a new uid is there', timeoutMs: HEAL_TIMEOUT_MS, matches: isReborn },
  ],
  bounds: (timing) => healBounds({ name: 'deleted object back', lowerMs: 10, partsMs: timing.recreate }, timing),
  mutants,
}

function isAsBefore(object: KubeObject, original: KubeObject | undefined): boolean {
  return isEdited(object) && object.spec[FIELD] === original?.spec[FIELD] && object.metadata.uid === original?.metadata.uid
}

function isReborn(event: RecordedEvent, before: readonly KubeObject[]): boolean {
  return isPresent(event) && isDeleted(event.object) && event.object.metadata.uid !== before.find(isDeleted)?.metadata.uid
}

/** An object's own content, without what the server wrote. */
function asWritten({ apiVersion, kind, metadata, spec }: KubeObject): KubeObject {
  const { name, namespace = ENVIRONMENT, labels = {}, annotations = {} } = metadata
  return { apiVersion, kind, metadata: { name, namespace, labels, annotations }, spec }
}

const REPLICAS_BACK = 'the workload asks for pods again'
const SERVES_AGAIN = 'pods serve again'
const LEAST_REPLICAS = 2

export const scaledToZero: Scenario = {
  name: 'scaled-to-zero',
  kind: 'proof',
  about:
    'Scales the workload to 0 by hand: the HPA leaves a workload of 0 alone, but Argo CD, which leaves replicas to the HPA and to nobody else, writes its own number back.',
  steady: [inSync, rolledOut],
  watches: WORKLOAD_WATCHES,
  async undo({ cluster }) {
    const replicas = (await cluster.kube.get(WORKLOAD))?.spec.replicas
    return [{ op: 'patch', ref: WORKLOAD, patch: { spec: { replicas } } }]
  },
  steps: () => [
    {
      kind: 'act',
      name: 'scale to 0',
      run: async ({ cluster }) => void (await cluster.kube.mergePatch(WORKLOAD, { spec: { replicas: 0 } })),
    },
    {
      kind: 'until',
      isBite: true,
      name: 'the workload asks for no pod',
      timeoutMs: BITE_TIMEOUT_MS,
      matches: (event) => workloadOf(event)?.spec.replicas === 0,
    },
    {
      kind: 'until',
      name: REPLICAS_BACK,
      timeoutMs: HEAL_TIMEOUT_MS,
      matches: (event) => (workloadOf(event)?.spec.replicas ?? 0) >= LEAST_REPLICAS,
    },
    { kind: 'until', name: SERVES_AGAIN, timeoutMs: 2 * HEAL_TIMEOUT_MS, matches: hasReady(LEAST_REPLICAS) },
  ],
  bounds: (timing) => [
    ...healBounds({ name: 'replicas back', to: REPLICAS_BACK, lowerMs: 10, partsMs: timing.selfHeal }, timing),
    {
      name: 'serves again',
      from: REPLICAS_BACK,
      to: SERVES_AGAIN,
      lowerMs: 500,
      partsMs: { podStart: 2 * timing.hpa.podStartMs, endpoints: 5_000 },
    },
  ],
  mutants,
}

// ── Under load ──────────────────────────────────────────────────────────────────────────────────────────────────────

const AT_ONCE = 'Nothing holds it: how soon Argo CD puts it back is what is measured.'
const RATE_PER_S = 20
/** CoreDNS lets an answer live for five seconds, and the generator remembers it for one. */
const NAME_MS = 6_000

export const editedByHand = underLoad(handEdit, {
  name: 'edited-by-hand',
  about: `Edits ${FIELD} of the running Deployment by hand, under load: Argo CD writes Git's value back, and nobody notices.`,
  isExtra: false,
  targets: present(EDITED),
  held: AT_ONCE,
  load: steadyLoad('edited-by-hand', { forMs: 12_000, ratePerS: RATE_PER_S, takesMs: 200 }),
})

export const serviceDeleted = underLoad(objectDeleted, {
  name: 'service-deleted',
  about: 'Deletes the Service that users come by: Argo CD makes it anew, at another address, and who asks for its name again is answered.',
  isExtra: true,
  targets: present(DELETED),
  held: AT_ONCE,
  load: { ...steadyLoad('service-deleted', { forMs: 25_000, ratePerS: RATE_PER_S }), remembersNamesMs: 1_000 },
  loss: ({ recreate, reconciliationMs }) =>
    outageOf({ ...recreate, missedByWatchMs: reconciliationMs, nameMs: NAME_MS, endpointsMs: 2_000 }, RATE_PER_S),
  knownAfterMs: NAME_MS,
  limit: { failedShare: 0.9, forMs: 20_000 },
})

export const scaledAway = underLoad(scaledToZero, {
  name: 'scaled-away',
  about: 'Scales the workload to 0 by hand, under load: Argo CD writes its own number back, pods come, and serve.',
  isExtra: false,
  targets: present(WORKLOAD),
  held: AT_ONCE,
  load: steadyLoad('scaled-away', { forMs: 25_000, ratePerS: RATE_PER_S }),
  loss: ({ selfHeal, reconciliationMs, hpa }) =>
    outageOf({ ...selfHeal, missedByWatchMs: reconciliationMs, podStartMs: 2 * hpa.podStartMs, endpointsMs: 5_000 }, RATE_PER_S),
  limit: { failedShare: 0.9, forMs: 20_000 },
})
