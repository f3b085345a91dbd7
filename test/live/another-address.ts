/** Another address for a node of ours, as happens when a machine restarts its containers in another order. */
import { CLUSTER_LABEL, type ContainerInfo, docker, inspect } from '#kit/docker'
import { networkName } from '../../local/node-config.ts'
import { REGISTRY_CONTAINER } from '../../local/registry/registry.ts'
import { assert } from '../suite.ts'

/** Of two nodes, the registry, and what was freed. */
const ADDRESSES_BEFORE = 5

export interface Addressed {
  readonly cluster: string
  /** The node's. */
  readonly container: string
}

/** Gives a node's address to another container while it is down, and starts it again; disposal takes the other one away. */
export async function giveAnotherAddress({ cluster, container }: Addressed): Promise<AsyncDisposable> {
  const network = networkName(cluster)
  const taken = await addressOf(container, network)
  await docker(['stop', '--time', '20', container])
  await using squatters = new AsyncDisposableStack()
  // The engine gives the first free address: the one that was freed, or one of those before it.
  for (let i = 0; i < ADDRESSES_BEFORE && (await holderOf(taken, network)) === undefined; i++) squatters.use(await squat(cluster, i))
  await docker(['start', container])
  assert.is.not(await addressOf(container, network), taken)
  return squatters.move()
}

async function addressOf(container: string, network: string): Promise<string> {
  const node = await inspect<ContainerInfo>('container', container)
  return node?.NetworkSettings.Networks[network]?.IPAddress ?? ''
}

async function holderOf(taken: string, network: string): Promise<string | undefined> {
  const { stdout } = await docker(['network', 'inspect', '--format', '{{range .Containers}}{{.IPv4Address}} {{end}}', network])
  return stdout.split(' ').find((each) => each.startsWith(`${taken}/`))
}

async function squat(cluster: string, number: number): Promise<AsyncDisposable> {
  const { Image } = (await inspect<ContainerInfo>('container', REGISTRY_CONTAINER)) ?? { Image: '' }
  const name = `holdfast-${cluster}-squatter-${number}`
  await docker(['rm', '--force', name])
  await docker(['run', '--detach', '--name', name, '--label', `${CLUSTER_LABEL}=${cluster}`, '--network', networkName(cluster), Image])
  return { [Symbol.asyncDispose]: async () => void (await docker(['rm', '--force', '--volumes', name])) }
}
