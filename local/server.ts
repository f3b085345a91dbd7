/** The container of the node with the API server: made, and taken away; its data stays on its volumes. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { UpRequest } from '#core'
import { CLUSTER_LABEL, type ContainerInfo, createVolumes, docker, inspect } from '#kit/docker'
import { Failure, messageOf } from '#kit/errors'
import { pending, ready, waitFor } from '#kit/wait'
import { pointAtEngine } from './engine.ts'
import { containerName, hostNameservers, type NodeConfig, type NodeSpec, networkName, STOP_S, volumeNames } from './node-config.ts'
import { checkPortsFree } from './ports.ts'
import { lastLogs } from './ready.ts'

const GONE_TIMEOUT_MS = 30_000

export interface ServerRequest extends Pick<UpRequest, 'name' | 'progress' | 'signal'>, Pick<NodeSpec, 'files' | 'mirrors'> {}

/** Makes it and waits until it is up; the volumes that it had before are its volumes again. @throws Failure where it ends instead. */
export async function createServer(request: ServerRequest, config: NodeConfig): Promise<void> {
  const { name, files, mirrors, progress, signal } = request
  await docker(['rm', '--force', containerName(name)], { accept: [0, 1] }) // one whose creation was interrupted lacks its files
  await checkPortsFree(config.ports)
  await makeNetworkAndVolumes(name)
  const nameservers = await hostNameservers()
  await pointAtEngine()
  await progress.step(`Start the node (${config.image})`, async () => {
    const started = new AbortController()
    try {
      const { HoldfastServer } = await import('./node-container.ts')
      const ended = failWhenEnded(name, AbortSignal.any([signal, started.signal]))
      await Promise.race([new HoldfastServer({ cluster: name, config, nameservers, files, mirrors }).start(), ended])
    } catch (thrown) {
      signal.throwIfAborted()
      throw new Failure(
        { what: 'Cannot start the node', why: messageOf(thrown), next: 'Run this again; npm run local:down removes what is left' },
        thrown,
      )
    } finally {
      started.abort()
    }
  })
}

/**
 * testcontainers sees neither an interrupt nor a node that ends again and again, nor an engine that went away: it waits for its
 * log line to the end. What it has begun is continued by the next run.
 * @throws when one of these is seen; it never returns.
 */
async function failWhenEnded(name: string, signal: AbortSignal): Promise<never> {
  while (true) {
    await sleep(1000, undefined, { signal })
    const info = await inspect<ContainerInfo>('container', containerName(name))
    if (info !== undefined && (info.RestartCount > 0 || info.State.Status === 'exited')) {
      throw new Error(`it ended with exit code ${info.State.ExitCode}. Its last lines:\n${await lastLogs(containerName(name))}`)
    }
  }
}

async function makeNetworkAndVolumes(name: string): Promise<void> {
  const volumes = async () => {
    await removeOrphans(name)
    await createVolumes(name, volumeNames(name))
  }
  const network = async () => {
    if ((await inspect('network', networkName(name))) !== undefined) return
    await docker(['network', 'create', '--label', `${CLUSTER_LABEL}=${name}`, networkName(name)])
  }
  await Promise.all([volumes(), network()])
}

/** A removal that was cut short may leave a kubelet's certificate of a cluster whose authority is gone: nobody would know that node. */
async function removeOrphans(name: string): Promise<void> {
  const [data = '', ...others] = volumeNames(name)
  if ((await inspect('volume', data)) === undefined) await docker(['volume', 'rm', '--force', ...others])
}

/** Stops it in order. One that did not come up is taken away by testcontainers too, at the same time. */
export async function removeServer(cluster: string): Promise<void> {
  const name = containerName(cluster)
  await docker(['stop', '--time', STOP_S, name], { accept: [0, 1] })
  await docker(['rm', '--force', name], { accept: [0, 1] })
  const look = async () => ((await inspect('container', name)) === undefined ? ready(undefined) : pending('it is still there'))
  await waitFor(`the container '${name}' to be gone`, look, { timeoutMs: GONE_TIMEOUT_MS, everyMs: 100 })
}
