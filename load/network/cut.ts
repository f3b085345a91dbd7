/** Takes pods, or the registry, off the network of the nodes for a while. */
import { type NetworkCut, type NetworkSwitch, podProblem } from '#core'
import { Failure } from '#kit/errors'
import type { Kube, KubeObject } from '#kit/kube'
import { type Condition, pending, ready, terminal, waitFor } from '#kit/wait'
import { imageIn } from '../job-image.ts'
import { jobOf, jobRef } from './job.ts'
import { CUTTER, NAMESPACE } from './part.ts'

const POD = { apiVersion: 'v1', kind: 'Pod', namespace: NAMESPACE }
/** A first pull of the image included. */
const CUT_TIMEOUT_MS = 90_000
const MENDED_TIMEOUT_MS = 30_000

export interface NetworkOptions {
  /** What the nodes call the registry that they pull through. */
  readonly registryHost: string
}

export function createNetworkSwitch({ registryHost }: NetworkOptions): NetworkSwitch {
  return {
    async cut({ cluster: { kube }, signal }, what) {
      await mend(kube, signal)
      const image = await imageIn(kube, CUTTER, 'Cannot cut anything off the network')
      const untilMs = Date.now() + what.forMs
      const cuts = await cutsOf(kube, what, registryHost)
      const jobs = cuts.map((cut) => jobOf({ ...cut, image, untilMs, forMs: what.forMs }))
      await untilAllCut(kube, await Promise.all(jobs.map((job) => kube.create(job))), signal)
    },
    mend: ({ kube }) => mend(kube),
    undo: async ({ kube }) => (await nodeNames(kube)).map((node) => ({ op: 'delete', ref: jobRef(node) })),
  }
}

interface NodeCut {
  readonly node: string
  readonly what: readonly string[]
}

/** Every cable ends at its own node; the registry is far from all of them. */
async function cutsOf(kube: Kube, cut: NetworkCut, registryHost: string): Promise<readonly NodeCut[]> {
  if ('registry' in cut) return (await nodeNames(kube)).map((node) => ({ node, what: ['host', registryHost] }))
  const pods = (await Promise.all(cut.pods.map((ref) => kube.get(ref)))).filter((pod) => pod !== undefined)
  if (pods.length === 0) throw new Failure({ what: 'Cannot cut pods off the network', why: 'none of them is there' })
  const byNode = Map.groupBy(pods, ({ spec }) => spec.nodeName as string)
  return [...byNode].map(([node, of]) => ({ node, what: ['pods', ...of.map(({ status }) => status.podIP as string)] }))
}

async function nodeNames(kube: Kube): Promise<readonly string[]> {
  return (await kube.list({ apiVersion: 'v1', kind: 'Node' })).map(({ metadata }) => metadata.name)
}

const podsOf = ({ metadata }: Pick<KubeObject, 'metadata'>) => ({ ...POD, labelSelector: `batch.kubernetes.io/job-name=${metadata.name}` })

/** Side by side: their time runs already. The first that cannot be cut ends the wait for the others. */
async function untilAllCut(kube: Kube, jobs: readonly KubeObject[], signal: AbortSignal): Promise<void> {
  const over = new AbortController()
  const either = AbortSignal.any([signal, over.signal])
  try {
    await Promise.all(jobs.map((job) => untilCut(kube, job, either)))
  } finally {
    over.abort()
  }
}

/** Its pod is ready once all of it is cut. */
async function untilCut(kube: Kube, job: KubeObject, signal: AbortSignal): Promise<void> {
  const look = async (): Promise<Condition<void>> => {
    const [pod] = await kube.list(podsOf(job))
    const problem = pod === undefined ? undefined : podProblem(pod, Date.now())
    if (problem !== undefined) return terminal(problem)
    return pod?.status?.containerStatuses?.[0]?.ready === true ? ready(undefined) : pending(pod?.status?.phase ?? 'it has no pod yet')
  }
  await waitFor(`'${job.metadata.name}' to cut`, look, { timeoutMs: CUT_TIMEOUT_MS, everyMs: 200, signal })
}

/** Each puts back what it has cut when it is told to end. */
async function mend(kube: Kube, signal?: AbortSignal): Promise<void> {
  const refs = (await nodeNames(kube)).map(jobRef)
  await Promise.all(refs.map((ref) => kube.delete(ref, 'Foreground')))
  const look = async () => {
    const left = (await Promise.all(refs.map(({ name }) => kube.list(podsOf({ metadata: { name } }))))).flat()
    return left.length === 0 ? ready(undefined) : pending(left.map(({ metadata }) => metadata.name).join(', '))
  }
  const options = { timeoutMs: MENDED_TIMEOUT_MS, everyMs: 200, signal }
  await waitFor('the network to be whole', look, options)
}
