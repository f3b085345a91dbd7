/** Where Argo CD and the nodes get what runs is away: the Git server, and the registry. What runs goes on; what is new waits. */
import {
  type Act,
  answers,
  autoSyncOff,
  away,
  type Context,
  commitValues,
  containerOf,
  ENVIRONMENT,
  experiment,
  hasAllReady,
  imageOf,
  inSync,
  isRolledOut,
  isSilent,
  neverEnds,
  podOf,
  type RecordedEvent,
  refresh,
  restoreValues,
  rolledOut,
  type Scenario,
  type Step,
  steadyLoad,
  storeVariant,
  type Tell,
  versionOf,
  victimOf,
  WORKLOAD_NAME,
  WORKLOAD_PODS,
  WORKLOAD_WATCHES,
  workloadOf,
} from '#core'
import { type KubeObject, refOf } from '#kit/kube'
import { pending, ready, waitFor } from '#kit/wait'
import { APPLICATIONS, isOf } from './delivery.ts'
import { cannotPull, isNew, labelled, oldVersion, PULL_MS } from './rollout.ts'

const RATE_PER_S = 10
const STOPS_MS = 15_000
const STARTS_MS = 20_000

// ── git-server-down ─────────────────────────────────────────────────────────────────────────────────────────────────

const GIT = away({
  what: 'the Git server',
  ref: async () => ({ apiVersion: 'apps/v1', kind: 'Deployment', name: 'git', namespace: 'git' }),
  application: 'git',
})
const ANSWER_TIMEOUT_MS = 2_000
const FIELD = 'revisionHistoryLimit'
/** No other scenario writes it. */
const VALUE = 33

function cannotCompare(event: RecordedEvent): boolean {
  if (!isOf(event, { kind: APPLICATIONS.kind, name: WORKLOAD_NAME })) return false
  return (event.object.status?.conditions ?? []).some(({ type }: { type: string }) => type === 'ComparisonError')
}

async function giveBackAndCommit(context: Context, round: number, tell: Tell): Promise<void> {
  await GIT.giveBack.run(context, round, tell)
  await commitValues(context, `Experiment: ${FIELD} is ${VALUE}`, { [FIELD]: VALUE })
}

/**
 * By itself Argo CD would find out late: it looks again after its reconciliation time, and its repo server remembers for three minutes what
 * a branch names (`--revision-cache-expiration`). So it is asked, as a commit's webhook does, once there is nobody to answer.
 */
async function takeGitAndLook(context: Context, round: number, tell: Tell): Promise<void> {
  const { cluster, signal } = context
  await GIT.take.run(context, round, tell)
  const look = async () => ((await GIT.there.look(context)).ok || (await gitAnswers(context)) ? pending('it answers') : ready(undefined))
  await waitFor('the Git server to be gone', look, { timeoutMs: STOPS_MS, signal })
  await refresh(cluster.kube, WORKLOAD_NAME)
}

const askGit = ({ cluster }: Context) => cluster.fetch('git', '/healthz', { signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) })
const gitAnswers = (context: Context) =>
  askGit(context).then(
    ({ ok }) => ok,
    () => false,
  )

export const gitServerDown: Scenario = experiment({
  name: 'git-server-down',
  needs: ['ownSources'],
  about:
    'Takes the Git server away: Argo CD says that it cannot compare and touches nothing, what runs serves on; once it is back, a commit is live as any other.',
  isExtra: true,
  asks: ['git'],
  steady: [inSync, rolledOut, GIT.there],
  watches: [APPLICATIONS, ...WORKLOAD_WATCHES],
  observes: [
    answers('git', async (context) => {
      const { ok, status } = await askGit(context)
      if (!ok) throw new Error(`it answered ${status}`)
    }),
  ],
  first: GIT.first,
  targets: GIT.targets,
  held: GIT.held,
  undo: async (context) => [...(await GIT.undo(context)), ...(await restoreValues(context))],
  load: steadyLoad('git-server-down', { forMs: 90_000, ratePerS: RATE_PER_S }),
  fault: { ...GIT.take, run: takeGitAndLook },
  bite: { name: 'it does not answer', matches: isSilent('git') },
  noticed: {
    sights: [{ name: 'Argo CD says that it cannot compare', matches: cannotCompare }],
    // Each of its tries to connect has a time limit of its own.
    within: () => ({ lowerMs: 0, partsMs: { stops: STOPS_MS, compared: 20_000 } }),
  },
  end: { kind: 'act', name: 'give the Git server back, and commit', run: giveBackAndCommit },
  healed: {
    sights: [{ name: 'the commit is live', matches: (event) => workloadOf(event)?.spec[FIELD] === VALUE }],
    within: ({ delivery, reconciliationMs }) => ({ lowerMs: 500, partsMs: { starts: STARTS_MS, ...delivery, looks: reconciliationMs } }),
  },
  mutants: [autoSyncOff(70_000, WORKLOAD_NAME)],
})

