/** A node's container made anew of another image: its volumes, and with them its data and its identity, stay. */
import type { UpRequest } from '#core'
import { type ContainerInfo, docker, inspect } from '#kit/docker'
import { Failure } from '#kit/errors'
import { type Joining, join } from './agents.ts'
import { labelledConfig } from './config.ts'
import { containerName } from './node-container.ts'
import { waitForNode } from './ready.ts'
import { createServer, removeServer } from './server.ts'

const READY_TIMEOUT_MS = 120_000

/** Waits until the node is ready. @throws Failure where there is no such container, and where the new one does not come up. */
export async function replaceNode(
  request: Joining & Pick<UpRequest, 'progress'>,
  { node, image }: { readonly node: string; readonly image: string },
): Promise<void> {
  const { name: cluster, kube, signal } = request
  const found = await inspect<ContainerInfo>('container', node)
  if (found === undefined) throw new Failure({ what: `Cannot replace the node '${node}'`, why: 'its container is gone' })
  const config = { ...labelledConfig(found), image }
  if (node === containerName(cluster)) {
    await removeServer(cluster)
    await createServer({ ...request, name: cluster }, config)
  } else {
    await docker(['stop', '--time', '20', node])
    await join(request, { name: node, config })
  }
  await waitForNode(kube, node, { timeoutMs: READY_TIMEOUT_MS, signal })
}
