/** The registry beside the cluster: on 127.0.0.1 only, its data in a named volume that outlives every cluster. */
import { CLUSTER_LABEL, type ContainerInfo, docker, inspect, listByLabel, ROLE_LABEL } from '#kit/docker'
import { Failure } from '#kit/errors'
import type { Images } from '#kit/images'
import { pending, ready, waitFor } from '#kit/wait'
import { firstFreePort } from '../ports.ts'
import { registryImage } from './image.ts'

export const REGISTRY_CONTAINER = 'holdfast-registry'
/** The image store: kept by `local:down`, removed by `local:down --all`. */
export const IMAGE_VOLUME = 'holdfast-images'
/** What the node calls the registry. */
export const REGISTRY_ALIAS = 'registry'
const FIRST_PORT = 16430

/** @returns host:port on this machine where images are pushed. */
export async function ensureRegistry(images: Images, signal: AbortSignal): Promise<string> {
  const found = await inspect<ContainerInfo>('container', REGISTRY_CONTAINER)
  if (found === undefined) await createRegistry(images)
  else if (!found.State.Running) await startAgain(found)
  const address = await registryAddress()
  await waitFor(
    'the registry to answer',
    async () => {
      const response = await fetch(`http://${address}/v2/`)
      return response.ok ? ready(undefined) : pending(`HTTP ${response.status}`)
    },
    { timeoutMs: 30_000, everyMs: 50, signal },
  )
  return address
}

/** Without networks that somebody took away meanwhile, as `docker network prune` does: it would not start. Each cluster joins it to its own. */
async function startAgain({ NetworkSettings }: ContainerInfo): Promise<void> {
  const { stdout } = await docker(['network', 'ls', '--no-trunc', '--format', '{{.Name}} {{.ID}}'])
  const there = new Map(stdout.split('\n').map((line) => line.split(' ') as [name: string, id: string]))
  const isGone = (name: string, id: string) => !there.has(name) || (id !== '' && there.get(name) !== id) // one that it has not run in has no ID
  const gone = Object.entries(NetworkSettings.Networks).filter(([name, { NetworkID }]) => isGone(name, NetworkID))
  for (const [network] of gone) await docker(['network', 'disconnect', '--force', network, REGISTRY_CONTAINER])
  await docker(['start', REGISTRY_CONTAINER])
}

/** Joins the registry to a cluster's network, where it is found by its alias. @returns the address that it has there now. */
export async function joinNetwork(network: string): Promise<string> {
  if ((await addressIn(network)) === undefined) await docker(['network', 'connect', '--alias', REGISTRY_ALIAS, network, REGISTRY_CONTAINER])
  const address = await addressIn(network)
  if (address) return address
  throw new Failure({ what: `Cannot join the registry to ${network}`, why: 'it has no address there, as if it did not run' })
}

async function addressIn(network: string): Promise<string | undefined> {
  return (await inspect<ContainerInfo>('container', REGISTRY_CONTAINER))?.NetworkSettings.Networks[network]?.IPAddress
}

/** Stops it where it runs; its data stays. */
export async function stopRegistry(): Promise<void> {
  if ((await inspect<ContainerInfo>('container', REGISTRY_CONTAINER))?.State.Running === true) await docker(['stop', REGISTRY_CONTAINER])
}

/** Removes the registry unless a cluster still uses it. @returns what was removed. */
export async function removeRegistry({ withImages }: { withImages: boolean }): Promise<string[]> {
  if ((await listByLabel('container', CLUSTER_LABEL)).length > 0) return []
  const removed: string[] = []
  if ((await inspect('container', REGISTRY_CONTAINER)) !== undefined) {
    await docker(['rm', '--force', REGISTRY_CONTAINER])
    removed.push(`container ${REGISTRY_CONTAINER}`)
  }
  if (withImages && (await inspect('volume', IMAGE_VOLUME)) !== undefined) {
    await docker(['volume', 'rm', IMAGE_VOLUME])
    removed.push(`volume ${IMAGE_VOLUME} (the image store)`)
  }
  return removed
}

async function createRegistry(images: Images): Promise<void> {
  const { ref } = await images.local(registryImage)
  const port = await firstFreePort(FIRST_PORT)
  if ((await inspect('volume', IMAGE_VOLUME)) === undefined)
    await docker(['volume', 'create', '--label', `${ROLE_LABEL}=images`, IMAGE_VOLUME])
  await docker([
    ...['run', '--detach', '--name', REGISTRY_CONTAINER, '--label', `${ROLE_LABEL}=registry`, '--restart', 'unless-stopped'],
    ...['--publish', `127.0.0.1:${port}:5000`, '--volume', `${IMAGE_VOLUME}:/var/lib/registry`],
    ...['--read-only', '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges'],
    ...['--env', 'OTEL_TRACES_EXPORTER=none', '--env', 'REGISTRY_STORAGE_DELETE_ENABLED=true'],
    ref,
  ])
}

/** Where the registry of this machine answers; undefined where none runs. */
export async function runningRegistry(): Promise<string | undefined> {
  return (await registryPort())?.isRunning === true ? registryAddress() : undefined
}

/** Host and port on this machine. @throws Failure where there is no registry */
export async function registryAddress(): Promise<string> {
  const found = await registryPort()
  if (found !== undefined) return `127.0.0.1:${found.port}`
  const why = `there is no container ${REGISTRY_CONTAINER} that publishes a port`
  throw new Failure({ what: 'Cannot reach the image store', why, next: 'Run npm run local:up, which makes it anew' })
}

/** The port on this machine that it was given when it was made, and whether it holds it now; undefined where there is no registry. */
export async function registryPort(): Promise<{ readonly port: number; readonly isRunning: boolean } | undefined> {
  const info = await inspect<ContainerInfo>('container', REGISTRY_CONTAINER)
  const port = info?.HostConfig.PortBindings?.['5000/tcp']?.[0]?.HostPort
  return info === undefined || port === undefined ? undefined : { port: Number(port), isRunning: info.State.Running }
}
