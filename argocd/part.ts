/** Argo CD: controller, repo server, Redis, and where its image is pulled the web UI; from upstream's own manifests. It manages itself once it runs. */
import {
  ARGOCD_NAMESPACE,
  application,
  debianBase,
  type ImageSpec,
  imageName,
  isClusterScoped,
  mapContainers,
  type Part,
  readPinned,
  renderedSource,
  type Target,
  VERSION_LABEL,
  withDigests,
  withoutDescriptions,
} from '#core'
import { keyOf } from '#kit/hash'
import type { KubeObject } from '#kit/kube'
import { controllerKilled } from './scenarios/controller.ts'
import { commitLive, manifestPruned } from './scenarios/delivery.ts'
import { editedByHand, handEdit, objectDeleted, scaledAway, scaledToZero, serviceDeleted } from './scenarios/drift.ts'
import { thirtyObjectsDrifted } from './scenarios/drifted.ts'
import { imageMissing, readinessFails, rolloutLossless } from './scenarios/rollout.ts'
import { gitServerDown, registryDown } from './scenarios/sources.ts'
import { IMAGE, PINNED, RELEASES, type Release, says } from './versions.ts'

const redisImage: ImageSpec = {
  name: 'docker/library/redis',
  tag: '8.2.3-alpine',
  upstream: {
    ref: 'public.ecr.aws/docker/library/redis:8.2.3-alpine',
    digest: 'sha256:08ad0b1d280850169a790dba1393ff7a90aef951fc19632cf4d3ce4f78e679ba',
  },
  build: { context: 'argocd/redis', base: debianBase },
  deviation: 'Debian’s redis-server 8.0',
}

/** What nothing here uses: fewer pods, fewer permissions, and less memory, of which the definition of ApplicationSets costs the most. */
const UNUSED = /applicationset|notifications|dex/

const at = ({ version, core, whole, image }: Release): Part => ({
  name: 'argocd',
  namespaces: [{ name: ARGOCD_NAMESPACE, podSecurity: 'restricted', quota: { pods: '20', 'limits.memory': '4Gi' } }],
  images: [image, redisImage],
  bootstraps: true,
  rendered: async (target) => {
    const used = (await readPinned(core)).filter(isUsed)
    const ui = hasUi(target) ? (await readPinned(whole)).filter(isUi).map(published) : []
    return [...used, ...ui].map((object) => withVersion(adapt(object, target), version))
  },
  applications: (target) => [application({ name: 'argocd', namespace: ARGOCD_NAMESPACE, sources: [renderedSource('argocd', target)] })],
  hints: (target) => [...(hasUi(target) ? uiHints(target) : noUiHints()), commandLine(target)],
  scenarios: [
    ...[handEdit, objectDeleted, scaledToZero, commitLive, manifestPruned, rolloutLossless, imageMissing, readinessFails],
    ...[editedByHand, serviceDeleted, scaledAway, thirtyObjectsDrifted, gitServerDown, registryDown, controllerKilled],
  ],
})

export const argocd: Part = {
  ...at(PINNED),
  upgrades: {
    pinned: PINNED.version,
    versions: new Map(RELEASES.map((release) => [release.version, at(release)])),
    image: IMAGE,
    // What a controller is for. None takes a thing away that load asks for, as object-deleted does with the Service.
    proofs: [handEdit.name, commitLive.name, manifestPruned.name],
    says,
  },
}

/** A build from source has none: the module carries no web UI. */
const hasUi = ({ images }: Target) => images.get(IMAGE)?.way === 'pulled'

const uiHints = ({ cluster }: Target) => [
  `Argo CD: ${cluster.address('argocd')} as admin, password: kubectl --kubeconfig ${cluster.kubeconfig} -n ${ARGOCD_NAMESPACE} get secret argocd-initial-admin-secret -o jsonpath={.data.password} | base64 -d`,
  'The same at the command line:',
]
const noUiHints = () => ['Argo CD’s web UI is not in this build; its own command line shows the same:']
const commandLine = ({ cluster }: Target) =>
  `  docker exec holdfast-${cluster.name} kubectl -n ${ARGOCD_NAMESPACE} exec statefulset/argocd-application-controller -- argocd app list --core`

const UI = 'argocd-server'
const UI_PORT = 30083
/** Upstream's would let whoever is logged in delete and patch anything in the cluster; the UI shows, and syncs through Applications. */
const UI_RIGHTS = [
  { apiGroups: ['*'], resources: ['*'], verbs: ['get'] },
  { apiGroups: [''], resources: ['events'], verbs: ['list'] },
  { apiGroups: ['argoproj.io'], resources: ['applications'], verbs: ['get', 'list', 'watch'] },
]
const isUi = ({ kind, metadata }: KubeObject) => metadata.name === UI && kind !== 'CustomResourceDefinition'

/** Over plain HTTP: the node publishes it on 127.0.0.1 alone. */
function published(object: KubeObject): KubeObject {
  if (object.kind === 'ClusterRole') return { ...object, rules: UI_RIGHTS }
  if (object.kind !== 'Service') return object
  const [http] = object.spec.ports
  return { ...object, spec: { ...object.spec, type: 'NodePort', ports: [{ ...http, nodePort: UI_PORT }] } }
}

const isUsed = (object: KubeObject) => !UNUSED.test(object.metadata.name)

