/** The local cluster as a provider: machine, engine, registry, node. */
import { existsSync } from 'node:fs'
import { rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Cluster, ClusterProvider, DownRequest, ImageSpec, Run, StartRequest, UpRequest } from '#core'
import { CLUSTER_LABEL, docker, listByLabel, listRunning, ROLE_LABEL } from '#kit/docker'
import { cacheDir, ownDir } from '#kit/paths'
import { type ClusterSettings, ensureCluster, findCluster, startCluster } from './k3s.ts'
import { takeLock } from './lock.ts'
import { checkMachine, ensureEngine, failIfRemoteEngine, mustAnswer, stopEngine } from './machine.ts'
import { imageOf, NODE_IMAGES, versionsOf } from './node/image.ts'
import { ensureRegistry, removeRegistry, stopRegistry } from './registry/registry.ts'

export type LocalOptions = Pick<ClusterSettings, 'serverArgs'> & Partial<ClusterSettings>

/** Clusters on this machine. */
export function localClusters(options: LocalOptions): ClusterProvider {
  const settings: ClusterSettings = { nodeImages: NODE_IMAGES, files: [], mirrors: [], ...options }
  const { nodeImages } = settings
  return {
    kubernetes: versionsOf(nodeImages),
    prepare: (request) => prepare(request, imageOf(nodeImages, request.kubernetes)),
    up: (request) => ensureCluster({ ...request, ...settings }),
    find: async (name) => ((await mustAnswer()) ? findCluster(name, settings) : undefined),
    exists: async (name) => (await mustAnswer()) && (await listByLabel('volume', `${CLUSTER_LABEL}=${name}`)).length > 0,
    down,
    pause,
    stop,
    start: (request) => start(request, settings),
    lock: takeLock,
  }
}

async function prepare({ images, ...run }: UpRequest, nodeImage: ImageSpec): Promise<{ registry: string }> {
  await prepareMachine(run)
  // The node's image is the longest build of all: it begins while the registry's own is still made.
  const [registry] = await Promise.all([startRegistry({ images, ...run }), images.local(nodeImage)])
  return { registry }
}

/** Where images are made for a cluster elsewhere. @returns host and port of the registry on this machine. */
export async function imageStore(request: Pick<UpRequest, 'images' | 'progress' | 'signal'>): Promise<string> {
  await prepareMachine(request)
  return startRegistry(request)
}

async function prepareMachine({ progress, signal }: Run): Promise<void> {
  failIfRemoteEngine()
  await checkMachine(progress)
  await ensureEngine(progress, signal)
}

function startRegistry({ images, progress, signal }: Pick<UpRequest, 'images' | 'progress' | 'signal'>): Promise<string> {
  return progress.step('Start the registry', () => ensureRegistry(images, signal))
}

async function down({ name, all, progress }: DownRequest): Promise<string[]> {
  const removed: string[] = []
  const others: string[] = []
  if (await mustAnswer()) {
    removed.push(...(await progress.step(`Remove the cluster '${name}'`, () => removeCluster(name))))
    others.push(...(await listByLabel('container', CLUSTER_LABEL)))
    if (others.length === 0) removed.push(...(await removeRegistry({ withImages: all })), ...(all ? await removeImages() : []))
  }
  removed.push(...(await removeFiles(join(ownDir(), name))))
  if (!all) return removed
  if (others.length > 0) {
    progress.say(`Kept the image store, compiled programs and the engine: ${others.join(', ')} still use them`)
    return removed
  }
  removed.push(...(await removeFiles(cacheDir)), ...(await removeFiles(join(ownDir(), 'reports'))))
  if (await stopEngine()) removed.push('the Docker Engine that local:up had started (stopped; its package stays)')
  return removed
}

const STOP_S = '20'

/** @returns the containers that ran. */
async function stopContainers(name: string): Promise<readonly string[]> {
  const running = await listRunning(`${CLUSTER_LABEL}=${name}`)
  if (running.length > 0) await docker(['stop', '--time', STOP_S, ...running])
  return running
}

async function stop(name: string): Promise<boolean> {
  if (!(await mustAnswer())) return false
  const stopped = await stopContainers(name)
  if ((await listRunning(CLUSTER_LABEL)).length === 0) await stopRegistry()
  return stopped.length > 0
}

async function start(request: StartRequest, settings: ClusterSettings): Promise<Cluster> {
  await prepareMachine(request)
  await startRegistry(request)
  return startCluster({ ...request, ...settings })
}

async function pause(name: string): Promise<AsyncDisposable> {
  const running = await stopContainers(name)
  return {
    async [Symbol.asyncDispose]() {
      if (running.length > 0) await docker(['start', ...running])
    },
  }
}

async function removeCluster(name: string): Promise<string[]> {
  const label = `${CLUSTER_LABEL}=${name}`
  const containers = await listByLabel('container', label)
  if (containers.length > 0) await docker(['rm', '--force', '--volumes', ...containers])
  const volumes = await listByLabel('volume', label)
  if (volumes.length > 0) await docker(['volume', 'rm', ...volumes])
  const networks = await listByLabel('network', label)
  for (const network of networks) await removeNetwork(network)
  return [
    ...containers.map((each) => `container ${each}`),
    ...volumes.map((each) => `volume ${each}`),
    ...networks.map((each) => `network ${each}`),
  ]
}

/** The registry is a member of every cluster's network. */
async function removeNetwork(network: string): Promise<void> {
  const { stdout } = await docker(['network', 'inspect', '--format', '{{range .Containers}}{{.Name}} {{end}}', network])
  for (const member of stdout.split(/\s+/).filter(Boolean)) await docker(['network', 'disconnect', '--force', network, member])
  await docker(['network', 'rm', network])
}

async function removeImages(): Promise<string[]> {
  const images = await listByLabel('image', `${ROLE_LABEL}=image`)
  if (images.length === 0) return []
  await docker(['rmi', '--force', ...images])
  return [`${images.length} images of ours in the engine`]
}

async function removeFiles(folder: string): Promise<string[]> {
  if (!existsSync(folder)) return []
  await rm(folder, { recursive: true, force: true })
  await rmdir(ownDir()).catch(() => {}) // another cluster's files may be in it
  return [`folder ${folder}`]
}
