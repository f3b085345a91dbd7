/** Argo CD's core: controller, repo server, Redis, from upstream's own manifest; it manages itself once it runs. */
import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseAllDocuments } from 'yaml'
import { ARGOCD_NAMESPACE, application, debianBase, type ImageSpec, isClusterScoped, type Part, renderedSource, type Target } from '#core'
import { Failure } from '#kit/errors'
import { goModuleDir } from '#kit/go'
import { keyOf, sha256 } from '#kit/hash'
import type { KubeObject } from '#kit/kube'
import { cacheDir, ensureDir } from '#kit/paths'
import { toolBinary } from '#kit/tools'
import { handEdit, objectDeleted } from './scenarios/drift.ts'

const VERSION = '3.5.7'
const MODULE = 'github.com/argoproj/argo-cd/v3'
const GO_MOD = 'argocd/module'
/** The same bytes in the Go module and in the release. */
const MANIFEST = { path: 'manifests/core-install.yaml', sha256: 'a7ab521e55a511af9274294afafc87cddf9621a34ac255b4b20cd31989e1ecbc' }

const argocdImage: ImageSpec = {
  name: 'argoproj/argocd',
  tag: `v${VERSION}`,
  upstream: { ref: `quay.io/argoproj/argocd:v${VERSION}` },
  build: {
    context: 'argocd/image',
    base: debianBase,
    inputs: [
      { kind: 'go', to: 'argocd', goMod: GO_MOD, package: `${MODULE}/cmd`, ldflags: [`-X ${MODULE}/common.version=${VERSION}`] },
      { kind: 'go', to: 'helm', ...toolBinary('helm') },
      { kind: 'go', to: 'kustomize', ...toolBinary('kustomize') },
      ...['hack/gpg-wrapper.sh', 'hack/git-verify-wrapper.sh', 'entrypoint.sh'].map((from) => ({
        kind: 'module-file' as const,
        to: from.replace('hack/', ''),
        goMod: GO_MOD,
        module: MODULE,
        from,
      })),
    ],
  },
  deviation: 'no web UI (its module carries none), git-lfs and openssh from Debian',
}

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

/** Where a manifest's image comes from: by its upstream repository. */
const REPOSITORIES = new Map([
  ['quay.io/argoproj/argocd', argocdImage.name],
  ['public.ecr.aws/docker/library/redis', redisImage.name],
])
/** What nothing here uses: fewer pods, less memory, fewer permissions. */
const UNUSED = /applicationset-controller|notifications|dex/

export const argocd: Part = {
  name: 'argocd',
  namespaces: [{ name: ARGOCD_NAMESPACE, podSecurity: 'restricted', quota: { pods: '20', 'limits.memory': '4Gi' } }],
  images: [argocdImage, redisImage],
  bootstraps: true,
  rendered: async (target) => (await upstreamManifest()).filter(isUsed).map((object) => adapt(object, target)),
  applications: (target) => [application({ name: 'argocd', namespace: ARGOCD_NAMESPACE, sources: [renderedSource('argocd', target)] })],
  hints: ({ cluster, images }) => [
    ...(images.get(argocdImage.name)?.way === 'built'
      ? ['Argo CD’s web UI is not in this build; its own command line shows the same:']
      : ['Argo CD at the command line:']),
    `  docker exec holdfast-${cluster.name} kubectl -n ${ARGOCD_NAMESPACE} exec statefulset/argocd-application-controller -- argocd app list --core`,
  ],
  scenarios: [handEdit, objectDeleted],
}

const isUsed = (object: KubeObject) => object.kind === 'CustomResourceDefinition' || !UNUSED.test(object.metadata.name)

/** Our settings over upstream's objects: namespace, images by digest, resources, configuration. */
export function adapt(object: KubeObject, target: Target): KubeObject {
  const namespaced = isClusterScoped(object.kind) ? object : { ...object, metadata: { ...object.metadata, namespace: ARGOCD_NAMESPACE } }
  if (object.kind === 'ClusterRoleBinding')
    return { ...namespaced, subjects: object.subjects.map((each: object) => ({ ...each, namespace: ARGOCD_NAMESPACE })) }
  if (object.kind === 'ConfigMap') return { ...namespaced, data: { ...object.data, ...settings(target)[object.metadata.name] } }
  if (object.kind === 'Deployment' || object.kind === 'StatefulSet') return withContainers(namespaced, target)
  return namespaced
}

