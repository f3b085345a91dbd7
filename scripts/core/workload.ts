/** The workload that proofs are about: what serves, which pods take traffic, whether anything is still on the move. */
import { isDeepStrictEqual } from 'node:util'
import { Failure } from '#kit/errors'
import { type KubeObject, type ListRef, type ObjectRef, refOf } from '#kit/kube'
import { refOfApplication } from './applications.ts'
import { type Environment, FIRST_ENVIRONMENT, nameIn } from './environments.ts'
import { ROOT_APPLICATION } from './gitops.ts'
import { isObserved } from './health.ts'
import { type Context, type Evidence, isPresent, type PodFault, type RecordedEvent, type Signal, type Undo } from './scenario.ts'

/** The environment that proofs act on. */
export const ENVIRONMENT = FIRST_ENVIRONMENT
/** The workload's name is also its Service's, its HPA's and its Application's. */
export const WORKLOAD_NAME = 'service'
export const WORKLOAD: ObjectRef = workloadIn(ENVIRONMENT)

/** What says what a pod of an environment is. It has the pods too, but for where a Rollout has them. */
export function workloadIn(environment: Environment): ObjectRef {
  return { apiVersion: 'apps/v1', kind: 'Deployment', name: WORKLOAD_NAME, namespace: environment }
}

/** What has the pods of an environment where a new version is tried on a part of the traffic first. */
export function rolloutIn(environment: Environment): ObjectRef {
  return { ...workloadIn(environment), apiVersion: 'argoproj.io/v1alpha1', kind: 'Rollout' }
}

const ENDPOINTS: ListRef = {
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  namespace: ENVIRONMENT,
  labelSelector: `kubernetes.io/service-name=${WORKLOAD_NAME}`,
}
export const WORKLOAD_PODS: ListRef = {
  apiVersion: 'v1',
  kind: 'Pod',
  namespace: ENVIRONMENT,
  labelSelector: `app.kubernetes.io/name=${WORKLOAD_NAME}`,
}

/** The workload, who takes its traffic, and its pods. */
export const WORKLOAD_WATCHES: readonly ListRef[] = [
  { apiVersion: WORKLOAD.apiVersion, kind: WORKLOAD.kind, namespace: ENVIRONMENT },
  ENDPOINTS,
  WORKLOAD_PODS,
]

/** The workload of an event, if it is one of it. */
export function workloadOf(event: RecordedEvent): KubeObject | undefined {
  return isPresent(event) && isWorkload(event.object) ? event.object : undefined
}

export function isWorkload({ kind, metadata }: KubeObject): boolean {
  return kind === WORKLOAD.kind && metadata.name === WORKLOAD.name
}

/** The pod of an event, if it is one of the workload that is there. */
export function podOf(event: RecordedEvent): KubeObject | undefined {
  return isPresent(event) && event.object.kind === 'Pod' ? event.object : undefined
}

export interface ContainerStatus {
  readonly restartCount: number
  readonly ready: boolean
  readonly state?: { readonly running?: object; readonly terminated?: object; readonly waiting?: { readonly reason: string } }
  readonly lastState?: { readonly terminated?: { readonly reason: string; readonly finishedAt: string } }
}

/** The state of a pod's one container. */
export function containerOf(pod: KubeObject | undefined): ContainerStatus | undefined {
  return pod?.status?.containerStatuses?.[0]
}

/** The pod that a round acts on: of those that are there, always the same. */
export function victimOf(objects: readonly KubeObject[]): KubeObject | undefined {
  return objects.filter(({ kind }) => kind === 'Pod').toSorted((a, b) => a.metadata.name.localeCompare(b.metadata.name))[0]
}

/** The container of the pod that a round acts on, as an event shows it. */
export function victimIn(event: RecordedEvent, before: readonly KubeObject[]): ContainerStatus | undefined {
  const pod = podOf(event)
  return pod?.metadata.uid === victimOf(before)?.metadata.uid ? containerOf(pod) : undefined
}

/** Whether an EndpointSlice offers no traffic to the pod that a round acts on, any more or yet. */
export function victimIsOut(event: RecordedEvent, before: readonly KubeObject[]): boolean {
  return readyPods(event)?.includes(victimOf(before)?.metadata.name ?? '') === false
}

/** Whether an EndpointSlice offers traffic to it. */
export function victimIsIn(event: RecordedEvent, before: readonly KubeObject[]): boolean {
  return readyPods(event)?.includes(victimOf(before)?.metadata.name ?? '') === true
}

/** How often the container of the pod that a round acts on had been started anew before. */
export function restartsOf(before: readonly KubeObject[]): number {
  return containerOf(victimOf(before))?.restartCount ?? 0
}

/** The kubelet starts a container that ends often ever later: a run leaves a fresh pod to the next one. */
export async function freshVictim(context: Context): Promise<Undo> {
  return (await victimRefs(context)).map((ref) => ({ op: 'delete', ref }))
}

/** The same of all pods, one by one, so that nobody notices. */
export async function freshPods(): Promise<Undo> {
  const annotations = { 'holdfast.dev/replaced': new Date().toISOString() }
  return [{ op: 'patch', ref: WORKLOAD, patch: { spec: { template: { metadata: { annotations } } } } }]
}

/** The pod that a round acts on now, or none. */
export async function victimRefs({ cluster }: Pick<Context, 'cluster'>): Promise<readonly ObjectRef[]> {
  const victim = victimOf(await cluster.kube.list(WORKLOAD_PODS))
  return victim === undefined ? [] : [refOf(victim)]
}

