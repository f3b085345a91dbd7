/** What runs, as data and as a table. */
import { messageOf } from '#kit/errors'
import { type KubeObject, saysReady } from '#kit/kube'
import { promAlerts, promTargets } from '#kit/prom'
import { table } from '#kit/text'
import { ARGOCD_NAMESPACE } from './gitops.ts'
import { type ApplicationState, applicationState, podProblem } from './health.ts'
import { restartsOf } from './states.ts'
import { type Cluster, SERVICE_NAMES, type Stack } from './types.ts'

export interface Status {
  readonly cluster: string
  readonly kubeconfig: string
  readonly nodes: readonly {
    readonly name: string
    readonly ready: boolean
    readonly version: string
    /** Takes no new pods. */
    readonly cordoned: boolean
  }[]
  readonly applications: readonly ApplicationState[]
  readonly pods: readonly {
    readonly name: string
    readonly namespace: string
    readonly ready: boolean
    readonly restarts: number
    readonly problem: string
  }[]
  readonly autoscalers: readonly {
    readonly name: string
    readonly namespace: string
    readonly replicas: number
    readonly wanted: number
    readonly min: number
    readonly max: number
    /** Of what the pods request, in percent; absent while it is not measured. */
    readonly cpu?: number
    readonly cpuTarget?: number
  }[]
  /** What Prometheus sees, or why it cannot be asked; absent where none is published. */
  readonly monitoring?: Monitoring | { readonly problem: string }
  readonly addresses: Readonly<Record<string, string>>
  readonly healthy: boolean
}

export interface Monitoring {
  readonly targets: readonly { readonly job: string; readonly instance: string; readonly up: boolean; readonly error: string }[]
  readonly alerts: readonly { readonly name: string; readonly state: string; readonly severity: string; readonly since: string }[]
}

/** How many nodes there are, and the names of those that are ready. */
export async function nodesReady({ kube }: Cluster): Promise<{ readonly all: number; readonly ready: readonly string[] }> {
  const nodes = await kube.list({ apiVersion: 'v1', kind: 'Node' })
  const ready = nodes.filter(saysReady)
  return { all: nodes.length, ready: ready.map(({ metadata }) => metadata.name) }
}

/** Asks the cluster once. */
export async function readStatus(stack: Stack, cluster: Cluster): Promise<Status> {
  const { kube } = cluster
  const ours = new Set(stack.parts.flatMap((part) => part.namespaces.map(({ name }) => name)))
  const [nodes, applications, pods, services, autoscalers] = await Promise.all([
    kube.list({ apiVersion: 'v1', kind: 'Node' }),
    kube.list({ apiVersion: 'argoproj.io/v1alpha1', kind: 'Application', namespace: ARGOCD_NAMESPACE }),
    kube.list({ apiVersion: 'v1', kind: 'Pod' }),
    kube.list({ apiVersion: 'v1', kind: 'Service' }),
    kube.list({ apiVersion: 'autoscaling/v2', kind: 'HorizontalPodAutoscaler' }),
  ])
  const isPublished = ({ spec }: KubeObject) => cluster.kind !== 'k3s' || spec.type === 'NodePort'
  const published = services.filter(isPublished).map(({ metadata }) => metadata.name)
  const status = {
    cluster: cluster.name,
    kubeconfig: cluster.kubeconfig,
    nodes: nodes.map((node) => ({
      name: node.metadata.name,
      ready: saysReady(node),
      version: node.status?.nodeInfo?.kubeletVersion ?? '',
      cordoned: node.spec?.unschedulable === true,
    })),
    applications: applications.map(applicationState),
    pods: pods.filter(({ metadata }) => ours.has(metadata.namespace ?? '')).map(podState),
    autoscalers: autoscalers.map(autoscalerState),
    ...(published.includes('prometheus') ? { monitoring: await readMonitoring(cluster) } : {}),
    addresses: Object.fromEntries(SERVICE_NAMES.filter((name) => published.includes(name)).map((name) => [name, cluster.address(name)])),
  }
  return { ...status, healthy: unhealthy(status) === undefined }
}

/** The rest is shown also where Prometheus does not answer. */
async function readMonitoring(cluster: Cluster): Promise<NonNullable<Status['monitoring']>> {
  const ask = (path: string, init?: RequestInit) => cluster.fetch('prometheus', path, init)
  try {
    const [targets, alerts] = await Promise.all([promTargets(ask), promAlerts(ask)])
    return {
      targets: targets.map(({ labels, health, lastError }) => ({
        job: labels.job ?? '',
        instance: labels.instance ?? '',
        up: health === 'up',
        error: lastError,
      })),
      alerts: alerts.map(({ labels, state, activeAt }) => ({
        name: labels.alertname ?? '',
        state,
        severity: labels.severity ?? '',
        since: activeAt,
      })),
    }
  } catch (thrown) {
    return { problem: messageOf(thrown) }
  }
}

