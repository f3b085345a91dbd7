/** What Argo CD needs before it can sync anything, applied directly and as Argo CD itself would, which adopts it. */
import { parse } from 'yaml'
import { conditionOf, type Kube, KubeError, type KubeObject, type ListRef, type ObjectRef, refOf, saysReady } from '#kit/kube'
import { type Condition, pending, ready, waitFor } from '#kit/wait'

/** Argo CD's own field manager: with another one it could never take a field away that the bootstrap had set. */
const ADOPTING_MANAGER = 'argocd-controller'
const OBSERVED_TIMEOUT_MS = 30_000

/** Definitions first: their kinds must exist before objects of them; the rest side by side. */
export async function applyAll(kube: Kube, objects: readonly KubeObject[]): Promise<void> {
  const isFirst = ({ kind }: KubeObject) => kind === 'Namespace' || kind === 'CustomResourceDefinition'
  await Promise.all(objects.filter(isFirst).map((object) => applyOne(kube, object)))
  await Promise.all(objects.filter((object) => !isFirst(object)).map((object) => applyOne(kube, object)))
}

const applyOne = (kube: Kube, object: KubeObject): Promise<unknown> =>
  takesNodePort(object) ? applyPublished(kube, object) : kube.apply(object, ADOPTING_MANAGER)

const takesNodePort = ({ kind, spec }: KubeObject) => kind === 'Service' && spec.type === 'NodePort'

/**
 * A Service with a port of the nodes is created before it is applied. The API server gives the port out while it applies, and where the
 * client goes away before the Service is written it keeps the port, for nobody, until its third repair, nine minutes later
 * (Store.Update in k8s.io/apiserver 0.36, pkg/registry/generic/registry/store.go; Store.Create gives it back).
 */
async function applyPublished(kube: Kube, object: KubeObject): Promise<void> {
  const ref = refOf(object)
  if ((await kube.get(ref)) === undefined) await kube.create(object, ADOPTING_MANAGER)
  const { metadata } = await kube.apply(object, ADOPTING_MANAGER)
  // What was created is owned by an update, whose fields no later apply could take away.
  const managedFields = (metadata.managedFields as readonly Owner[] | undefined) ?? []
  const applied = managedFields.filter(({ manager, operation }) => manager !== ADOPTING_MANAGER || operation !== 'Update')
  if (applied.length < managedFields.length) await kube.mergePatch(ref, { metadata: { managedFields: applied } })
}

interface Owner {
  readonly manager: string
  readonly operation: 'Apply' | 'Update'
}

/**
 * Has pods pull and start while Argo CD does, which then finds and adopts what it would have made. Nothing depends on it: what the API
 * server refuses, such as an object whose kind is not served yet, Argo CD makes, or says why not.
 */
export async function applyEarly(kube: Kube, objects: readonly KubeObject[]): Promise<void> {
  const refused = (thrown: unknown) => {
    if (!(thrown instanceof KubeError)) throw thrown
  }
  await Promise.all(objects.map((object) => applyOne(kube, object).catch(refused)))
}

const ESTABLISHED_TIMEOUT_MS = 60_000

/** Until the API server serves the kinds that these define: a controller may look for its own once, at its start, and never again. */
export async function waitForKinds(kube: Kube, definitions: readonly KubeObject[], signal: AbortSignal): Promise<void> {
  const look = async (): Promise<Condition<void>> => {
    const found = await Promise.all(definitions.map((definition) => kube.get(refOf(definition))))
    const waiting = definitions.filter((_, i) => conditionOf(found[i], 'Established')?.status !== 'True')
    return waiting.length === 0 ? ready(undefined) : pending(`not served: ${waiting.map(({ metadata }) => metadata.name).join(', ')}`)
  }
  await waitFor('the kinds that are defined to be served', look, { timeoutMs: ESTABLISHED_TIMEOUT_MS, signal })
}

/** Files of `deploy`: path to content, null for one that is not there. */
type Files = Readonly<Record<string, string | null>>

/** The workloads that are rendered into these files. */
export function workloadsIn(files: Files): KubeObject[] {
  return renderedIn(files).filter(runsPods)
}

export const runsPods = ({ kind }: KubeObject) => kind === 'Deployment' || kind === 'StatefulSet'

function renderedIn(files: Files): KubeObject[] {
  return Object.entries(files).flatMap(([path, content]) => (path.startsWith('rendered/') && content !== null ? [parse(content)] : []))
}

/** What `look` says; false where a workload of these files has too few ready pods: then nothing will come of looking. */
export async function unlessDown<T>(kube: Kube, files: Files, look: () => Promise<Condition<T>>): Promise<Condition<T | false>> {
  const seen = await look()
  if (seen.state === 'ready') return seen
  const live = await Promise.all(workloadsIn(files).map(async (object) => ({ ...refOf(object), live: await kube.get(refOf(object)) })))
  const down = live.find(({ live }) => (live?.status?.readyReplicas ?? 0) < (live?.spec.replicas ?? 1))
  return down === undefined ? seen : ready(false)
}

/** Applies the objects of these files. What they no longer hold is for Argo CD to prune. */
export async function applyFiles(kube: Kube, files: Files, signal: AbortSignal): Promise<void> {
  const objects = renderedIn(files)
  await applyAll(kube, objects)
  await Promise.all(objects.filter(({ kind }) => kind === 'StatefulSet').map((set) => freeStuckPods(kube, set, signal)))
}

/**
 * A StatefulSet replaces a pod once it is ready: one that never will be holds up its own replacement, also by the template of before
 * (https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#forced-rollback).
 */
async function freeStuckPods(kube: Kube, set: KubeObject, signal: AbortSignal): Promise<void> {
  const revision = await updateRevision(kube, refOf(set), signal)
  const pods = await kube.list(podsOf(set))
  const stuck = pods.filter((pod) => pod.metadata.labels?.['controller-revision-hash'] !== revision && !saysReady(pod))
  await Promise.all(stuck.map((pod) => kube.delete(refOf(pod))))
}

async function updateRevision(kube: Kube, ref: ObjectRef, signal: AbortSignal): Promise<string> {
  const look = async (): Promise<Condition<string>> => {
    const set = await kube.get(ref)
    const isSeen = set !== undefined && set.status?.observedGeneration === set.metadata.generation
    return isSeen ? ready(set.status.updateRevision) : pending('its controller has not seen its newest template')
  }
  return waitFor(`StatefulSet ${ref.name}`, look, { timeoutMs: OBSERVED_TIMEOUT_MS, signal })
}

/** The pods of a workload. */
export function podsOf({ metadata, spec }: KubeObject): ListRef {
  const labels = Object.entries(spec.selector.matchLabels).map(([label, value]) => `${label}=${value}`)
  return { apiVersion: 'v1', kind: 'Pod', namespace: metadata.namespace ?? '', labelSelector: labels.join(',') }
}
