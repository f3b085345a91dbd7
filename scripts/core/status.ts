/** What runs, as data and as a table. */
import { ARGOCD_NAMESPACE } from './gitops.ts'
import { type ApplicationState, applicationState, podProblem } from './health.ts'
import { type Cluster, SERVICE_NAMES, type Stack } from './types.ts'

export interface Status {
  readonly cluster: string
  readonly kubeconfig: string
  readonly nodes: readonly { readonly name: string; readonly ready: boolean; readonly version: string }[]
  readonly applications: readonly ApplicationState[]
  readonly pods: readonly {
    readonly name: string
    readonly namespace: string
    readonly ready: boolean
    readonly restarts: number
    readonly problem: string
  }[]
  readonly addresses: Readonly<Record<string, string>>
  readonly healthy: boolean
}

/** Asks the cluster once. */
export async function readStatus(stack: Stack, cluster: Cluster): Promise<Status> {
  const { kube } = cluster
  const ours = new Set(stack.parts.flatMap((part) => part.namespaces.map(({ name }) => name)))
  const [nodes, applications, pods, services] = await Promise.all([
    kube.list({ apiVersion: 'v1', kind: 'Node' }),
    kube.list({ apiVersion: 'argoproj.io/v1alpha1', kind: 'Application', namespace: ARGOCD_NAMESPACE }),
    kube.list({ apiVersion: 'v1', kind: 'Pod' }),
    kube.list({ apiVersion: 'v1', kind: 'Service' }),
  ])
  const published = services.filter(({ spec }) => spec.type === 'NodePort').map(({ metadata }) => metadata.name)
  const status = {
    cluster: cluster.name,
    kubeconfig: cluster.kubeconfig,
    nodes: nodes.map((node) => ({
      name: node.metadata.name,
      ready: isTrue(node.status?.conditions, 'Ready'),
      version: node.status?.nodeInfo?.kubeletVersion ?? '',
    })),
    applications: applications.map(applicationState),
    pods: pods.filter(({ metadata }) => ours.has(metadata.namespace ?? '')).map(podState),
    addresses: Object.fromEntries(SERVICE_NAMES.filter((name) => published.includes(name)).map((name) => [name, cluster.address(name)])),
  }
  return { ...status, healthy: isHealthy(status) }
}

type Pods = Status['pods']

function podState(pod: Awaited<ReturnType<Cluster['kube']['list']>>[number]): Pods[number] {
  const statuses = (pod.status?.containerStatuses ?? []) as { restartCount: number }[]
  return {
    name: pod.metadata.name,
    namespace: pod.metadata.namespace ?? '',
    ready: isTrue(pod.status?.conditions, 'Ready') || pod.status?.phase === 'Succeeded',
    restarts: statuses.reduce((sum, { restartCount }) => sum + restartCount, 0),
    problem: podProblem(pod, Date.now()) ?? '',
  }
}

/** An empty list is no health: nothing was installed. */
function isHealthy({ nodes, applications, pods }: Omit<Status, 'healthy'>): boolean {
  const synced = applications.length > 0 && applications.every(({ sync, health }) => sync === 'Synced' && health === 'Healthy')
  return synced && nodes.length > 0 && nodes.every(({ ready }) => ready) && pods.length > 0 && pods.every(({ ready }) => ready)
}

/** A table for a terminal. */
export function renderStatus(status: Status): string {
  return [
    ...table(
      ['NODE', 'READY', 'VERSION'],
      status.nodes.map(({ name, ready, version }) => [name, yes(ready), version]),
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
    '',
    ...table(['SERVICE', 'ADDRESS'], Object.entries(status.addresses)),
    '',
    `Kubeconfig: ${status.kubeconfig}`,
    status.healthy ? 'Everything is Synced and Healthy' : 'Something is not healthy: see above',
  ].join('\n')
}

const yes = (value: boolean) => (value ? 'yes' : 'no')

function table(header: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const all = [header, ...rows]
  const widths = header.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)))
  return all.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}

function isTrue(conditions: readonly { type: string; status: string }[] | undefined, type: string): boolean {
  return conditions?.some((each) => each.type === type && each.status === 'True') ?? false
}
