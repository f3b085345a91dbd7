/** What the proofs of autoscaling read from the cluster's objects. */
import {
  type Act,
  away,
  type Context,
  ENVIRONMENT,
  isPresent,
  isRolledOut,
  type RecordedEvent,
  refOfApplication,
  type Signal,
  WORKLOAD,
  WORKLOAD_NAME,
  WORKLOAD_WATCHES,
  workloadOf,
} from '#core'
import { conditionOf, type KubeObject, type ListRef, type ObjectRef } from '#kit/kube'

export const HPA: ObjectRef = {
  apiVersion: 'autoscaling/v2',
  kind: 'HorizontalPodAutoscaler',
  name: WORKLOAD_NAME,
  namespace: ENVIRONMENT,
}
export const MIN = 2
export const MAX = 5
/** Below this share of its target the HPA asks for fewer pods than MAX: 4 of 5. */
const LOW_SHARE = (MAX - 1) / MAX

export const WATCHES: readonly ListRef[] = [{ apiVersion: HPA.apiVersion, kind: HPA.kind, namespace: ENVIRONMENT }, ...WORKLOAD_WATCHES]

/** The HPA of an event, if it is one. */
export function hpaOf(event: RecordedEvent): KubeObject | undefined {
  return isPresent(event) && event.object.kind === HPA.kind && event.object.metadata.name === HPA.name ? event.object : undefined
}

/** The replicas that a Deployment asks for, if the event is one of it. */
export function replicasOf(event: RecordedEvent): number | undefined {
  return workloadOf(event)?.spec.replicas
}

/** Mean CPU of the pods in percent of their request, as the HPA saw it last, with its target. */
export function cpuOf(hpa: KubeObject | undefined): { percent: number; targetPercent: number } | undefined {
  const isCpu = (metric: { resource?: { name: string } }) => metric.resource?.name === 'cpu'
  const percent = hpa?.status?.currentMetrics?.find(isCpu)?.resource.current.averageUtilization
  const targetPercent = hpa?.spec.metrics?.find(isCpu)?.resource.target.averageUtilization
  return percent === undefined || targetPercent === undefined ? undefined : { percent, targetPercent }
}

/** Whether the HPA saw more than its pods should carry. */
export function sawHighCpu(event: RecordedEvent): boolean {
  const cpu = cpuOf(hpaOf(event))
  return cpu !== undefined && cpu.percent > REAL_TARGET_PERCENT * 1.1
}

/** Whether the HPA saw so little that five pods are too many. */
export function sawLowCpu(event: RecordedEvent): boolean {
  const cpu = cpuOf(hpaOf(event))
  return cpu !== undefined && cpu.percent <= REAL_TARGET_PERCENT * LOW_SHARE
}

/** Git's target: evidence of load must not move with a mutant that changes it. */
const REAL_TARGET_PERCENT = 70

/**
 * The HPA itself scaled out, and by CPU: a rollout's surge or a hand's scaling leaves its status alone. Not by its Events: a
 * controller drops them after 25 about one object.
 */
export function scaledOutByCpu(event: RecordedEvent, before: readonly KubeObject[]): boolean {
  const status = hpaOf(event)?.status
  const active = conditionOf(hpaOf(event), 'ScalingActive')
  const scaledBefore = before.find(({ kind }) => kind === HPA.kind)?.status?.lastScaleTime
  const names = active?.status === 'True' && /cpu resource/.test(active.message ?? '')
  return names && status.desiredReplicas > MIN && status.lastScaleTime !== scaledBefore
}

/** The HPA has its metric, or says that it has none. */
export const isActive = (status: 'True' | 'False') => (event: RecordedEvent) =>
  conditionOf(hpaOf(event), 'ScalingActive')?.status === status

/** Nothing rolls out, and the HPA has its metric, and needs no more than its least. */
export const atRest: Signal = {
  name: `the service runs ${MIN} pods, and the HPA sees their CPU`,
  async look({ cluster: { kube } }: Context) {
    const [deployment, hpa, application] = await Promise.all([kube.get(WORKLOAD), kube.get(HPA), kube.get(refOfApplication(WORKLOAD_NAME))])
    const { replicas, readyReplicas } = deployment?.status ?? {}
    const cpu = cpuOf(hpa)
    const state = `${application?.status?.sync?.status}/${application?.status?.health?.status}`
    const calm = isRolledOut(deployment) && replicas === MIN && conditionOf(hpa, 'ScalingActive')?.status === 'True'
    const seen = `${readyReplicas ?? 0} of ${replicas ?? 0} ready, CPU ${cpu?.percent ?? 'unknown'} %, ${state}`
    return { ok: calm && cpu !== undefined && cpu.percent < cpu.targetPercent && state === 'Synced/Healthy', seen }
  },
}

/** Where the metrics come from, wherever the cluster keeps it. @throws Error where nothing serves them */
async function metricsServer({ cluster: { kube } }: Context): Promise<ObjectRef> {
  const api = await kube.get({ apiVersion: 'apiregistration.k8s.io/v1', kind: 'APIService', name: 'v1beta1.metrics.k8s.io' })
  const namespace = api?.spec?.service?.namespace
  if (namespace === undefined) throw new Error('Nothing in the cluster serves metrics.k8s.io')
  return { apiVersion: 'apps/v1', kind: 'Deployment', name: 'metrics-server', namespace }
}

export const METRICS = away({ what: 'the metrics', ref: metricsServer, application: 'metrics-server' })

export const scaleByHand: Act = {
  kind: 'act',
  name: 'scale by hand',
  run: async ({ cluster }) => void (await cluster.kube.mergePatch(WORKLOAD, { spec: { replicas: 3 } })),
}