// ── registry-down ───────────────────────────────────────────────────────────────────────────────────────────────────

const CUT_AT_MOST_MS = 180_000
const CUT_MS = 10_000
/** The kubelet asks again after 10 s, 20 s, 40 s. */
const ASKS_AGAIN_MS = 40_000
const ENDPOINTS_MS = 5_000
const REPLACED_TIMEOUT_MS = 60_000

async function cutAndCommit(context: Context): Promise<void> {
  const digest = await storeVariant(context, ENVIRONMENT, { name: 'a version that comes too late', change: labelled })
  await context.network.cut(context, { forMs: CUT_AT_MOST_MS, registry: true })
  await commitValues(context, 'Experiment: a version that cannot be pulled yet', { image: { digest } })
}

const givesUp = (event: RecordedEvent) => containerOf(podOf(event))?.state?.waiting?.reason === 'ImagePullBackOff'

/** Of those that serve, as `victimOf` picks it. */
async function deleteServingPod({ cluster: { kube } }: Context): Promise<void> {
  const victim = victimOf((await kube.list(WORKLOAD_PODS)).filter((pod) => containerOf(pod)?.ready === true))
  if (victim !== undefined) await kube.delete(refOf(victim))
}

/** What is on the node needs no registry. */
const whatRunsIsReplaced: readonly Step[] = [
  { kind: 'act', name: 'delete a pod of what runs', run: deleteServingPod },
  {
    kind: 'until',
    name: 'another one of it takes its place',
    timeoutMs: REPLACED_TIMEOUT_MS,
    matches: (event, before) => hasAllReady(event, before, [victimOf(before)?.metadata.name ?? '']),
  },
]

function isReplaced(event: RecordedEvent, before: readonly KubeObject[]): boolean {
  const workload = workloadOf(event)
  return workload !== undefined && versionOf(imageOf(workload)) !== oldVersion(before) && isRolledOut(workload)
}

const mend: Act = { kind: 'act', name: 'give the registry back', run: ({ cluster, network }) => network.mend(cluster) }

export const registryDown: Scenario = experiment({
  name: 'registry-down',
  needs: ['ownSources'],
  about:
    'Cuts the nodes off the registry and commits a new version: it waits, while what runs serves, and is replaced from what the node has; with the registry back the new version comes.',
  isExtra: true,
  steady: [inSync, rolledOut],
  watches: WORKLOAD_WATCHES,
  targets: async ({ cluster }) => (await cluster.kube.list({ apiVersion: 'v1', kind: 'Node' })).map(refOf),
  held: 'The nodes have no way to the registry: no object changes, so there is nothing that Argo CD or the kubelet could put right.',
  undo: async (context) => [...(await context.network.undo(context.cluster)), ...(await restoreValues(context))],
  load: steadyLoad('registry-down', { forMs: 120_000, ratePerS: RATE_PER_S, takesMs: 200 }),
  fault: { kind: 'act', name: 'cut the registry off, and commit a version that it alone has', run: cutAndCommit },
  bite: { name: 'its image cannot be pulled', matches: (event, before) => isNew(event, before) && cannotPull(event) },
  noticed: {
    sights: [{ name: 'the kubelet gives up for a while', matches: (event, before) => isNew(event, before) && givesUp(event) }],
    within: ({ delivery }) => ({ lowerMs: 1_000, partsMs: { cut: CUT_MS, ...delivery, pull: 2 * PULL_MS, again: 15_000 } }),
  },
  meanwhile: () => whatRunsIsReplaced,
  end: mend,
  healed: {
    sights: [{ name: 'the new version runs alone', matches: isReplaced }],
    within: ({ hpa }) => ({
      lowerMs: 1_000,
      partsMs: { mended: CUT_MS, asksAgain: ASKS_AGAIN_MS, pull: PULL_MS, podStarts: 2 * hpa.podStartMs, endpoints: ENDPOINTS_MS },
    }),
  },
  mutants: [neverEnds(mend, 45_000)],
})