function settings({ timing }: Target): Readonly<Record<string, Readonly<Record<string, string>>>> {
  return {
    'argocd-cm': {
      'application.resourceTrackingMethod': 'annotation',
      'timeout.reconciliation': `${timing.reconciliationMs / 1000}s`,
      'timeout.reconciliation.jitter': '0s',
    },
    'argocd-cmd-params-cm': {
      // Without this the fourth drift within minutes waits up to 18 s, the sixth 162 s (2 s × 3ⁿ): a proof of n rounds would measure the back-off.
      'controller.self.heal.backoff.timeout.seconds': '0',
      'controller.self.heal.timeout.seconds': '0',
    },
  }
}

/** Upstream names none; a namespace with a quota demands limits. */
const RESOURCES: Readonly<Record<string, object>> = {
  'argocd-application-controller': { requests: { cpu: '50m', memory: '128Mi' }, limits: { memory: '1Gi' } },
  'argocd-repo-server': { requests: { cpu: '20m', memory: '64Mi' }, limits: { memory: '512Mi' } },
  redis: { requests: { cpu: '10m', memory: '16Mi' }, limits: { memory: '128Mi' } },
}
const SMALL = { requests: { cpu: '10m', memory: '32Mi' }, limits: { memory: '256Mi' } }

function withContainers(object: KubeObject, target: Target): KubeObject {
  const pod = object.spec.template.spec
  const adaptOne = (container: { name: string; image: string }) => ({
    ...container,
    image: byDigest(container.image, target),
    imagePullPolicy: 'IfNotPresent',
    resources: RESOURCES[container.name] ?? SMALL,
  })
  const spec = {
    ...pod,
    containers: pod.containers.map(adaptOne),
    ...(pod.initContainers === undefined ? {} : { initContainers: pod.initContainers.map(adaptOne) }),
  }
  // Argo CD reads its settings when it starts: new ones make new pods.
  const metadata = { ...object.spec.template.metadata, annotations: { 'holdfast.dev/settings': keyOf(settings(target)) } }
  return { ...object, spec: { ...object.spec, template: { ...object.spec.template, metadata, spec } } }
}

/** @throws Failure for an image that the part does not know: a new version of the manifest brought it. */
function byDigest(image: string, { images }: Target): string {
  const [repository = ''] = image.split(/[@:](?!\/\/)/)
  const stored = images.get(REPOSITORIES.get(repository) ?? '')
  if (stored === undefined)
    throw new Failure({
      what: 'Cannot render Argo CD',
      why: `its manifest names an image that is not listed in argocd/part.ts: '${image}'`,
    })
  return `${repository}@${stored.digest}`
}

let parsed: Promise<KubeObject[]> | undefined

/** Read once a run, from a copy that was checked and parsed before: parsing its 33,000 lines of YAML takes most of a second. */
function upstreamManifest(): Promise<KubeObject[]> {
  parsed ??= readManifest()
  return parsed
}

async function readManifest(): Promise<KubeObject[]> {
  const checked = join(ensureDir(join(cacheDir, 'manifests')), `${MANIFEST.sha256}.json`)
  const known = await readFile(checked, 'utf8').catch(() => undefined)
  if (known !== undefined) return JSON.parse(known) as KubeObject[]
  const text = await fromModule().catch(fromRelease)
  const found = sha256(text)
  if (found !== MANIFEST.sha256) {
    throw new Failure({ what: 'Cannot use Argo CD’s manifest', why: `its SHA-256 is ${found} instead of ${MANIFEST.sha256}` })
  }
  const objects = parseAllDocuments(text).flatMap((document) => (document.toJS() as KubeObject | null) ?? [])
  await writeFile(`${checked}.${process.pid}`, JSON.stringify(objects))
  await rename(`${checked}.${process.pid}`, checked)
  return objects
}

async function fromModule(): Promise<string> {
  return readFile(join(await goModuleDir(GO_MOD, MODULE), MANIFEST.path), 'utf8')
}

async function fromRelease(): Promise<string> {
  const response = await fetch(`https://raw.githubusercontent.com/argoproj/argo-cd/v${VERSION}/${MANIFEST.path}`)
  if (!response.ok) throw new Failure({ what: 'Cannot fetch Argo CD’s manifest', why: `${response.url} answered ${response.status}` })
  return response.text()
}
