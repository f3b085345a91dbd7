/** A k3s cluster in containers, through testcontainers, that outlives the command which started it. */
import type { Cluster, ServiceName, StartRequest, UpRequest } from '#core'
import { type ContainerInfo, docker, inspect } from '#kit/docker'
import { UserError } from '#kit/errors'
import { writePrivate } from '#kit/files'
import { Kube } from '#kit/kube'
import { kubeconfigPath } from '#kit/paths'
import { agentContainers, ensureAgents } from './agents.ts'
import { differ, labelledConfig, portsOf } from './config.ts'
import { machinesOf } from './machines.ts'
import { imageOf, type NodeImages } from './node/image.ts'
import { canBePrivileged, containerName, type NodeConfig, type NodeFile, networkName } from './node-config.ts'
import { checkPortsFree, nodePortOf } from './ports.ts'
import { waitForNode } from './ready.ts'
import { registryHosting, registryService } from './registry/hosting.ts'
import { joinNetwork, registryAddress } from './registry/registry.ts'
import { createServer, removeServer } from './server.ts'
import { removeHalfRestored } from './snapshots.ts'

/** What all clusters on this machine have in common. */
export interface ClusterSettings {
  /** Extra arguments of the server: `--kube-controller-manager-arg=…`. */
  readonly serverArgs: readonly string[]
  readonly nodeImages: NodeImages
  /** What is laid into the server's container when it is made. */
  readonly files: readonly NodeFile[]
  /** Hosts of registries that nodes ask through ours, beside upstream's. */
  readonly mirrors: readonly string[]
}

export interface ClusterOptions extends UpRequest, ClusterSettings {}

const START_TIMEOUT_MS = 120_000

/** Starts the cluster, or continues with the one that is there; changed settings are named and applied to the same data. */
export async function ensureCluster(options: ClusterOptions): Promise<Cluster> {
  if (await removeHalfRestored(options.name)) options.progress.say('A restore was cut short: its volumes are gone, and it begins anew')
  const found = await inspect<ContainerInfo>('container', containerName(options.name))
  const wanted = await nodeConfig(options, found)
  if (found === undefined || found.State.Status === 'created') await createServer(options, wanted)
  else await continueNode(options, { wanted, found })
  return whenUp(options, wanted)
}

/** Starts the one that is there, as it was made. @throws UserError where there is none, or its creation was cut short. */
export async function startCluster(options: StartRequest & ClusterSettings): Promise<Cluster> {
  const { name } = options
  const found = await inspect<ContainerInfo>('container', containerName(name))
  if (found === undefined || found.State.Status === 'created')
    throw new UserError({ what: `Cannot start '${name}'`, why: 'there is no such cluster', next: 'Run npm run local:up' })
  const config = labelledConfig(found)
  if (!found.State.Running) await startNode(options, config)
  return whenUp(options, config)
}

/** With the server's container started: waits for it, and for the other nodes. */
async function whenUp(options: StartRequest & ClusterSettings & Pick<UpRequest, 'nodes'>, config: NodeConfig): Promise<Cluster> {
  const { name, nodes, mirrors, progress, signal } = options
  await writeKubeconfig(name, apiPort(config))
  const registry = await joinNetwork(networkName(name)) // it may be a new container
  const [kubeconfig, kube] = [kubeconfigPath(name), Kube.fromFile(kubeconfigPath(name))]
  const waiting = { timeoutMs: START_TIMEOUT_MS, signal }
  await progress.step('Wait for the API server', () => waitForNode(kube, containerName(name), waiting))
  for (const object of [registryHosting(await registryAddress()), ...registryService(registry)]) await kube.apply(object)
  await ensureAgents({ name, progress, signal, kube, kubeconfig, server: config, mirrors, ...(nodes === undefined ? {} : { nodes }) })
  return openCluster(name, config, options)
}

