/** The service as a part of the platform: its image, its chart, its Application; and what may run in its environments. */
import {
  ARGOCD_NAMESPACE,
  application,
  ENVIRONMENTS,
  FIRST_ENVIRONMENT,
  type ImageSpec,
  nameIn,
  nodeBase,
  OWN_REFS,
  type Part,
  project,
  readManifest,
  renderedSource,
  type Target,
  type TimingProfile,
} from '#core'
import { sped } from '#kit/duration'
import type { KubeObject } from '#kit/kube'
import { databaseAway } from './scenarios/database.ts'
import { allPodsKilled, podDeleted, podKilled } from './scenarios/pods.ts'

const NAME = 'service'
const PROJECT = 'services'

export const serviceImage: ImageSpec = {
  name: 'holdfast/service',
  tag: 'latest',
  build: { context: 'service', base: nodeBase, inputs: [{ kind: 'bundle', to: 'server.mjs', entry: 'service/main.ts' }] },
}

/** What the chart renders; the project allows no other kind. */
const KINDS = [
  { apiVersion: 'apps/v1', kind: 'Deployment' },
  { apiVersion: 'argoproj.io/v1alpha1', kind: 'Rollout' },
  { apiVersion: 'argoproj.io/v1alpha1', kind: 'AnalysisTemplate' },
  { apiVersion: 'v1', kind: 'Service' },
  { apiVersion: 'v1', kind: 'ServiceAccount' },
  { apiVersion: 'autoscaling/v2', kind: 'HorizontalPodAutoscaler' },
  { apiVersion: 'policy/v1', kind: 'PodDisruptionBudget' },
  { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy' },
  { apiVersion: 'networking.k8s.io/v1', kind: 'Ingress' },
  { apiVersion: 'monitoring.coreos.com/v1', kind: 'ServiceMonitor' },
  { apiVersion: 'monitoring.coreos.com/v1', kind: 'PrometheusRule' },
]

const SCRAPE_INTERVAL = '15s'

/** A rollout of all five pods: five new ones, five on their way out, one more for the surge. */
const QUOTA = { pods: '12', 'requests.cpu': '2', 'limits.memory': '4Gi' }

/** How long a canary is watched. A window holds at least four scrapes. */
const ANALYSIS = { initialDelay: '60s', window: '90s', interval: '30s' }

export interface ServiceOptions {
  /** The Secret, beside the service, with the address of its database under the key `url`. @default none: it keeps its data itself */
  readonly databaseSecret?: string
}

export function service({ databaseSecret = '' }: ServiceOptions = {}): Part {
  return {
    name: NAME,
    // Of every environment, also before anything runs there: what comes meets its limits.
    namespaces: ENVIRONMENTS.map((name) => ({ name, podSecurity: 'restricted', quota: QUOTA })),
    images: [],
    release: serviceImage,
    applications: (target, values) => [
      project({ name: nameIn(target.environment, PROJECT), namespaces: [target.environment], objects: KINDS }, target),
      serviceApplication(target, { database: { secretName: hasDatabase(target) ? databaseSecret : '' }, ...values }),
    ],
    hints: ({ cluster }) => [`The service: curl ${cluster.address('service')}/api/products`],
    scenarios: [podDeleted, podKilled, allPodsKilled, databaseAway],
  }
}

/**
 * Only the first environment has the Secret of the database that the stack brings. Another one keeps its data itself, until
 * `database.secretName` among its values in `deploy` names a Secret that is there and the next promotion carries it to the chart.
 */
const hasDatabase = ({ environment }: Target) => environment === FIRST_ENVIRONMENT

const POLICIES = ['images-by-digest', 'run-as-non-root', 'cpu-and-memory-limits']

/** What the API server refuses in the environments, whoever asks. Of the cluster, so not the chart's: its project allows none of these. */
export const policies: Part = {
  name: 'policies',
  namespaces: [],
  images: [],
  rendered: async () => (await Promise.all(POLICIES.map((name) => readManifest(`chart/policies/${name}.yaml`)))).flat(),
  applications: (target) => [application({ name: 'policies', namespace: ARGOCD_NAMESPACE, sources: [renderedSource('policies', target)] })],
  scenarios: [],
}

/**
 * Replicas that the HPA wrote, by who wrote the field last: the controller manager, which on k3s is k3s itself. Anybody else's number
 * is drift, so that a workload scaled to 0 by hand, which the HPA leaves alone, comes back.
 */
const LEFT_TO_THE_HPA = [
  { group: 'apps', kind: 'Deployment' },
  { group: 'argoproj.io', kind: 'Rollout' },
].map((workload) => ({ ...workload, managedFieldsManagers: ['kube-controller-manager', 'k3s'] }))

/**
 * The chart comes from the working tree, the digest from the environment's values. They stand in the Application itself:
 * Argo CD refuses values files from another revision of the same repository.
 */
function serviceApplication(target: Target, values: object): KubeObject {
  const { repoUrl, refs = OWN_REFS, environment, sourceRevision = refs.source } = target
  const helm = { releaseName: NAME, valueFiles: valueFiles(target), valuesObject: { ...targetValues(target), ...values } }
  return application({
    name: nameIn(environment, NAME),
    project: nameIn(environment, PROJECT),
    namespace: environment,
    sources: [{ repoURL: repoUrl, targetRevision: sourceRevision, path: 'chart', helm }],
    ignoreDifferences: LEFT_TO_THE_HPA,
    first: true, // all else is Healthy by the time that the HPA has seen its pods' usage
  })
}

/** What differs by environment stands in `values-<environment>.yaml`; on this machine only the first one is published. */
function valueFiles({ environment, cluster }: Target): readonly string[] {
  const isPublished = environment === FIRST_ENVIRONMENT
  const local = ['values-local.yaml', ...(isPublished ? ['values-local-published.yaml'] : [])]
  return ['values.yaml', `values-${environment}.yaml`, ...(cluster.kind === 'k3s' ? local : [])]
}

function targetValues({ timing, cluster }: Target): object {
  const { repositories, ingress } = cluster
  const repository = repositories?.[serviceImage.name]
  return {
    ...(ingress === undefined ? {} : { ingress }),
    ...(repository === undefined ? {} : { imagesFrom: repository.slice(0, -serviceImage.name.length - 1) }),
    metrics: { interval: sped(SCRAPE_INTERVAL, timing.speedup) },
    autoscaling: { scaleDownStabilizationSeconds: Math.ceil(timing.hpa.scaleInWindowMs / 1000) },
    analysis: analysisTimes(timing),
  }
}

/** On the clock of a timing profile. */
function analysisTimes({ speedup }: TimingProfile): object {
  return Object.fromEntries(Object.entries(ANALYSIS).map(([name, duration]) => [name, sped(duration, speedup)]))
}
