/** A node's container made anew of another image: its volumes, and with them its data and its identity, stay. */
import type { UpRequest } from '#core'
import { type ContainerInfo, docker, inspect } from '#kit/docker'
import { Failure } from '#kit/errors'
import { type Joining, join } from './agents.ts'
import { labelledConfig } from './config.ts'
import { containerName, type NodeConfig, type NodeSpec, STOP_S } from './node-config.ts'
import { waitForNode } from './ready.ts'
import { createServer, removeServer } from './server.ts'

const READY_TIMEOUT_MS = 120_000

export interface ReplacingRequest extends Joining, Pick<UpRequest, 'progress'>, Pick<NodeSpec, 'files'> {}

export interface Replacement {
  readonly node: string
  readonly image: string
  /** What nodes were made with that were replaced before: one that did not come up may have no container to ask. */
  readonly madeWith: Map<string, NodeConfig>
}

/** Waits until the node is ready. @throws Failure where there is no such container, and where the new one does not come up. */
export async function replaceNode(request: ReplacingRequest, { node, image, madeWith }: Replacement): Promise<void> {
  const { name: cluster, kube, signal } = request
  const found = await inspect<ContainerInfo>('container', node)
  const before = madeWith.get(node) ?? (found === undefined ? undefined : labelledConfig(found))
  if (before === undefined) throw new Failure({ what: `Cannot replace the node '${node}'`, why: 'its container is gone' })
  const config = { ...before, image }
  madeWith.set(node, config)
  if (node === containerName(cluster)) {
    await removeServer(cluster)
    await createServer(request, config)
    await waitForNode(kube, node, { timeoutMs: READY_TIMEOUT_MS, signal })
  } else {
    await docker(['stop', '--time', STOP_S, node], { accept: [0, 1] })
    await join(request, { name: node, config })
  }
}
