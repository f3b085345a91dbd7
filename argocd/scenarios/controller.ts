/** Argo CD's own controller is killed while it syncs. What it had begun it must end, and the next commit must come live by itself. */
import {
  ARGOCD_NAMESPACE,
  type Claim,
  type Context,
  commitDeploy,
  experiment,
  imageOf,
  inSync,
  type Mutant,
  pauseSync,
  present,
  type RecordedEvent,
  refresh,
  rolledOut,
  type Scenario,
  type Step,
  steadyLoad,
  WORKLOAD,
} from '#core'
import type { KubeObject, ObjectRef } from '#kit/kube'
import { APPLICATIONS, isOf } from './delivery.ts'

const CONTROLLER: ObjectRef = {
  apiVersion: 'apps/v1',
  kind: 'StatefulSet',
  name: 'argocd-application-controller',
  namespace: ARGOCD_NAMESPACE,
}
const POD: ObjectRef = { apiVersion: 'v1', kind: 'Pod', name: `${CONTROLLER.name}-0`, namespace: ARGOCD_NAMESPACE }
/** Any Application that holds what nobody needs. */
const OWNER = 'load'
const SLOW: ObjectRef = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'experiment-slow', namespace: OWNER }
const LAST: ObjectRef = { apiVersion: 'v1', kind: 'ConfigMap', name: 'experiment-last', namespace: OWNER }
/** The sync waits so long for its first wave. */
const SLOW_S = 20
const SYNC_TIMEOUT_MS = 60_000
const STARTS_MS = 40_000
const CACHES_MS = 20_000
const KILL = 'kill the controller'

const pathOf = ({ kind, namespace, name }: ObjectRef) => `rendered/${OWNER}/${kind.toLowerCase()}.${namespace}.${name}.yaml`
const inWave = ({ apiVersion, kind, name, namespace = '' }: ObjectRef, wave: number) => ({
  apiVersion,
  kind,
  metadata: { name, namespace, annotations: { 'argocd.argoproj.io/sync-wave': String(wave) } },
})

