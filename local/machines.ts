/** The containers of a cluster's nodes, as something to break. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Machine, Machines } from '#core'
import { type ContainerInfo, docker, inspect } from '#kit/docker'
import { UserError } from '#kit/errors'
import type { Kube } from '#kit/kube'
import { agentContainers } from './agents.ts'
import type { ClusterSettings } from './k3s.ts'
import { imageOf } from './node/image.ts'
import { containerName, type NodeConfig, STOP_S } from './node-config.ts'
import { waitForNode } from './ready.ts'
import { replaceNode } from './replace.ts'

const RETURN_TIMEOUT_MS = 90_000
/** As they were started, by the whole command line: the supervisor and its components are one program. */
const API_SERVER = '^kube-apiserver '
const SUPERVISOR = '^/usr/local/bin/node (server|agent)'

export interface MachinesOptions extends Pick<ClusterSettings, 'nodeImages' | 'files' | 'mirrors'> {
  readonly kube: Kube
  readonly kubeconfig: string
}

export function machinesOf(cluster: string, { nodeImages, ...options }: MachinesOptions): Machines {
  const { kube } = options
  const server = containerName(cluster)
  const madeWith = new Map<string, NodeConfig>()
  return {
    list: async () => Promise.all([server, ...(await agentContainers(cluster))].map((name) => machineOf(name, server))),
    async lose(node) {
      if (node === server)
        throw new UserError({ what: `Cannot lose the node '${node}'`, why: 'it has the API server, and nothing could be told or undone' })
      await docker(['kill', node])
    },
    async start(node) {
      if ((await inspect('container', node)) === undefined) return
      await docker(['start', node])
      await waitForNode(kube, node, { timeoutMs: RETURN_TIMEOUT_MS })
    },
    async restart(node, { downMs = 0, signal }) {
      try {
        await docker(['stop', '--time', STOP_S, node])
        await sleep(downMs, undefined, { signal })
      } finally {
        await docker(['start', node])
      }
    },
    killApiServer: async (node) => void (await docker(['exec', node, 'pkill', '-KILL', '-f', API_SERVER])),
    async freezeSupervisor(node, forMs) {
      const thaw = `sleep ${forMs / 1000}; pkill -CONT -f "${SUPERVISOR}"`
      // In the container, so that it thaws whatever becomes of us; and first, so that none stays frozen.
      await docker(['exec', '--detach', node, 'sh', '-c', thaw])
      await docker(['exec', node, 'pkill', '-STOP', '-f', SUPERVISOR])
    },
    async replace(node, { kubernetes, images, ...run }) {
      const { ref } = await images.local(imageOf(nodeImages, kubernetes))
      await replaceNode({ ...run, ...options, name: cluster }, { node, image: ref, madeWith })
    },
  }
}

async function machineOf(name: string, server: string): Promise<Machine> {
  const info = await inspect<ContainerInfo>('container', name)
  return { node: name, hasApiServer: name === server, running: info?.State.Running === true, startedAt: info?.State.StartedAt ?? '' }
}