/** Our settings over upstream's objects: namespace, images by digest, resources, configuration. */
function adapt(object: KubeObject, target: Target): KubeObject {
  const namespaced = isClusterScoped(object.kind) ? object : { ...object, metadata: { ...object.metadata, namespace: ARGOCD_NAMESPACE } }
  if (object.kind === 'CustomResourceDefinition') return withoutDescriptions(object)
  if (object.kind === 'ClusterRoleBinding')
    return { ...namespaced, subjects: object.subjects.map((each: object) => ({ ...each, namespace: ARGOCD_NAMESPACE })) }
  if (object.kind === 'ConfigMap') return { ...namespaced, data: { ...object.data, ...settings(target)[object.metadata.name] } }
  if (object.kind === 'Deployment' || object.kind === 'StatefulSet') return withContainers(namespaced, target)
  return namespaced
}

/** Argo CD takes any Alertmanager for healthy, and a Prometheus by its pods of before a change. */
const ROLLED_OUT = `\
local status = obj.status or {}
for _, condition in ipairs(status.conditions or {}) do
  local current = condition.observedGeneration == obj.metadata.generation and status.updatedReplicas == status.replicas
  if condition.type == "Available" and condition.status == "True" and current then
    return { status = "Healthy", message = "All instances are available" }
  end
end
return { status = "Progressing", message = "Waiting for all instances" }
`

function settings(target: Target): Readonly<Record<string, Readonly<Record<string, string>>>> {
  return {
    'argocd-cm': {
      'application.resourceTrackingMethod': 'annotation',
      'timeout.reconciliation': `${target.timing.reconciliationMs / 1000}s`,
      'timeout.reconciliation.jitter': '0s',
      // Nothing here writes a status into Git, and leaving it out of every comparison is a third of their work.
      'resource.compareoptions': 'ignoreResourceStatusField: none\n',
      'resource.customizations.health.monitoring.coreos.com_Alertmanager': ROLLED_OUT,
      'resource.customizations.health.monitoring.coreos.com_Prometheus': ROLLED_OUT,
    },
    'argocd-cmd-params-cm': {
      // Without this the fourth drift within minutes waits up to 18 s, the sixth 162 s (2 s × 3ⁿ): a proof of n rounds would measure the back-off.
      'controller.self.heal.backoff.timeout.seconds': '0',
      'controller.self.heal.timeout.seconds': '0',
      ...(hasUi(target) ? { 'server.insecure': 'true' } : {}),
    },
  }
}

/** Upstream names none; a namespace with a quota demands limits. */
const RESOURCES: Readonly<Record<string, object>> = {
  'argocd-application-controller': { requests: { cpu: '50m', memory: '128Mi' }, limits: { memory: '1Gi' } },
  [UI]: { requests: { cpu: '20m', memory: '64Mi' }, limits: { memory: '256Mi' } },
  'argocd-repo-server': { requests: { cpu: '20m', memory: '64Mi' }, limits: { memory: '512Mi' } },
  redis: { requests: { cpu: '10m', memory: '16Mi' }, limits: { memory: '128Mi' } },
}
const SMALL = { requests: { cpu: '10m', memory: '32Mi' }, limits: { memory: '256Mi' } }

/** Copies the program of 200 MB for plugins that run beside the repo server, before that may start. Nothing here has one. */
const COPY = 'copyutil'

function withoutCopy(object: KubeObject): KubeObject {
  const { template } = object.spec
  const { initContainers = [], ...pod } = template.spec
  const needed = initContainers.filter(({ name }: { name: string }) => name !== COPY)
  const spec = needed.length === 0 ? pod : { ...pod, initContainers: needed }
  return { ...object, spec: { ...object.spec, template: { ...template, spec } } }
}

function withContainers(object: KubeObject, target: Target): KubeObject {
  const adapted = mapContainers(withDigests(withoutCopy(object), target), (container) => ({
    ...container,
    ...watchedAtStart(container),
    imagePullPolicy: 'IfNotPresent',
    resources: RESOURCES[container.name] ?? SMALL,
  }))
  // Argo CD reads its settings when it starts: new ones make new pods.
  const { template } = adapted.spec
  const metadata = { ...template.metadata, annotations: { 'holdfast.dev/settings': keyOf(settings(target)) } }
  return { ...adapted, spec: { ...adapted.spec, template: { ...template, metadata } } }
}

const START_TRIES = 300

/**
 * Upstream's first look at a program comes 5 s after its start, and the next ones every 10: a program that is ready after 1 s waits for
 * up to 10 more, and all of the stack with it. Its start is looked at each second; from then on as upstream does.
 */
function watchedAtStart({ readinessProbe }: { readonly readinessProbe?: Readonly<Record<string, unknown>> }): object {
  if (readinessProbe === undefined) return {}
  const { initialDelaySeconds: _, ...later } = readinessProbe
  return { startupProbe: { ...later, periodSeconds: 1, failureThreshold: START_TRIES }, readinessProbe: later }
}

/** Named in Git and in the cluster, and not in a template, where it would be a rollout of its own. Redis has a version of its own. */
function withVersion(object: KubeObject, version: string): KubeObject {
  const containers: readonly { image: string }[] = object.spec?.template?.spec.containers ?? []
  if (!containers.some(({ image }) => imageName(image) === IMAGE)) return object
  return { ...object, metadata: { ...object.metadata, labels: { ...object.metadata.labels, [VERSION_LABEL]: version } } }
}
