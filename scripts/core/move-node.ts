/** One node to another version of Kubernetes while the others serve: emptied, replaced on its own data, taken back into use. */
import type { Images } from '#kit/images'
import { type Kube, type ListRef, saysReady } from '#kit/kube'
import { pending, ready, waitFor } from '#kit/wait'
import { cordonPatch, type drain, nodeRef } from './drain.ts'
import { type Installed, waitUntilHealthy } from './install.ts'
import { lookAll } from './observe.ts'
import { judgeRelay, type Relay, startRelay } from './relay.ts'
import type { OpenRun } from './run.ts'
import type { ClaimResult } from './scenario.ts'
import type { Machine, Machines } from './types.ts'
import { rolledOut, WORKLOAD_PODS } from './workload.ts'

/** Long enough that no leg is due while the API server is away. */
const LEG_MS = 60_000
/** The longest grace of a pod of the stack, and a new one of it elsewhere. */
const EMPTY_TIMEOUT_MS = 180_000
const ELSEWHERE_TIMEOUT_MS = 60_000
/** Whoever fitted nowhere is looked at again within ten seconds. */
const PLACED_TIMEOUT_MS = 60_000
const PODS: ListRef = { apiVersion: 'v1', kind: 'Pod' }
/** As k3s and kubeadm label them. */
const DNS_PODS: ListRef = { ...PODS, namespace: 'kube-system', labelSelector: 'k8s-app=kube-dns' }

/** What the move of one node came to. */
export interface MovedNode {
  readonly node: string
  /** What its kubelet says, and where it has the API server, that one. */
  readonly says: readonly string[]
  /** Pods of the service that it had to give away. */
  readonly served: number
  /** Until its pods were gone, and those of the service and the name server ready elsewhere. */
  readonly emptiedMs: number
  /** From then until the new one was ready. */
  readonly replacedMs: number
  /** From then until everything was Healthy. */
  readonly healthyMs: number
  /** All the while. */
  readonly load: ClaimResult
}

/** A platform whose nodes are moved. */
export interface Moving {
  readonly run: OpenRun
  readonly installed: Installed
  readonly machines: Machines
  readonly images: Images
  /** How the pods are taken off a node. */
  readonly empty: typeof drain
}

export interface NodeMove {
  readonly machine: Machine
  /** The version of Kubernetes. */
  readonly to: string
}

/**
 * Moves it and judges nothing. The first request that fails ends it, but not in the middle of the replacement.
 * @throws Failure where it cannot be emptied, does not come up, or a request fails
 */
export async function moveNode(x: Moving, move: NodeMove): Promise<MovedNode> {
  const { context, progress } = x.run
  const { node } = move.machine
  // What sends the load must not go with it.
  await context.cluster.kube.mergePatch(nodeRef(node), cordonPatch(true))
  const load = await progress.step(`Start load beside ${node}`, () => startRelay(context, { legMs: LEG_MS }))
  try {
    return await moveUnder(load, x, move)
  } catch (thrown) {
    // Where the API server is away it cannot be ended; it ends by itself, and goes with the cluster.
    await Promise.resolve(load[Symbol.asyncDispose]()).catch(() => {})
    throw thrown
  }
}

async function moveUnder(load: Relay, x: Moving, { machine, to }: NodeMove): Promise<MovedNode> {
  const { context, progress } = x.run
  const { kube } = context.cluster
  const { node, hasApiServer } = machine
  const signal = AbortSignal.any([x.run.signal, load.lost])
  const served = (await kube.list(WORKLOAD_PODS)).filter(({ spec }) => spec.nodeName === node).length
  const startedAtMs = Date.now()
  await progress.step(`Empty ${node}`, (note) => emptyNode(x, { node, signal, note }))
  const emptyAtMs = Date.now()
  await load.renew()
  await progress.step(`Replace ${node} by one of ${to}`, () =>
    x.machines.replace(node, { kubernetes: to, images: x.images, progress, signal: x.run.signal }),
  )
  signal.throwIfAborted()
  const replacedAtMs = Date.now()
  await backInUse(x, node, signal)
  const endAtMs = Date.now()
  const relayed = await progress.step('Wait for the end of the load', () => load.end())
  return {
    node,
    says: await versionsOn(kube, { node, hasApiServer }),
    served,
    emptiedMs: emptyAtMs - startedAtMs,
    replacedMs: replacedAtMs - emptyAtMs,
    healthyMs: endAtMs - replacedAtMs,
    load: judgeRelay(relayed, { fromMs: startedAtMs, toMs: endAtMs }),
  }
}

interface Emptying {
  readonly node: string
  readonly signal: AbortSignal
  readonly note: (text: string) => void
}

/** And waits for what users need of it: the service, and whoever tells names. */
async function emptyNode({ run: { context }, empty }: Moving, { node, signal, note }: Emptying): Promise<void> {
  const { kube } = context.cluster
  await empty(kube, node, { timeoutMs: EMPTY_TIMEOUT_MS, signal, onAnswer: ({ pod }) => note(pod) })
  const options = { timeoutMs: ELSEWHERE_TIMEOUT_MS, signal, onSeen: note }
  await waitFor('the service to run elsewhere', () => lookAll([rolledOut], context), options)
  await waitFor('the name server to run elsewhere', () => lookForNames(kube), options)
}

async function lookForNames(kube: Kube) {
  const pods = await kube.list(DNS_PODS)
  return pods.some(saysReady) ? ready(undefined) : pending(`none of ${pods.length} is ready`)
}

/** Takes a node into use again, and waits until everything is as it was. */
export async function backInUse({ run, installed }: Pick<Moving, 'run' | 'installed'>, node: string, signal: AbortSignal): Promise<void> {
  const { context, progress } = run
  const { kube } = context.cluster
  await kube.mergePatch(nodeRef(node), cordonPatch(false))
  await progress.step('Wait until everything is Synced and Healthy', async (onSeen) => {
    const look = async () => {
      const homeless = (await kube.list(PODS)).filter(({ spec }) => spec.nodeName === undefined)
      return homeless.length === 0 ? ready(undefined) : pending(`no node yet: ${homeless.map(({ metadata }) => metadata.name).join(', ')}`)
    }
    await waitFor('every pod to have a node', look, { timeoutMs: PLACED_TIMEOUT_MS, signal, onSeen })
    const { sha = '' } = await (await context.git(signal)).readDeploy()
    const revisions = { deploy: sha, pushedAtMs: Date.now() }
    await waitUntilHealthy(installed.stack, { ...installed, revisions }, { signal, onSeen })
  })
}

async function versionsOn(kube: Kube, { node, hasApiServer }: Pick<Machine, 'node' | 'hasApiServer'>): Promise<readonly string[]> {
  const kubelet = (await kube.get(nodeRef(node)))?.status?.nodeInfo?.kubeletVersion as string
  if (!hasApiServer) return [kubelet]
  const { gitVersion } = (await kube.request('GET', '/version')) as { gitVersion: string }
  return [kubelet, gitVersion]
}

/** Why a move shows nothing, or something bad; undefined where it shows that nobody noticed. */
export function problemOf({ says, served, load }: MovedNode, to: string): string | undefined {
  // k3s adds its own release behind a plus.
  const other = says.find((version) => version.split('+')[0] !== `v${to}`)
  if (other !== undefined) return `it says that it is ${other}`
  if (load.outcome !== 'true') return `load: ${load.seen}`
  return served === 0 ? 'no pod of the service ran on it: its move shows nothing' : undefined
}
