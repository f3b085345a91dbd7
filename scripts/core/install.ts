/** From "there is a cluster" to "everything is Synced and Healthy at the pushed revisions": the same on every cluster. */
import type { Images } from '#kit/images'
import { type Kube, KubeError, type KubeObject, refOf } from '#kit/kube'
import { type Condition, pending, ready, waitFor } from '#kit/wait'
import { ARGOCD_NAMESPACE, ROOT_APPLICATION, applicationNames, moveDigest, namespaceObjects, renderDeploy, replaceRendered, rootObjects } from './gitops.ts'
import { type Revisions, stackCondition } from './health.ts'
import { HOLDFAST_NAMESPACE } from './journal.ts'
import type { Cluster, GitRemote, Run, Stack, StoredImage, Target, UpRequest } from './types.ts'

const APPLICATIONS = { apiVersion: 'argoproj.io/v1alpha1', kind: 'Application', namespace: ARGOCD_NAMESPACE }
const HEALTHY_TIMEOUT_MS = 300_000
const ROLLOUT_TIMEOUT_MS = 180_000
/** Argo CD's own field manager: with another one it could never take a field away that the bootstrap had set. */
const ADOPTING_MANAGER = 'argocd-controller'

export interface InstallRequest extends Run {
  readonly cluster: Cluster
  readonly stored: ReadonlyMap<string, StoredImage>
}

export interface Installed {
  readonly target: Target
  readonly revisions: Revisions
  readonly git: GitRemote
  /** Names of the Applications that must be Synced and Healthy. */
  readonly applications: readonly string[]
}

/** Puts every image of the stack into the registry, side by side. */
export async function storeImages(stack: Stack, { images, registry }: { images: Images; registry: string }): Promise<ReadonlyMap<string, StoredImage>> {
  const specs = stack.parts.flatMap((part) => [...part.images, ...(part.release === undefined ? [] : [part.release])])
  const stored = await Promise.all(specs.map((spec) => images.stored(spec, registry)))
  return new Map(stored.map((image) => [image.spec.name, image]))
}

/** Machine, cluster, images and stack: everything from nothing, side by side where it can be. */
export async function bringUp(stack: Stack, request: UpRequest): Promise<Installed> {
  const provider = stack.clusters.local
  const { registry } = await provider.prepare(request)
  const [cluster, stored] = await Promise.all([provider.up(request), storeImages(stack, { images: request.images, registry })])
  return install(stack, { ...request, cluster, stored })
}

/** Installs the stack, or syncs the one that is there to the working tree. */
export async function install(stack: Stack, request: InstallRequest): Promise<Installed> {
  const { cluster, stored, progress, signal } = request
  const target = (repoUrl: string): Target => ({ cluster, environment: 'dev', repoUrl, images: stored })
  if (!(await isBootstrapped(cluster.kube))) await progress.step('Bootstrap Argo CD and Git', () => bootstrap(stack, target(''), signal))
  const git = await stack.git(cluster, signal)
  const installed = await progress.step('Push the working tree', () => push(stack, target(git.url), git))
  await progress.step('Wait until everything is Synced and Healthy', async (note) => {
    await tellArgoCD(cluster.kube, installed.target)
    await waitUntilHealthy(stack, installed, { signal, onSeen: note })
  })
  return installed
}

async function push(stack: Stack, target: Target, git: GitRemote): Promise<Installed> {
  const rendered = await renderDeploy(stack, target)
  const [source, deploy] = await Promise.all([
    git.pushSource(),
    git.updateDeploy('Render the stack and deploy the working tree to dev', (files) => {
      replaceRendered(files, rendered)
      for (const part of stack.parts) {
        const image = part.release === undefined ? undefined : target.images.get(part.release.name)
        if (image !== undefined) moveDigest(files, part, { environment: target.environment, image })
      }
    }),
  ])
  const applications = [ROOT_APPLICATION, ...applicationNames(rendered)]
  return { target, git, applications, revisions: { source: source.sha, deploy: deploy.sha } }
}

/** Argo CD runs and has its first Application: what is broken beyond that, it mends itself. */
async function isBootstrapped(kube: Kube): Promise<boolean> {
  const found = await kube.get({ ...APPLICATIONS, name: ROOT_APPLICATION }).catch((thrown) => {
    if (thrown instanceof KubeError) return undefined // the kind itself is not there yet
    throw thrown
  })
  if (found === undefined) return false
  const controller = await kube.get({ apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'argocd-application-controller', namespace: ARGOCD_NAMESPACE })
  return (controller?.status?.readyReplicas ?? 0) > 0
}

/** Applies what Argo CD needs before it can sync: itself and the Git server. It adopts both. */
async function bootstrap(stack: Stack, target: Target, signal: AbortSignal): Promise<void> {
  const { kube } = target.cluster
  const parts = stack.parts.filter((part) => part.bootstraps)
  const spaces = [...stack.parts.flatMap((part) => part.namespaces.flatMap(namespaceObjects)), ownNamespace()]
  await applyAll(kube, spaces)
  await Promise.all(parts.map((part) => part.prepare?.(target.cluster)))
  const objects = (await Promise.all(parts.map(async (part) => (await part.rendered?.(target)) ?? []))).flat()
  await applyAll(kube, objects)
  await waitForWorkloads(kube, objects, signal)
}