/** It is available only after a while, so that the sync that brings it goes on as long. Its program is any that stays. */
function slowDeployment(image: string): KubeObject {
  const labels = { 'app.kubernetes.io/name': SLOW.name }
  const container = {
    name: 'slow',
    image,
    env: [{ name: 'ENV', value: 'dev' }],
    resources: { requests: { cpu: '10m', memory: '64Mi' }, limits: { cpu: '100m', memory: '128Mi' } },
    securityContext: { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
  }
  const securityContext = { runAsNonRoot: true, runAsUser: 10001, seccompProfile: { type: 'RuntimeDefault' } }
  const spec = { automountServiceAccountToken: false, terminationGracePeriodSeconds: 5, securityContext, containers: [container] }
  return {
    ...inWave(SLOW, 0),
    spec: { replicas: 1, minReadySeconds: SLOW_S, selector: { matchLabels: labels }, template: { metadata: { labels }, spec } },
  }
}

const lastOf = (commit: 'first' | 'next'): KubeObject => ({ ...inWave(LAST, 1), data: { commit } })
/** JSON is YAML. */
const fileOf = (object: KubeObject, ref: ObjectRef) => ({ [pathOf(ref)]: JSON.stringify(object) })

async function commitFirst(context: Context): Promise<void> {
  const image = imageOf(await context.cluster.kube.get(WORKLOAD)) ?? ''
  const files = { ...fileOf(slowDeployment(image), SLOW), ...fileOf(lastOf('first'), LAST) }
  await commitDeploy(context, { message: 'Experiment: a sync that takes a while', files, applications: [OWNER] })
}

/** Told once, and not waited for: how soon it is seen is what is measured. */
async function commitNext({ cluster, git }: Context): Promise<void> {
  const [[path, content] = ['', '']] = Object.entries(fileOf(lastOf('next'), LAST))
  await (await git()).updateDeploy('Experiment: the next commit', (files) => void files.set(path, content))
  await refresh(cluster.kube, OWNER)
}

const operationOf = (event: RecordedEvent) =>
  isOf(event, { kind: APPLICATIONS.kind, name: OWNER }) ? event.object.status?.operationState : undefined
const begunBefore = (before: readonly KubeObject[]) =>
  before.find(({ kind, metadata }) => kind === APPLICATIONS.kind && metadata.name === OWNER)?.status?.operationState?.startedAt

function syncs(event: RecordedEvent, before: readonly KubeObject[]): boolean {
  const { phase, startedAt } = operationOf(event) ?? {}
  return phase === 'Running' && startedAt !== begunBefore(before)
}

/** Argo CD 3.5 was seen to leave an operation that says Succeeded and never says when (argo-cd#29636). */
function isFinished(event: RecordedEvent): boolean {
  const { phase, finishedAt } = operationOf(event) ?? {}
  return phase === 'Succeeded' && finishedAt !== undefined
}

const killedInMidSync: Claim = {
  name: 'the sync was running when the controller was killed',
  check(evidence) {
    const killedAtMs = evidence.at(KILL)
    const last = evidence.events.findLast((event) => event.atMs <= (killedAtMs ?? 0) && operationOf(event) !== undefined)
    const { phase, finishedAt } = (last === undefined ? undefined : operationOf(last)) ?? {}
    if (killedAtMs === undefined || phase === undefined) return { outcome: 'no data', seen: 'no operation was seen' }
    return { outcome: phase === 'Running' && finishedAt === undefined ? 'true' : 'no data', seen: phase }
  },
}

const podBefore = (before: readonly KubeObject[]) => before.find(({ kind, metadata }) => kind === 'Pod' && metadata.name === POD.name)
const isGone = (event: RecordedEvent, before: readonly KubeObject[]) =>
  isOf(event, POD) && event.type === 'DELETED' && event.object.metadata.uid === podBefore(before)?.metadata.uid
const runsAgain = (event: RecordedEvent, before: readonly KubeObject[]) =>
  isOf(event, POD) &&
  event.object.metadata.uid !== podBefore(before)?.metadata.uid &&
  event.object.status?.containerStatuses?.[0]?.ready === true

const untilItSyncs: readonly Step[] = [
  { kind: 'act', name: 'commit what takes a while to sync', run: commitFirst },
  { kind: 'until', name: 'Argo CD syncs it', timeoutMs: SYNC_TIMEOUT_MS, matches: syncs },
]

/** It never comes back: Argo CD, which would put itself right, is what is away. */
const leftAway: Mutant = {
  name: 'left-away',
  expect: 'violated',
  holdMs: 40_000,
  async break(context) {
    // In its last moment it might still see what happens to it.
    const pause = await pauseSync(context, 'argocd')
    return { apply: pause.apply, undo: [{ op: 'patch', ref: CONTROLLER, patch: { spec: { replicas: 1 } } }, ...pause.undo] }
  },
  steps: (steps) =>
    steps.map((step) =>
      step.kind === 'act' && step.name === KILL
        ? { ...step, run: async ({ cluster }) => void (await cluster.kube.mergePatch(CONTROLLER, { spec: { replicas: 0 } })) }
        : step,
    ),
}

export const controllerKilled: Scenario = experiment({
  name: 'argocd-controller-killed',
  about:
    'Kills Argo CD’s controller in the middle of a sync: the service does not mind, the controller comes back and ends what it had begun, and the next commit is live by itself.',
  isExtra: true,
  steady: [inSync, rolledOut],
  watches: [
    APPLICATIONS,
    { apiVersion: 'v1', kind: 'Pod', namespace: ARGOCD_NAMESPACE, labelSelector: `app.kubernetes.io/name=${CONTROLLER.name}` },
    { apiVersion: LAST.apiVersion, kind: LAST.kind, namespace: OWNER },
  ],
  targets: present(POD),
  held: 'Nothing has to be held: a controller that has ended does not live again, its StatefulSet makes another one.',
  undo: async () => [
    { op: 'commit', message: 'Undo of an experiment', files: { [pathOf(SLOW)]: null, [pathOf(LAST)]: null }, applications: [OWNER] },
    { op: 'delete', ref: SLOW },
    { op: 'delete', ref: LAST },
  ],
  load: steadyLoad('controller-killed', { forMs: 80_000, ratePerS: 10 }),
  first: untilItSyncs,
  // A second is all that it gets to end in order.
  fault: { kind: 'act', name: KILL, run: async ({ cluster }) => void (await cluster.kube.delete(POD, 'Background', 1)) },
  bite: { name: 'its pod is gone', matches: isGone },
  noticed: {
    sights: [{ name: 'another controller is ready', matches: runsAgain }],
    within: () => ({ lowerMs: 500, partsMs: { ends: 5_000, starts: STARTS_MS } }),
  },
  end: { kind: 'act', name: 'make the next commit', run: commitNext },
  healed: {
    sights: [
      { name: 'the next commit is live', matches: (event) => isOf(event, LAST) && event.object.data?.commit === 'next' },
      { name: 'its operation says when it ended', matches: isFinished },
    ],
    within: ({ delivery, reconciliationMs }) => ({
      lowerMs: 100,
      partsMs: { caches: CACHES_MS, 'the sync before': SLOW_S * 1_000, ...delivery, looks: reconciliationMs },
    }),
  },
  claims: () => [killedInMidSync],
  mutants: [leftAway],
})
