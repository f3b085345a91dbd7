/** Git is what runs: a commit is live at once, and what is taken out of Git is taken away, and nothing beside it. */
import {
  actSkipped,
  type Context,
  commitDeploy,
  commitValues,
  ENVIRONMENT,
  inSync,
  isPresent,
  isWorkload,
  type Mutant,
  type RecordedEvent,
  ROOT_APPLICATION,
  refOfApplication,
  restoreValues,
  type Scenario,
  WORKLOAD,
  workloadOf,
} from '#core'
import type { KubeObject, ListRef, ObjectRef } from '#kit/kube'

export const APPLICATIONS: ListRef = { apiVersion: 'argoproj.io/v1alpha1', kind: 'Application', namespace: 'argocd' }
const BITE_TIMEOUT_MS = 20_000
const LIVE_TIMEOUT_MS = 30_000

/** Applications under another sync policy: null is none, so that a commit waits for a hand. */
function policies(name: string, wanted: Readonly<Record<string, object | null>>): Mutant {
  return {
    name,
    expect: 'violated',
    holdMs: 20_000,
    async break({ cluster: { kube } }) {
      const patches = await Promise.all(
        Object.entries(wanted).map(async ([application, automated]) => {
          const ref = refOfApplication(application)
          const original = (await kube.get(ref))?.spec.syncPolicy.automated
          return { ref, broken: { spec: { syncPolicy: { automated } } }, whole: { spec: { syncPolicy: { automated: original } } } }
        }),
      )
      return {
        async apply() {
          for (const { ref, broken } of patches) await kube.mergePatch(ref, broken)
        },
        // Last the one that holds all others.
        undo: patches.toReversed().map(({ ref, whole }) => ({ op: 'patch', ref, patch: whole })),
      }
    },
  }
}

// ── commit-live ─────────────────────────────────────────────────────────────────────────────────────────────────────

/** Without effect on pods: the rollout has a proof of its own. */
const FIELD = 'revisionHistoryLimit'
const COMMIT = 'commit'
const COMMITS = 5
/** The schema allows up to 50, and no drift proof writes so low a value. */
const committedValue = (round: number) => 20 + round
const revisionsOf = (application: KubeObject | undefined) => JSON.stringify(application?.status?.sync?.revisions)
const isRoot = ({ kind, metadata }: KubeObject) => kind === APPLICATIONS.kind && metadata.name === ROOT_APPLICATION

function seesCommit(event: RecordedEvent, before: readonly KubeObject[]): boolean {
  return isPresent(event) && isRoot(event.object) && revisionsOf(event.object) !== revisionsOf(before.find(isRoot))
}

export const commitLive: Scenario = {
  name: 'commit-live',
  kind: 'proof',
  about: `Commits another ${FIELD}; Argo CD is told, compares, and the running object has the value.`,
  repeat: COMMITS,
  steady: [inSync],
  watches: [APPLICATIONS, { apiVersion: WORKLOAD.apiVersion, kind: WORKLOAD.kind, namespace: ENVIRONMENT }],
  undo: restoreValues,
  steps: () => [
    {
      kind: 'act',
      name: COMMIT,
      run: (context, round) => commitValues(context, `Proof: ${FIELD} is ${committedValue(round)}`, { [FIELD]: committedValue(round) }),
    },
    { kind: 'until', isBite: true, name: 'Argo CD sees the commit', timeoutMs: BITE_TIMEOUT_MS, matches: seesCommit },
    {
      kind: 'until',
      name: 'the running object has the value',
      timeoutMs: LIVE_TIMEOUT_MS,
      matches: (event, before) => {
        const value = workloadOf(event)?.spec[FIELD]
        return value >= committedValue(0) && value !== before.find(isWorkload)?.spec[FIELD]
      },
    },
  ],
  bounds: (timing) => [{ name: 'commit live', from: COMMIT, lowerMs: 50, partsMs: timing.delivery }],
  mutants: [policies('auto-sync-off', { [ROOT_APPLICATION]: null }), actSkipped()],
}

// ── manifest-pruned ─────────────────────────────────────────────────────────────────────────────────────────────────

