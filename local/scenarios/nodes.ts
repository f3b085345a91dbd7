/** What the experiments with nodes read from the cluster, and how they place pods before they begin. */
import {
  type Context,
  cordonPatch,
  inSync,
  isPresent,
  lookAll,
  type Machine,
  type Machines,
  nodeRef,
  type RecordedEvent,
  rolledOut,
  type Signal,
  type Step,
  type Undo,
  WORKLOAD_PODS,
  WORKLOAD_WATCHES,
} from '#core'
import { Failure } from '#kit/errors'
import { conditionOf, type KubeObject, type ListRef, refOf, saysReady } from '#kit/kube'
import { waitFor } from '#kit/wait'

const NODES: ListRef = { apiVersion: 'v1', kind: 'Node' }
export const WATCHES: readonly ListRef[] = [NODES, ...WORKLOAD_WATCHES]
/** Pods of the service, of which its HPA keeps so many at rest. */
export const REPLICAS = 2
/** One pod ends in order, another one takes its place. */
const MOVED_TIMEOUT_MS = 60_000
/** EKS writes it on the nodes of its groups. */
const CAPACITY_TYPE = 'eks.amazonaws.com/capacityType'
const HAS_API_SERVER = 'node-role.kubernetes.io/control-plane'

// ── Nodes ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/** The first node without the API server, of what was there; where AWS may want some back, one of those. */
export function otherNode(objects: readonly KubeObject[]): string | undefined {
  const others = objects.filter(({ kind, metadata }) => kind === NODES.kind && metadata.labels?.[HAS_API_SERVER] === undefined)
  const spot = others.filter(({ metadata }) => metadata.labels?.[CAPACITY_TYPE] === 'SPOT')
  return (spot.length > 0 ? spot : others).map(({ metadata }) => metadata.name).toSorted()[0]
}

/** The same, of what is there now. @throws Failure where every node has an API server */
export async function findOtherNode({ cluster }: Context): Promise<string> {
  const found = otherNode(await cluster.kube.list(NODES))
  if (found !== undefined) return found
  throw new Failure({ what: 'Cannot break a node', why: 'there is none without an API server', next: 'Run npm run local:up -- --nodes 2' })
}

export const otherNodes = async (context: Context) => [nodeRef(await findOtherNode(context))]

/** The machine with the API server, and what breaks it. @throws Failure where none is ours */
export async function serverMachine({ cluster }: Context): Promise<Machine & { readonly machines: Machines }> {
  const { machines } = cluster
  const server = (await machines?.list())?.find(({ hasApiServer }) => hasApiServer)
  if (machines !== undefined && server !== undefined) return { ...server, machines }
  throw new Failure({ what: 'Cannot break a machine', why: `none of the cluster '${cluster.name}' is ours` })
}

/** The node's own word for whether it is ready, as an event of that node has it; undefined for any other event. */
export function readiness(event: RecordedEvent, node: string | undefined): string | undefined {
  if (!isPresent(event) || event.object.kind !== NODES.kind || event.object.metadata.name !== node) return undefined
  return conditionOf(event.object, 'Ready')?.status
}

/** The nodes that the service's traffic goes to, one for each pod that gets it; undefined for any other event. */
export function servingNodes(event: RecordedEvent): string[] | undefined {
  if (!isPresent(event) || event.object.kind !== 'EndpointSlice') return undefined
  const endpoints = (event.object.endpoints ?? []) as { conditions?: { ready?: boolean }; nodeName?: string }[]
  return endpoints.filter(({ conditions }) => conditions?.ready === true).map(({ nodeName }) => nodeName ?? '')
}

/** As many pods as at rest get traffic, and all of them elsewhere. */
export function servedElsewhere(event: RecordedEvent, before: readonly KubeObject[]): boolean {
  const nodes = servingNodes(event)
  return nodes !== undefined && nodes.length >= REPLICAS && !nodes.includes(otherNode(before) ?? '')
}

/** Every node is ready and takes pods. */
const nodesReady: Signal = {
  name: 'every node is ready and takes pods',
  async look({ cluster: { kube } }) {
    const nodes = await kube.list(NODES)
    const bad = nodes.filter((node) => !saysReady(node) || node.spec?.unschedulable === true)
    return { ok: nodes.length > 0 && bad.length === 0, seen: `${nodes.length - bad.length} of ${nodes.length}` }
  },
}

export const STEADY: readonly Signal[] = [nodesReady, inSync, rolledOut]

// ── Placing pods ────────────────────────────────────────────────────────────────────────────────────────────────────

/** The one that may be down is started, and every node takes pods: the undo of all that is done here. */
export async function restoreNodes({ cluster }: Context): Promise<Undo> {
  const nodes = await cluster.kube.list(NODES)
  const other = otherNode(nodes)
  const start = other === undefined ? [] : [{ op: 'start-machine', node: other } as const]
  return [...start, ...nodes.map((node) => ({ op: 'patch', ref: refOf(node), patch: cordonPatch(false) }) as const)]
}

/** From now on pods that are made, the load's among them, go to other nodes: what is broken next must not break who asks. */
export const takeNoNewPods: Step = {
  kind: 'act',
  name: 'keep new pods off the node',
  run: async (context) => cordon(context, await findOtherNode(context), true),
}

/** All pods of the service on the node that will be broken. */
export const gatherPods: Step = {
  kind: 'act',
  name: 'gather the service on one node',
  async run(context) {
    const other = await findOtherNode(context)
    await move(context, await podsBeside(context, other), other)
  },
}

/** Pods of the service on both sides, as the chart asks for and as they are placed at first: a node that came back has none. */
export const spreadPods: Step = {
  kind: 'act',
  name: 'spread the service over the nodes',
  async run(context) {
    const other = await findOtherNode(context)
    const pods = await context.cluster.kube.list(WORKLOAD_PODS)
    const beside = pods.filter(({ spec }) => spec.nodeName !== other)
    if (beside.length === pods.length) await move(context, beside.slice(0, 1), other)
    else if (beside.length === 0) await move(context, pods.slice(0, 1), (await serverMachine(context)).node)
  },
}

async function podsBeside({ cluster }: Context, node: string): Promise<KubeObject[]> {
  return (await cluster.kube.list(WORKLOAD_PODS)).filter(({ spec }) => spec.nodeName !== node)
}

async function cordon({ cluster }: Context, node: string, cordoned: boolean): Promise<void> {
  await cluster.kube.mergePatch(nodeRef(node), cordonPatch(cordoned))
}

/** One after the other, in order: the service keeps serving. */
async function move(context: Context, pods: readonly KubeObject[], to: string): Promise<void> {
  const { kube } = context.cluster
  const others = (await kube.list(NODES)).map(({ metadata }) => metadata.name).filter((name) => name !== to)
  for (const node of others) await cordon(context, node, true)
  for (const pod of pods) {
    await kube.delete(refOf(pod))
    const options = { timeoutMs: MOVED_TIMEOUT_MS, everyMs: 250, signal: context.signal }
    await waitFor(`a pod of the service to run on ${to}`, () => lookAll([rolledOut], context), options)
  }
  for (const node of others) await cordon(context, node, false)
}