const ownNamespace = (): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name: HOLDFAST_NAMESPACE, labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
})

/** Definitions first: their kinds must exist before objects of them; the rest side by side. */
async function applyAll(kube: Kube, objects: readonly KubeObject[]): Promise<void> {
  const isFirst = ({ kind }: KubeObject) => kind === 'Namespace' || kind === 'CustomResourceDefinition'
  await Promise.all(objects.filter(isFirst).map((object) => kube.apply(object, ADOPTING_MANAGER)))
  await Promise.all(objects.filter((object) => !isFirst(object)).map((object) => kube.apply(object, ADOPTING_MANAGER)))
}

async function waitForWorkloads(kube: Kube, objects: readonly KubeObject[], signal: AbortSignal): Promise<void> {
  const workloads = objects.filter(({ kind }) => kind === 'Deployment' || kind === 'StatefulSet').map(refOf)
  const changes = (wake: () => void) => watchAll(kube, [{ apiVersion: 'v1', kind: 'Pod' }], wake)
  const look = async (): Promise<Condition<void>> => {
    const found = await Promise.all(workloads.map((ref) => kube.get(ref)))
    const waiting = found.filter((each) => (each?.status?.readyReplicas ?? 0) < (each?.spec.replicas ?? 1)).map((each) => each?.metadata.name)
    if (waiting.length === 0) return ready(undefined)
    const pods = await kube.list({ apiVersion: 'v1', kind: 'Pod' })
    const condition = stackCondition({ applications: [], pods, expected: [] }, { source: '', deploy: '' }, Date.now())
    return condition.state === 'terminal' ? condition : pending(`not ready: ${waiting.join(', ')}`)
  }
  await waitFor('Argo CD and the Git server to run', look, { timeoutMs: ROLLOUT_TIMEOUT_MS, everyMs: 1000, signal, changes })
}

/** Argo CD is told, not polled: the annotation makes it compare with the newest commits at once. */
export async function tellArgoCD(kube: Kube, target: Target): Promise<void> {
  for (const object of rootObjects(target)) await kube.apply(object)
  await refresh(kube, await kube.list(APPLICATIONS))
}

async function refresh(kube: Kube, applications: readonly KubeObject[]): Promise<void> {
  const patch = { metadata: { annotations: { 'argocd.argoproj.io/refresh': 'normal' } } }
  await Promise.all(applications.map((application) => kube.mergePatch(refOf(application), patch)))
}

/** Every Application Synced and Healthy at the pushed revisions, and every part content. */
export async function waitUntilHealthy(stack: Stack, { target, revisions, applications: expected }: Installed, { signal, onSeen }: { signal: AbortSignal; onSeen?: (seen: string) => void }): Promise<void> {
  const { kube } = target.cluster
  const namespaces = new Set(stack.parts.flatMap((part) => part.namespaces.map(({ name }) => name)))
  const refreshed = new Set<string>()
  const look = async (): Promise<Condition<void>> => {
    const [applications, pods] = await Promise.all([kube.list(APPLICATIONS), kube.list({ apiVersion: 'v1', kind: 'Pod' })])
    const ours = pods.filter(({ metadata }) => namespaces.has(metadata.namespace ?? ''))
    await refreshNew(kube, applications, refreshed)
    const condition = stackCondition({ applications, pods: ours, expected }, revisions, Date.now())
    return condition.state === 'ready' ? partsCondition(stack, target) : condition
  }
  const changes = (wake: () => void) => watchAll(kube, [APPLICATIONS, { apiVersion: 'v1', kind: 'Pod' }], wake)
  await waitFor('everything to be Synced and Healthy', look, { timeoutMs: HEALTHY_TIMEOUT_MS, everyMs: 1000, signal, changes, ...(onSeen === undefined ? {} : { onSeen }) })
}

/** An Application that root makes after we told Argo CD may compare with what it had cached. */
async function refreshNew(kube: Kube, applications: readonly KubeObject[], known: Set<string>): Promise<void> {
  const fresh = applications.filter(({ metadata }) => !known.has(metadata.uid ?? ''))
  for (const { metadata } of fresh) known.add(metadata.uid ?? '')
  if (known.size > fresh.length) await refresh(kube, fresh)
}

async function partsCondition(stack: Stack, target: Target): Promise<Condition<void>> {
  const conditions = await Promise.all(stack.parts.map(async (part) => (await part.ready?.(target)) ?? ready(undefined)))
  return conditions.find(({ state }) => state !== 'ready') ?? ready(undefined)
}

function watchAll(kube: Kube, refs: readonly Parameters<Kube['watch']>[0][], wake: () => void): Disposable {
  const watches = refs.map((ref) => kube.watch(ref, wake))
  return {
    [Symbol.dispose]() {
      for (const watch of watches) watch[Symbol.dispose]()
    },
  }
}