/** All pods of the workload. */
export async function podRefs({ cluster }: Pick<Context, 'cluster'>): Promise<readonly ObjectRef[]> {
  return (await cluster.kube.list(WORKLOAD_PODS)).map(refOf)
}

/** Switches a fault of the pod that a round acts on. */
export async function faultVictim(context: Context, fault: PodFault): Promise<void> {
  await faultPods(context, fault, await victimRefs(context))
}

/** Switches a fault of these pods, at once. */
export async function faultPods({ cluster, faults }: Context, fault: PodFault, pods: readonly ObjectRef[]): Promise<void> {
  if (pods.length === 0) throw new Failure({ what: 'Cannot switch a fault on', why: `the workload has no pod in ${ENVIRONMENT}` })
  await Promise.all(pods.map(({ name }) => faults.set(cluster, name, fault)))
}

/** The pods that an EndpointSlice offers traffic to. */
export function readyPods(event: RecordedEvent): string[] | undefined {
  if (!isPresent(event) || event.object.kind !== 'EndpointSlice') return undefined
  const endpoints = (event.object.endpoints ?? []) as { conditions?: { ready?: boolean }; targetRef?: { name: string } }[]
  return endpoints.filter(({ conditions }) => conditions?.ready === true).map(({ targetRef }) => targetRef?.name ?? '')
}

export const hasReady = (count: number) => (event: RecordedEvent) => readyPods(event)?.length === count

/** Whether at least as many pods as before take traffic, and none of those that are named. */
export function hasAllReady(event: RecordedEvent, before: readonly KubeObject[], without: readonly string[] = []): boolean {
  const wanted = Math.max(1, ...before.map((object) => readyPods({ type: 'ADDED', object, atMs: 0 })?.length ?? 0))
  const pods = readyPods(event)
  return pods !== undefined && pods.length >= wanted && pods.every((pod) => !without.includes(pod))
}

/** The pods of the first moment at which so many were ready. */
export function podsWhenReady({ events }: Pick<Evidence, 'events'>, count: number): string[] {
  return events.map(readyPods).find((pods) => pods?.length === count) ?? []
}

/** The image of a workload's one container. */
export function imageOf(workload: KubeObject | undefined): string | undefined {
  return workload?.spec.template.spec.containers[0]?.image
}

/** How the service names the version of an image by digest in its `x-version` header. */
export function versionOf(image: string | undefined): string {
  return image?.split('@sha256:')[1]?.slice(0, 12) ?? 'unknown'
}

/** Every wanted replica is of the newest template, and ready; nothing else is left. Where there is a Rollout, it has the replicas. */
export function isRolledOut(workload: KubeObject | undefined, rollout?: KubeObject): boolean {
  if (rollout !== undefined) return isPromoted(rollout, workload)
  const { replicas = 0, readyReplicas = 0, updatedReplicas = 0, observedGeneration } = workload?.status ?? {}
  const wanted = workload?.spec.replicas ?? 1
  return (
    [replicas, readyReplicas, updatedReplicas].every((count) => count === wanted) && observedGeneration === workload?.metadata.generation
  )
}

function isPromoted(rollout: KubeObject, template: KubeObject | undefined): boolean {
  const { phase, stableRS, currentPodHash } = rollout.status ?? {}
  return phase === 'Healthy' && stableRS !== undefined && stableRS === currentPodHash && isObserved(rollout, template)
}

/** Argo CD has compared what Git holds now, is content with it, and busy with nothing. */
export const inSync: Signal = {
  name: 'the service is Synced and Healthy, and no operation runs',
  async look({ cluster: { kube }, environment }) {
    const names = [ROOT_APPLICATION, nameIn(environment, WORKLOAD_NAME)]
    const [root, own] = await Promise.all(names.map((name) => kube.get(refOfApplication(name))))
    const { sync, health, operationState } = own?.status ?? {}
    const running = own?.operation !== undefined || operationState?.phase === 'Running'
    // A changed Application keeps the status of what it was until it is compared.
    const compared = root?.status?.sync?.status === 'Synced' && isDeepStrictEqual(sync?.comparedTo?.sources, own?.spec.sources)
    const state = `${sync?.status}/${health?.status}`
    return {
      ok: compared && state === 'Synced/Healthy' && !running,
      seen: `${state}${compared ? '' : ' of older values'}${running ? ', an operation runs' : ''}`,
    }
  },
}

/** Nothing rolls out, and no pod is on its way out: it would answer for another run. */
export const rolledOut: Signal = {
  name: 'the workload is rolled out, and no pod of it ends',
  async look({ cluster: { kube }, environment }) {
    const pods = { ...WORKLOAD_PODS, namespace: environment }
    const [workload, rollout, present] = await Promise.all([
      kube.get(workloadIn(environment)),
      kube.get(rolloutIn(environment)),
      kube.list(pods),
    ])
    const ending = present.filter(({ metadata }) => metadata.deletionTimestamp !== undefined).length
    const { readyReplicas = 0, replicas = 0, phase } = (rollout ?? workload)?.status ?? {}
    const seen = `${readyReplicas} of ${replicas} ready, ${ending} ending${phase === undefined ? '' : `, ${phase}`}`
    return { ok: isRolledOut(workload, rollout) && ending === 0, seen }
  },
}
