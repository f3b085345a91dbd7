/** The nodes beside the first: joined, kept, and taken away again. */
import { cordonPatch, drain, nodeRef, type UpRequest } from '#core'
import { CLUSTER_LABEL, type ContainerInfo, createVolumes, docker, inspect, listByLabel } from '#kit/docker'
import { Failure, messageOf } from '#kit/errors'
import type { Kube, KubeObject } from '#kit/kube'
import { pending, ready, waitFor } from '#kit/wait'
import { differ, labelledConfig } from './config.ts'
import { pointAtEngine } from './engine.ts'
import { makeJoinToken } from './join.ts'
import { agentName, agentVolumeNames, containerName, hostNameservers, type NodeConfig, STOP_S, TOKEN_FILE } from './node-config.ts'
import { waitForNode } from './ready.ts'

/** A cluster whose API server answers. */
export interface Joining extends Pick<UpRequest, 'name' | 'signal'> {
  readonly kube: Kube
  readonly kubeconfig: string
  /** Hosts of registries that they ask through ours too. */
  readonly mirrors: readonly string[]
}

/** The nodes of a cluster. */
export interface AgentsRequest extends Joining, Pick<UpRequest, 'nodes' | 'progress'> {
  /** Of the server: agents run the same image, with the same rights. */
  readonly server: NodeConfig
}

const READY_TIMEOUT_MS = 120_000
/** The longest grace of a pod of the stack, and a new one of it elsewhere. */
const DRAIN_TIMEOUT_MS = 180_000
const STORAGE_TIMEOUT_MS = 60_000

/** Joins the nodes that are missing, starts those that are down, removes those that are too many. */
export async function ensureAgents(request: AgentsRequest): Promise<void> {
  const { name, nodes } = request
  const present = await presentAgents(request)
  const wanted = nodes === undefined ? present : Array.from({ length: nodes - 1 }, (_, i) => agentName(name, i + 2))
  for (const each of present.toReversed()) if (!wanted.includes(each)) await removeAgent(request, each)
  if (wanted.length === 0) return
  await keepVolumesOnServer(request)
  for (const each of wanted) await ensureAgent(request, each)
}

/** The containers of the nodes beside the server, running or not. */
export async function agentContainers(cluster: string): Promise<string[]> {
  const all = await listByLabel('container', `${CLUSTER_LABEL}=${cluster}`)
  return all.filter((each) => each.startsWith(`${containerName(cluster)}.`)).toSorted()
}

/** By their containers and by what the cluster knows: an interrupted command may have left one without the other. */
async function presentAgents({ name, kube }: AgentsRequest): Promise<string[]> {
  const nodes = (await kube.list({ apiVersion: 'v1', kind: 'Node' })).map(({ metadata }) => metadata.name)
  const others = nodes.filter((each) => each !== containerName(name))
  return [...new Set([...(await agentContainers(name)), ...others])].toSorted()
}

/**
 * A volume is a folder of one node. All are made on the server, whose loss is the cluster's anyway: no other node takes data with it.
 */
async function keepVolumesOnServer({ name, kube, signal }: AgentsRequest): Promise<void> {
  const look = async () => {
    const found = (await kube.list({ apiVersion: 'storage.k8s.io/v1', kind: 'StorageClass' })).find(isDefault)
    return found === undefined ? pending('there is none') : ready(found)
  }
  const found = await waitFor('the default StorageClass', look, { timeoutMs: STORAGE_TIMEOUT_MS, signal })
  const allowedTopologies = [{ matchLabelExpressions: [{ key: 'kubernetes.io/hostname', values: [containerName(name)] }] }]
  await kube.mergePatch({ apiVersion: found.apiVersion, kind: found.kind, name: found.metadata.name }, { allowedTopologies })
}

const isDefault = ({ metadata }: KubeObject) => metadata.annotations?.['storageclass.kubernetes.io/is-default-class'] === 'true'

