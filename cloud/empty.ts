/** What the cluster itself has made in AWS goes while what made it still runs: afterwards nobody would take it away. */
import { ARGOCD_NAMESPACE, ROOT_APPLICATION } from '#core'
import { messageOf } from '#kit/errors'
import { type Kube, KubeError, type KubeObject, refOf } from '#kit/kube'
import type { Note } from '#kit/progress'
import { overdue, pending, ready, waitFor } from '#kit/wait'

export interface EmptyOptions {
  readonly signal: AbortSignal
  readonly note: Note
  /** What AWS still has of it: load balancers and volumes. */
  readonly inAws: () => Promise<readonly string[]>
}

/** Argo CD takes the others away, so it stays; volumes need their class and namespaces nothing at all. */
const STAY = new Set(['argocd', 'namespaces', 'storage'])
/** These take away what others have asked them for. */
const LATER = new Set(['prometheus-operator', 'rollouts', 'policies'])
const APPLICATIONS = { apiVersion: 'argoproj.io/v1alpha1', kind: 'Application', namespace: ARGOCD_NAMESPACE }
const CASCADE_TIMEOUT_MS = 120_000
const AWS_TIMEOUT_MS = 600_000

/** @returns what did not go in time, for a person; all that matters is whether AWS still has something, which the sweep finds. */
export async function emptyCluster(kube: Kube, { signal, note, inAws }: EmptyOptions): Promise<readonly string[]> {
  const left = await takeApplications(kube, { signal, note })
  note('what is public goes')
  for (const kind of [
    { apiVersion: 'networking.k8s.io/v1', kind: 'Ingress' },
    { apiVersion: 'v1', kind: 'Service' },
  ])
    for (const object of await kube.list(kind)) if (isPublic(object)) await kube.delete(refOf(object))
  note('volumes go')
  for (const claim of await kube.list({ apiVersion: 'v1', kind: 'PersistentVolumeClaim' })) await kube.delete(refOf(claim))
  await releaseClaims(kube)
  const gone = async () => {
    const volumes = (await kube.list({ apiVersion: 'v1', kind: 'PersistentVolume' })).map(({ metadata }) => metadata.name)
    const all = [...volumes, ...(await inAws())]
    return all.length === 0 ? ready(undefined) : pending(all.join(', '))
  }
  const seen = await waitFor('volumes and load balancers to be gone', gone, {
    timeoutMs: AWS_TIMEOUT_MS,
    everyMs: 2_000,
    signal,
    onSeen: note,
  }).then(
    () => [],
    (thrown) => [messageOf(overdueOrThrow(thrown))],
  )
  // Only now: without Argo CD's own deletion something of it might have stayed in AWS.
  if (seen.length === 0) for (const object of await applications(kube)) await stripFinalizers(kube, object)
  return [...left, ...seen]
}

const isPublic = ({ kind, spec }: KubeObject) => kind === 'Ingress' || spec.type === 'LoadBalancer'

function overdueOrThrow(thrown: unknown): unknown {
  overdue(thrown)
  return thrown
}

/** Nothing makes them anew: sets of them first, then the one that all others come from. */
async function takeApplications(kube: Kube, { signal, note }: Pick<EmptyOptions, 'signal' | 'note'>): Promise<readonly string[]> {
  const all = await applications(kube)
  if (all.length === 0) return []
  note('Applications go')
  const root = all.find(({ metadata }) => metadata.name === ROOT_APPLICATION)
  if (root !== undefined) {
    await stripFinalizers(kube, root)
    await kube.delete(refOf(root), 'Orphan')
  }
  const others = all.filter(({ metadata }) => metadata.name !== ROOT_APPLICATION && !STAY.has(metadata.name))
  const waves = [others.filter(({ metadata }) => !LATER.has(metadata.name)), others.filter(({ metadata }) => LATER.has(metadata.name))]
  const left: string[] = []
  for (const wave of waves) {
    for (const object of wave) await kube.delete(refOf(object))
    const names = new Set(wave.map(({ metadata }) => metadata.name))
    const look = async () => {
      const there = (await applications(kube)).filter(({ metadata }) => names.has(metadata.name)).map(({ metadata }) => metadata.name)
      return there.length === 0 ? ready(undefined) : pending(there.join(', '))
    }
    await waitFor('Argo CD to take the Applications away', look, {
      timeoutMs: CASCADE_TIMEOUT_MS,
      everyMs: 1_000,
      signal,
      onSeen: note,
    }).catch((thrown) => void left.push(messageOf(overdueOrThrow(thrown))))
  }
  return left
}

/** A claim stays while a pod uses it, and a workload whose Application could not go still does. */
async function releaseClaims(kube: Kube): Promise<void> {
  for (const kind of ['StatefulSet', 'Deployment'])
    for (const object of await kube.list({ apiVersion: 'apps/v1', kind })) if (usesClaims(object)) await kube.delete(refOf(object))
  const pods = await kube.list({ apiVersion: 'v1', kind: 'Pod' })
  for (const pod of pods) if (claimsOf(pod.spec).length > 0) await kube.delete(refOf(pod))
}

const usesClaims = ({ spec }: KubeObject) => (spec.volumeClaimTemplates ?? []).length > 0 || claimsOf(spec.template.spec).length > 0
const claimsOf = ({ volumes = [] }: { volumes?: { persistentVolumeClaim?: object }[] }) =>
  volumes.filter(({ persistentVolumeClaim }) => persistentVolumeClaim !== undefined)

/** None where Argo CD was never installed. */
async function applications(kube: Kube): Promise<readonly KubeObject[]> {
  return kube.list(APPLICATIONS).catch((thrown) => {
    if (thrown instanceof KubeError && thrown.status === 404) return []
    throw thrown
  })
}

async function stripFinalizers(kube: Kube, object: KubeObject): Promise<void> {
  await kube.mergePatch(refOf(object), { metadata: { finalizers: null } })
}