async function startNode({ name, progress }: Pick<StartRequest, 'name' | 'progress'>, { ports }: NodeConfig): Promise<void> {
  await checkPortsFree(ports) // somebody may have taken one meanwhile
  await progress.step('Start the stopped node', () => docker(['start', containerName(name)]))
}

/** The cluster that is there. @returns undefined where none runs. */
export async function findCluster(name: string, settings: ClusterSettings): Promise<Cluster | undefined> {
  const found = await inspect<ContainerInfo>('container', containerName(name))
  if (found === undefined || !found.State.Running) return undefined
  const config = labelledConfig(found)
  await writeKubeconfig(name, apiPort(config))
  return openCluster(name, config, settings)
}

async function nodeConfig(options: ClusterOptions, found: ContainerInfo | undefined): Promise<NodeConfig> {
  const { name, serverArgs, nodeImages, kubernetes, images } = options
  const { ref } = await images.local(imageOf(nodeImages, kubernetes))
  const ports = await portsOf(options, found)
  const own = containerName(name)
  // By its name other nodes find it, whatever address it has.
  const args = ['server', '--disable=traefik', `--node-name=${own}`, '--tls-san=127.0.0.1', `--tls-san=${own}`, ...serverArgs]
  const privileges = (await canBePrivileged()) ? 'privileged' : 'capabilities'
  return { image: ref, args, ports, privileges, registry: await registryAddress() }
}

const apiPort = (config: NodeConfig) => config.ports[0]?.host ?? 0

async function continueNode(options: ClusterOptions, { wanted, found }: { wanted: NodeConfig; found: ContainerInfo }): Promise<void> {
  const { name, progress } = options
  const differences = differ(labelledConfig(found), wanted)
  if (differences.length > 0) {
    const own = labelledConfig(found).ports.map(({ host }) => host)
    await checkPortsFree(wanted.ports.filter(({ host }) => !own.includes(host)))
    progress.say(`The cluster's settings changed, its data stays:\n${differences.map((each) => `  ${each}`).join('\n')}`)
    await progress.step('Stop the old node', () => removeServer(name))
    return createServer(options, wanted)
  }
  if (found.State.Running) return progress.say(`The cluster '${name}' is there`)
  await startNode(options, wanted)
}

async function writeKubeconfig(name: string, port: number): Promise<void> {
  const { stdout } = await docker(['exec', containerName(name), 'cat', '/etc/rancher/k3s/k3s.yaml'])
  const own = stdout
    .replace(/server: .*/, `server: https://127.0.0.1:${port}`)
    .replaceAll(/(name|cluster|user|current-context): default$/gm, `$1: holdfast-${name}`)
  await writePrivate(kubeconfigPath(name), own)
}

async function openCluster(name: string, { image, ports }: NodeConfig, settings: ClusterSettings): Promise<Cluster> {
  const address = (service: ServiceName) => {
    const mapping = ports.find(({ container }) => container === nodePortOf(service))
    return `http://127.0.0.1:${mapping?.host}`
  }
  const kube = Kube.fromFile(kubeconfigPath(name))
  return {
    name,
    kind: 'k3s',
    kubeconfig: kubeconfigPath(name),
    kube,
    registry: await registryAddress(),
    timing: 'local',
    can: {
      tuneControlPlane: true,
      restartNode: true,
      secondNode: (await agentContainers(name)).length > 0,
      networkPolicy: isRealK3s(image),
      apiServerProcess: !isRealK3s(image), // k3s has all of the control plane in one process
      ownSources: true,
    },
    machines: machinesOf(name, { ...settings, kube, kubeconfig: kubeconfigPath(name) }),
    brings: { metricsServer: isRealK3s(image) },
    address,
    fetch: (service, path, init) => fetch(`${address(service)}${path}`, init),
  }
}

/** The built node's bridge plugin enforces no NetworkPolicy; k3s brings a controller that does. */
const isRealK3s = (image: string) => image.includes('rancher/k3s')
