/** Argo Rollouts: a new version gets a part of the traffic first, and is measured before it gets the rest; from upstream's own manifest. */
import {
  application,
  type ImageSpec,
  isClusterScoped,
  mapContainers,
  type Part,
  type PinnedManifest,
  readPinned,
  renderedSource,
  type Target,
  withDigests,
  withoutDescriptions,
} from '#core'
import type { KubeObject } from '#kit/kube'
import { canaryScenarios } from '../scenarios/canary.ts'

const NAME = 'rollouts'
const NAMESPACE = 'argo-rollouts'
const VERSION = '1.10.1'
const MODULE = 'github.com/argoproj/argo-rollouts'
const GO_MOD = 'argocd/rollouts/module'
const MANIFEST: PinnedManifest = {
  of: 'Argo Rollouts',
  goMod: GO_MOD,
  module: MODULE,
  path: 'manifests/install.yaml',
  url: `https://raw.githubusercontent.com/argoproj/argo-rollouts/v${VERSION}/manifests/install.yaml`,
  sha256: 'be25242c55bab7650e0b845da11dbce811f7427deae367e224435e0d766ebe5a',
}

const rolloutsImage: ImageSpec = {
  name: 'argoproj/argo-rollouts',
  tag: `v${VERSION}`,
  upstream: { ref: `quay.io/argoproj/argo-rollouts:v${VERSION}` },
  build: {
    context: 'argocd/rollouts/image',
    inputs: [
      {
        kind: 'go',
        to: 'rollouts-controller',
        goMod: GO_MOD,
        package: `${MODULE}/cmd/rollouts-controller`,
        ldflags: [`-X ${MODULE}/utils/version.version=${VERSION}`],
      },
    ],
  },
  deviation: 'no CA certificates: it measures by what is in the cluster only',
}

export const rollouts: Part = {
  name: NAME,
  // Two pods while one takes the other's place.
  namespaces: [{ name: NAMESPACE, podSecurity: 'restricted', quota: { pods: '3', 'limits.memory': '1Gi' } }],
  images: [rolloutsImage],
  rendered: async (target) => (await readPinned(MANIFEST)).filter(isUsed).flatMap((object) => adapt(object, target)),
  applications: (target) => [application({ name: NAME, namespace: NAMESPACE, sources: [renderedSource(NAME, target)] })],
  scenarios: canaryScenarios({ environment: 'staging' }),
}

/** Nobody here logs in by a role, and nothing notifies. All of its definitions are used: it does not start without one. */
const isUsed = ({ kind, metadata }: KubeObject) => kind !== 'Secret' && !metadata.name.includes('aggregate-to')

/** Our settings over upstream's objects: namespace, image by digest, resources, and no more rights than it needs. */
function adapt(object: KubeObject, target: Target): KubeObject[] {
  const placed = isClusterScoped(object.kind) ? object : { ...object, metadata: { ...object.metadata, namespace: NAMESPACE } }
  switch (object.kind) {
    case 'CustomResourceDefinition':
      return [withoutDescriptions(object)]
    case 'ClusterRole':
      return narrowed(object)
    case 'ClusterRoleBinding':
      return [object, inNamespace({ ...object, roleRef: { ...object.roleRef, kind: 'Role' } }, 'RoleBinding')]
    case 'Deployment':
      return [hardened(withDigests(placed, target))]
    default:
      return [placed]
  }
}

// ── Rights ──────────────────────────────────────────────────────────────────────────────────────────────────────────

interface Rule {
  readonly apiGroups: readonly string[]
  readonly resources: readonly string[]
}

/** Routers and clouds that nothing here has. */
const FOREIGN = /istio|smi-spec|getambassador|aws|traefik|apisix/
/** Its settings and its election stand in its own namespace. Secrets of others would be for measurements that log in somewhere. */
const OWN = ['secrets', 'configmaps', 'leases']

function narrowed(role: KubeObject): KubeObject[] {
  const rules = (role.rules as readonly Rule[]).filter(({ apiGroups }) => !apiGroups.some((group) => FOREIGN.test(group)))
  const isOwn = ({ resources }: Rule) => resources.every((resource) => OWN.includes(resource))
  return [{ ...role, rules: rules.filter((rule) => !isOwn(rule)) }, inNamespace({ ...role, rules: rules.filter(isOwn) }, 'Role')]
}

/** The same object as one of its namespace only. */
function inNamespace(object: KubeObject, kind: string): KubeObject {
  return { ...object, kind, metadata: { ...object.metadata, namespace: NAMESPACE } }
}

// ── Its pod ─────────────────────────────────────────────────────────────────────────────────────────────────────────

const RESOURCES = {
  requests: { cpu: '20m', memory: '64Mi' },
  limits: { memory: '256Mi', 'ephemeral-storage': '1Gi' },
}

/** What upstream leaves open: which user, how much memory, whose turn it is before it answers. */
function hardened(deployment: KubeObject): KubeObject {
  const adapted = mapContainers(deployment, (container) => ({
    ...container,
    imagePullPolicy: 'IfNotPresent',
    readinessProbe: { httpGet: { path: '/healthz', port: 'healthz' }, periodSeconds: 5, timeoutSeconds: 5 },
    resources: RESOURCES,
  }))
  const { template } = adapted.spec
  const securityContext = {
    runAsNonRoot: true,
    runAsUser: 999,
    runAsGroup: 999,
    fsGroup: 999,
    seccompProfile: { type: 'RuntimeDefault' },
  }
  const spec = { ...template.spec, enableServiceLinks: false, securityContext }
  return { ...adapted, spec: { ...adapted.spec, revisionHistoryLimit: 2, template: { ...template, spec } } }
}