async function ensureAgent(request: AgentsRequest, name: string): Promise<void> {
  const { kube, progress, signal } = request
  const config = agentConfig(request, name)
  const [found, node] = await Promise.all([inspect<ContainerInfo>('container', name), kube.get(nodeRef(name))])
  // One whose creation was interrupted lacks its files; one that had not joined by then has a token that is gone.
  const isWhole = found !== undefined && found.State.Status !== 'created' && node !== undefined
  const differences = isWhole ? differ(labelledConfig(found), config) : []
  if (differences.length > 0) {
    progress.say(`The settings of ${name} changed, its data stays:\n${differences.map((each) => `  ${each}`).join('\n')}`)
    await docker(['stop', '--time', STOP_S, name])
  }
  if (!isWhole || differences.length > 0) await progress.step(`Join the node ${name}`, () => join(request, { name, config }))
  else if (!found.State.Running) await progress.step(`Start the node ${name}`, () => docker(['start', name]))
  await waitForNode(kube, name, { timeoutMs: READY_TIMEOUT_MS, signal })
  if ((await kube.get(nodeRef(name)))?.spec?.unschedulable !== true) return
  await kube.mergePatch(nodeRef(name), cordonPatch(false))
  progress.say(`The node ${name} takes pods again`)
}

function agentConfig({ name: cluster, server }: AgentsRequest, name: string): NodeConfig {
  const sharedArgs = server.args.filter((arg) => /^--(kubelet|kube-proxy)-arg=/.test(arg))
  const joining = [`--server=https://${containerName(cluster)}:6443`, `--token-file=${TOKEN_FILE}`]
  return { ...server, args: ['agent', ...joining, `--node-name=${name}`, ...sharedArgs], ports: [] }
}

/** One that the cluster knows continues with its identity; to a new one, what an earlier node of its name left is of no use. */
export async function join(request: Joining, { name, config }: { name: string; config: NodeConfig }): Promise<void> {
  const { name: cluster, kube, kubeconfig, mirrors, signal } = request
  await docker(['rm', '--force', name], { accept: [0, 1] })
  if ((await kube.get(nodeRef(name))) === undefined) await removeVolumes(name)
  await createVolumes(cluster, agentVolumeNames(name))
  await pointAtEngine()
  await using token = await makeJoinToken(kube, kubeconfig)
  const spec = { cluster, config, files: [], mirrors, nameservers: await hostNameservers() }
  const { HoldfastAgent } = await import('./node-container.ts')
  await new HoldfastAgent(name, spec, token.text).start()
  await waitForNode(kube, name, { timeoutMs: READY_TIMEOUT_MS, signal }).catch((thrown) => {
    signal.throwIfAborted()
    const next = 'Run this again; npm run local:down removes what is left'
    throw new Failure({ what: `Cannot let the node ${name} join`, why: messageOf(thrown), next }, thrown)
  })
}

/** Its pods first: they are evicted, and nothing of them is on it alone. */
async function removeAgent(request: AgentsRequest, name: string): Promise<void> {
  const { kube, progress } = request
  await progress.step(`Remove the node ${name}`, async (note) => {
    note('its pods leave')
    await leave(request, name)
    note('its container')
    await docker(['rm', '--force', '--volumes', name], { accept: [0, 1] })
    await removeVolumes(name)
    await kube.delete(nodeRef(name))
  })
}

/** @throws Failure naming the pods that stay; then it takes new ones again. */
async function leave({ kube, signal }: AgentsRequest, name: string): Promise<void> {
  const [found, node] = await Promise.all([inspect<ContainerInfo>('container', name), kube.get(nodeRef(name))])
  if (found?.State.Running !== true || node === undefined) return // nothing runs there, or it never joined
  await drain(kube, name, { timeoutMs: DRAIN_TIMEOUT_MS, signal }).catch(async (thrown) => {
    await kube.mergePatch(nodeRef(name), cordonPatch(false))
    signal.throwIfAborted()
    const next = 'Run this again once they can go, or keep the node: the number of nodes is --nodes'
    throw new Failure({ what: `Cannot remove the node ${name}`, why: messageOf(thrown), next }, thrown)
  })
}

async function removeVolumes(name: string): Promise<void> {
  for (const volume of agentVolumeNames(name)) if ((await inspect('volume', volume)) !== undefined) await docker(['volume', 'rm', volume])
}
