/** Thirty objects differ from Git at once: Argo CD is let go, and puts all of them back. */
import {
  type Act,
  type Claim,
  type Context,
  changeApplications,
  commitDeploy,
  type Evidence,
  experiment,
  inSync,
  isChange,
  isFrom,
  neverEnds,
  pauseSync,
  polled,
  type RecordedEvent,
  rolledOut,
  type Scenario,
  type Step,
  steadyLoad,
} from '#core'
import { Failure } from '#kit/errors'
import { type KubeObject, type ListRef, refOf } from '#kit/kube'
import { pending, ready, waitFor } from '#kit/wait'
import { APPLICATIONS, isOf } from './delivery.ts'

const COUNT = 30
/** Any Application that may hold what nobody needs. */
const OWNER = 'load'
const LABEL = 'holdfast.dev/drifts'
const DRIFTING: ListRef = { apiVersion: 'v1', kind: 'ConfigMap', namespace: OWNER, labelSelector: LABEL }
const DRIFTED = 'objects that differ'
const LIVE_TIMEOUT_MS = 60_000
const LOOK_MS = 250

const names = Array.from({ length: COUNT }, (_, i) => `experiment-drifts-${String(i + 1).padStart(2, '0')}`)
const pathOf = (name: string) => `rendered/${OWNER}/configmap.${OWNER}.${name}.yaml`
const objectOf = (name: string): KubeObject => ({
  apiVersion: DRIFTING.apiVersion,
  kind: DRIFTING.kind,
  metadata: { name, namespace: OWNER, labels: { [LABEL]: 'yes' } },
  data: { said: 'by Git' },
})
const isDrifted = ({ data }: KubeObject) => data?.said !== 'by Git'

async function commitAll(context: Context): Promise<void> {
  const files = Object.fromEntries(names.map((name) => [pathOf(name), JSON.stringify(objectOf(name))]))
  await commitDeploy(context, { message: `Experiment: ${COUNT} objects`, files, applications: [OWNER] })
  const look = async () => {
    const found = await context.cluster.kube.list(DRIFTING)
    return found.length === COUNT ? ready(undefined) : pending(`${found.length} of ${COUNT}`)
  }
  await waitFor(`${COUNT} objects to be live`, look, { timeoutMs: LIVE_TIMEOUT_MS, signal: context.signal })
}

async function driftAll({ cluster: { kube } }: Context): Promise<void> {
  const found = await kube.list(DRIFTING)
  if (found.length === 0) throw new Failure({ what: 'Cannot let objects differ from Git', why: 'they are not there' })
  await Promise.all(found.map((object) => kube.mergePatch(refOf(object), { data: { said: 'by hand' } })))
}

const first: readonly Step[] = [
  { kind: 'act', name: `commit ${COUNT} objects`, run: commitAll },
  { kind: 'act', name: 'hold Argo CD off', run: async (context) => (await pauseSync(context, OWNER)).apply() },
]

const letGo: Act = {
  kind: 'act',
  name: 'let Argo CD go',
  async run(context) {
    const automated = { prune: true, selfHeal: true }
    const change = await changeApplications(context, [OWNER], (spec) => ({ ...spec, syncPolicy: { ...spec.syncPolicy, automated } }))
    await change.apply()
  },
}

const drifting = polled({
  name: DRIFTED,
  everyMs: LOOK_MS,
  begin:
    ({ cluster: { kube } }) =>
    async () => [{ value: (await kube.list(DRIFTING)).filter(isDrifted).length, atMs: Date.now() }],
})

const differ = (count: number) => (event: RecordedEvent) => isFrom(DRIFTED, event) && event.value === count
const isOutOfSync = (event: RecordedEvent) =>
  isOf(event, { kind: APPLICATIONS.kind, name: OWNER }) && event.object.status?.sync?.status === 'OutOfSync'

/** By the watch of each, and not by their number alone. */
const eachCameBack: Claim = {
  name: `each of the ${COUNT} objects differed, and came back`,
  check({ events }: Evidence) {
    const back = names.filter((name) => {
      const versions = events.flatMap((event) => (isChange(event) && event.object.metadata.name === name ? [isDrifted(event.object)] : []))
      return versions.lastIndexOf(false) > versions.indexOf(true) && versions.includes(true)
    })
    return { outcome: back.length === COUNT ? 'true' : 'false', seen: `${back.length}` }
  },
}

export const thirtyObjectsDrifted: Scenario = experiment({
  name: 'thirty-objects-drifted',
  about: `Changes ${COUNT} objects by hand at once: Argo CD sees that they differ, and once it may, it puts all of them back. Nobody notices.`,
  isExtra: true,
  steady: [inSync, rolledOut],
  watches: [APPLICATIONS, DRIFTING],
  observes: [drifting],
  // They are made for this; what they stand in is what is hit.
  targets: async () => names.map((name) => refOf(objectOf(name))),
  held: 'The automated sync of their Application is switched off by a commit, until all of them differ.',
  undo: async (context) => [
    ...(await pauseSync(context, OWNER)).undo,
    {
      op: 'commit',
      message: 'Undo of an experiment',
      files: Object.fromEntries(names.map((name) => [pathOf(name), null])),
      applications: [OWNER],
    },
    ...names.map((name) => ({ op: 'delete' as const, ref: refOf(objectOf(name)) })),
  ],
  first,
  load: steadyLoad('objects-drifted', { forMs: 40_000, ratePerS: 10 }),
  fault: { kind: 'act', name: `change ${COUNT} objects by hand`, run: driftAll },
  bite: { name: `all ${COUNT} differ from Git`, matches: differ(COUNT) },
  noticed: {
    sights: [{ name: 'Argo CD sees that they differ', matches: isOutOfSync }],
    within: ({ selfHeal, reconciliationMs }) => ({ lowerMs: 0, partsMs: { ...selfHeal, missedByWatch: reconciliationMs } }),
  },
  end: letGo,
  healed: {
    sights: [{ name: 'none differs', matches: differ(0) }],
    within: ({ delivery, selfHeal, reconciliationMs }) => ({
      lowerMs: 50,
      partsMs: { ...delivery, ...selfHeal, missedByWatch: reconciliationMs, told: 1_000 },
    }),
  },
  claims: () => [eachCameBack],
  mutants: [neverEnds(letGo, 20_000)],
})
