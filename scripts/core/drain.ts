/** Takes the pods off a node in order: by the Eviction API, which asks the disruption budgets. */
import { type Kube, KubeError, type KubeObject, type ObjectRef } from '#kit/kube'
import { pending, ready, waitFor } from '#kit/wait'

export const nodeRef = (name: string): ObjectRef => ({ apiVersion: 'v1', kind: 'Node', name })

/** Whether a node takes new pods; as an undo too. */
export const cordonPatch = (cordoned: boolean) => ({ spec: { unschedulable: cordoned ? true : null } })

/** What the API server answered to one request for an eviction. */
export interface Eviction {
  readonly pod: string
  /** 201 it goes; 429 a disruption budget holds it back for now. */
  readonly status: number
}

export interface DrainOptions {
  readonly timeoutMs: number
  readonly signal: AbortSignal
  /** Told every answer. */
  readonly onAnswer?: (eviction: Eviction) => void
}

const ASK_AGAIN_MS = 500
const TOO_MANY = 429
const GONE = 404

/** Cordons a node and evicts its pods until none is left. @throws Failure naming those that stay; the node stays cordoned. */
export async function drain(kube: Kube, node: string, { timeoutMs, signal, onAnswer }: DrainOptions): Promise<void> {
  await kube.mergePatch(nodeRef(node), cordonPatch(true))
  const look = async () => {
    const left = (await kube.list({ apiVersion: 'v1', kind: 'Pod' })).filter((pod) => isEvictable(pod, node))
    if (left.length === 0) return ready(undefined)
    const staying = left.filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    await Promise.all(
      staying.map(async (pod) => {
        const status = await evict(kube, pod)
        onAnswer?.({ pod: pod.metadata.name, status })
      }),
    )
    return pending(left.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`).join(', '))
  }
  await waitFor(`the pods to leave ${node}`, look, { timeoutMs, everyMs: ASK_AGAIN_MS, signal })
}

/** Of a DaemonSet there is one on every node, whatever is evicted, and a static pod is the kubelet's own. */
function isEvictable({ metadata, spec }: KubeObject, node: string): boolean {
  const owners = (metadata.ownerReferences ?? []) as { readonly kind: string }[]
  return spec.nodeName === node && !owners.some(({ kind }) => kind === 'DaemonSet' || kind === 'Node')
}

async function evict(kube: Kube, { metadata }: KubeObject): Promise<number> {
  const { name, namespace } = metadata
  const body = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name, namespace } }
  const path = `/api/v1/namespaces/${namespace}/pods/${name}/eviction`
  try {
    await kube.request('POST', path, { body, type: 'application/json' })
    return 201
  } catch (thrown) {
    if (thrown instanceof KubeError && (thrown.status === TOO_MANY || thrown.status === GONE)) return thrown.status
    throw thrown
  }
}