const OWNER = 'load'
const PRUNED: ObjectRef = { apiVersion: 'v1', kind: 'ConfigMap', name: 'proof-pruned', namespace: OWNER }
const BYSTANDER: ObjectRef = { ...PRUNED, name: 'proof-bystander' }
const PATH = `rendered/${OWNER}/configmap.${OWNER}.${PRUNED.name}.yaml`
const REMOVE = 'remove it from Git'
const GONE = 'it is gone'

const objectOf = ({ apiVersion, kind, name, namespace = '' }: ObjectRef): KubeObject => ({
  apiVersion,
  kind,
  metadata: { name, namespace },
  data: { proof: 'manifest-pruned' },
})
/** Whether an event is of this object. */
export const isOf = (
  event: RecordedEvent,
  { kind, name }: Pick<ObjectRef, 'kind' | 'name'>,
): event is Extract<RecordedEvent, { object: KubeObject }> =>
  'object' in event && event.object.kind === kind && event.object.metadata.name === name

/** JSON is YAML. */
const commitFile = (context: Context, message: string, content: string | null) =>
  commitDeploy(context, { message, files: { [PATH]: content }, applications: [OWNER] })

interface OwnedResource {
  readonly name: string
  readonly requiresPruning?: boolean
}

/** Argo CD compares, and finds it in the cluster and no longer in Git. */
function isToBePruned(event: RecordedEvent): boolean {
  if (!isOf(event, { ...PRUNED, kind: APPLICATIONS.kind, name: OWNER })) return false
  const resources = (event.object.status?.resources ?? []) as OwnedResource[]
  return resources.some(({ name, requiresPruning = false }) => name === PRUNED.name && requiresPruning)
}

export const manifestPruned: Scenario = {
  name: 'manifest-pruned',
  kind: 'proof',
  about: 'Takes a manifest out of Git: its object goes, and another one beside it, which never stood in Git, stays.',
  steady: [inSync],
  watches: [APPLICATIONS, { apiVersion: PRUNED.apiVersion, kind: PRUNED.kind, namespace: OWNER }],
  undo: async () => [
    { op: 'commit', message: 'Undo of a proof', files: { [PATH]: null }, applications: [OWNER] },
    { op: 'delete', ref: BYSTANDER },
    { op: 'delete', ref: PRUNED },
  ],
  steps: () => [
    {
      kind: 'act',
      name: 'add it to Git, and a bystander to the cluster',
      async run(context) {
        await context.cluster.kube.apply(objectOf(BYSTANDER))
        await commitFile(context, 'Proof: an object to be pruned', JSON.stringify(objectOf(PRUNED)))
      },
    },
    {
      kind: 'until',
      name: 'it is there',
      timeoutMs: LIVE_TIMEOUT_MS,
      matches: (event) => isOf(event, PRUNED) && isPresent(event),
    },
    {
      kind: 'act',
      name: REMOVE,
      run: async (context) => void (await commitFile(context, 'Proof: the object goes', null)),
    },
    {
      kind: 'until',
      isBite: true,
      name: 'Argo CD sees that Git no longer has it',
      timeoutMs: BITE_TIMEOUT_MS,
      matches: isToBePruned,
    },
    { kind: 'until', name: GONE, timeoutMs: LIVE_TIMEOUT_MS, matches: (event) => isOf(event, PRUNED) && event.type === 'DELETED' },
    {
      kind: 'never',
      name: 'the bystander goes',
      forMs: 3_000,
      matches: (event) => isOf(event, BYSTANDER) && event.type === 'DELETED',
    },
  ],
  claims: () => [
    {
      name: 'the bystander was there to the end',
      check({ events }) {
        const seen = events.filter((event) => isOf(event, BYSTANDER)).map(({ type }) => type)
        return { outcome: seen.length > 0 && !seen.includes('DELETED') ? 'true' : 'false', seen: seen.join(', ') || 'never seen' }
      },
    },
  ],
  bounds: (timing) => [{ name: 'pruned', from: REMOVE, to: GONE, lowerMs: 50, partsMs: timing.delivery }],
  // The root would put the policy back with the next commit.
  mutants: [policies('prune-off', { [ROOT_APPLICATION]: null, [OWNER]: { prune: false } }), actSkipped()],
}