function autoscalerState({ metadata, spec, status }: KubeObject): Status['autoscalers'][number] {
  const [cpu, cpuTarget] = [utilization(status?.currentMetrics, 'current'), utilization(spec.metrics, 'target')]
  return {
    name: metadata.name,
    namespace: metadata.namespace ?? '',
    replicas: status?.currentReplicas ?? 0,
    wanted: status?.desiredReplicas ?? 0,
    min: spec.minReplicas ?? 1,
    max: spec.maxReplicas,
    ...(cpu === undefined ? {} : { cpu }),
    ...(cpuTarget === undefined ? {} : { cpuTarget }),
  }
}

type ResourceMetric = {
  readonly resource?: { readonly name: string } & Partial<Record<'current' | 'target', { averageUtilization?: number }>>
}

function utilization(metrics: readonly ResourceMetric[] | undefined, side: 'current' | 'target'): number | undefined {
  return metrics?.find(({ resource }) => resource?.name === 'cpu')?.resource?.[side]?.averageUtilization
}

type Pods = Status['pods']

function podState(pod: KubeObject): Pods[number] {
  return {
    name: pod.metadata.name,
    namespace: pod.metadata.namespace ?? '',
    ready: saysReady(pod) || pod.status?.phase === 'Succeeded',
    restarts: restartsOf(pod),
    problem: podProblem(pod, Date.now()) ?? '',
  }
}

/** The first thing that is not as it should be; undefined where all is. An empty list is no health: nothing was installed. */
export function unhealthy({ nodes, applications, pods }: Omit<Status, 'healthy'>): string | undefined {
  const missing = Object.entries({ nodes, applications, pods }).find(([, list]) => list.length === 0)
  if (missing !== undefined) return `there are no ${missing[0]}`
  const node = nodes.find(({ ready }) => !ready)
  if (node !== undefined) return `node ${node.name} is not ready`
  const application = applications.find(({ sync, health }) => sync !== 'Synced' || health !== 'Healthy')
  if (application !== undefined) return `Application ${application.name} is ${application.sync} and ${application.health}`
  const pod = pods.find(({ ready }) => !ready)
  return pod === undefined ? undefined : `pod ${pod.namespace}/${pod.name} is not ready`
}

/** A table for a terminal. */
export function renderStatus(status: Status): string {
  return [
    ...table(
      ['NODE', 'READY', 'VERSION', ''],
      status.nodes.map(({ name, ready, version, cordoned }) => [name, yes(ready), version, cordoned ? 'takes no new pods' : '']),
    ),
    '',
    ...table(
      ['APPLICATION', 'SYNC', 'HEALTH', 'REVISION', ''],
      status.applications.map(({ name, sync, health, revisions, message }) => [
        name,
        sync,
        health,
        revisions.map((each) => each.slice(0, 7)).join(' '),
        message,
      ]),
    ),
    '',
    ...table(
      ['POD', 'READY', 'RESTARTS', ''],
      status.pods.map(({ namespace, name, ready, restarts, problem }) => [`${namespace}/${name}`, yes(ready), String(restarts), problem]),
    ),
    ...autoscalerLines(status),
    ...monitoringLines(status),
    '',
    ...table(['SERVICE', 'ADDRESS'], Object.entries(status.addresses)),
    '',
    `Kubeconfig: ${status.kubeconfig}`,
    status.healthy ? 'Everything is Synced and Healthy' : 'Something is not healthy: see above',
  ].join('\n')
}

function autoscalerLines({ autoscalers }: Status): string[] {
  if (autoscalers.length === 0) return []
  const percent = (value: number | undefined) => (value === undefined ? 'unknown' : `${value} %`)
  const rows = autoscalers.map(({ namespace, name, replicas, wanted, min, max, cpu, cpuTarget }) => [
    `${namespace}/${name}`,
    replicas === wanted ? `${replicas}` : `${replicas} → ${wanted}`,
    `${min} to ${max}`,
    `${percent(cpu)} of ${percent(cpuTarget)}`,
  ])
  return ['', ...table(['AUTOSCALER', 'PODS', 'LIMITS', 'PROCESSOR'], rows)]
}

function monitoringLines({ monitoring }: Status): string[] {
  if (monitoring === undefined) return []
  if ('problem' in monitoring) return ['', monitoring.problem]
  const { targets, alerts } = monitoring
  const jobs = Object.entries(Object.groupBy(targets, ({ job }) => job)).toSorted(([a], [b]) => a.localeCompare(b))
  const rows = jobs.map(([job, of = []]) => {
    const up = of.filter((target) => target.up).length
    return [job, `${up} of ${of.length}`, of.find((target) => !target.up)?.error ?? '']
  })
  const firing = alerts.map(({ name, state, severity, since }) => [name, state, severity, since.slice(0, 19).replace('T', ' ')])
  return ['', ...table(['TARGETS', 'UP', ''], rows), '', ...table(['ALERT', 'STATE', 'SEVERITY', 'SINCE (UTC)'], firing)]
}

const yes = (value: boolean) => (value ? 'yes' : 'no')
