/** A cluster on EKS as the same type that every cluster is. */
import type { Cluster as EksDescription } from '@aws-sdk/client-eks'
import { stringify } from 'yaml'
import type { Cluster, Environment, ServiceName } from '#core'
import { Failure } from '#kit/errors'
import { writePrivate } from '#kit/files'
import { Kube } from '#kit/kube'
import { kubeconfigPath } from '#kit/paths'
import { type Aws, isNotThere } from './aws.ts'
import { openRelay } from './relay.ts'
import { readSettings, type Settings } from './settings.ts'

/** Where each service is inside the cluster: nothing is published, and the API server leads there whoever may use it. */
const places = (environment: Environment): Readonly<Record<ServiceName, string | undefined>> => ({
  git: undefined, // the user's own remote
  service: place(environment, 'service', 'http'),
  argocd: place('argocd', 'argocd-server', 'http'),
  prometheus: place('monitoring', 'prometheus', 'web'),
  alertmanager: place('monitoring', 'alertmanager', 'web'),
  sink: place('monitoring', 'sink', 'http'),
})

const place = (namespace: string, service: string, port: string) => `/api/v1/namespaces/${namespace}/services/${service}:${port}/proxy`

/** A look at Prometheus may take longer than one at the API server. */
const FETCH_TIMEOUT_MS = 30_000

/** As AWS has it; undefined where it has none of that name. */
export async function describeCluster(aws: Aws, name: string): Promise<EksDescription | undefined> {
  try {
    return (await aws.eks.describeCluster({ name })).cluster
  } catch (thrown) {
    if (isNotThere(thrown)) return undefined
    throw thrown
  }
}

/** The cluster of that name once it is there and our settings are in it; undefined before. */
export async function findEks(aws: Aws, name: string): Promise<Cluster | undefined> {
  const description = await describeCluster(aws, name)
  if (description?.status !== 'ACTIVE' && description?.status !== 'UPDATING') return undefined
  const kube = await kubeOf(aws, description)
  const settings = await readSettings(kube)
  return settings === undefined ? undefined : openEks(aws, { name, kube, settings })
}

/** Its API, by a kubeconfig of our own beside the user's. @throws Failure where AWS does not say where it is. */
export async function kubeOf(aws: Aws, { name = '', endpoint, certificateAuthority }: EksDescription): Promise<Kube> {
  const ca = certificateAuthority?.data
  if (endpoint === undefined || ca === undefined)
    throw new Failure({
      what: `Cannot reach the cluster '${name}'`,
      why: 'AWS names no endpoint yet',
      next: 'Run the command again in some minutes',
    })
  const path = kubeconfigPath(name)
  await writePrivate(path, kubeconfig({ name, endpoint, ca, region: aws.region }))
  return Kube.fromFile(path)
}

interface Access {
  readonly name: string
  readonly endpoint: string
  readonly ca: string
  readonly region: string
}

/** What `aws eks update-kubeconfig` would write, into a file of ours: no credential is in it, the AWS CLI makes a token each time. */
export function kubeconfig({ name, endpoint, ca, region }: Access): string {
  const args = ['--region', region, 'eks', 'get-token', '--cluster-name', name, '--output', 'json']
  const exec = { apiVersion: 'client.authentication.k8s.io/v1beta1', command: 'aws', args, interactiveMode: 'Never' }
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name, cluster: { server: endpoint, 'certificate-authority-data': ca } }],
    users: [{ name, user: { exec } }],
    contexts: [{ name, context: { cluster: name, user: name } }],
    'current-context': name,
  })
}

export interface EksParts {
  readonly name: string
  readonly kube: Kube
  readonly settings: Settings
}

export async function openEks(aws: Aws, { name, kube, settings }: EksParts): Promise<Cluster> {
  const { environment, timing, repositories, domain } = settings
  const [server, registry, nodes, hasPolicies, hasMetrics, hasBalancer] = await Promise.all([
    kube.address(),
    openRelay({ aws, repositories }),
    kube.list({ apiVersion: 'v1', kind: 'Node' }),
    // What enforces policies runs in the CNI's pods; https://docs.aws.amazon.com/eks/latest/userguide/cni-network-policy.html
    isThere(kube, { apiVersion: 'apps/v1', kind: 'DaemonSet', name: 'aws-node' }),
    isThere(kube, { apiVersion: 'apps/v1', kind: 'Deployment', name: 'metrics-server' }),
    // The AWS Load Balancer Controller comes with it; without one an Ingress would never be Healthy.
    isThere(kube, { apiVersion: 'networking.k8s.io/v1', kind: 'IngressClass', name: 'alb' }),
  ])
  const at = places(environment)
  const path = (service: ServiceName) => {
    if (at[service] !== undefined) return at[service]
    throw new Failure({ what: `Cannot ask '${service}'`, why: `the cluster '${name}' has none: Argo CD reads a remote of yours` })
  }
  return {
    name,
    kind: 'eks',
    kubeconfig: kubeconfigPath(name),
    kube,
    registry,
    repositories,
    timing,
    environment,
    ...(domain !== undefined && hasBalancer ? { ingress: domain } : {}),
    can: { ...NOT_OURS, secondNode: nodes.length > 1, networkPolicy: hasPolicies },
    brings: { metricsServer: hasMetrics },
    address: (service) => `${server}${path(service)}`,
    fetch: (service, rest, init = {}) => kube.fetch(`${path(service)}${rest}`, { signal: AbortSignal.timeout(FETCH_TIMEOUT_MS), ...init }),
  }
}

/** What nobody but AWS, or the user's Git server, may do to one of these. */
export const NOT_OURS = { tuneControlPlane: false, restartNode: false, apiServerProcess: false, ownSources: false } as const

async function isThere(kube: Kube, ref: { apiVersion: string; kind: string; name: string }): Promise<boolean> {
  return (await kube.get({ ...ref, namespace: 'kube-system' })) !== undefined
}
