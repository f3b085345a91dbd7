/** The local cluster as a provider: machine, engine, registry, node. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Cluster, ClusterProvider, DownRequest, ImageSpec, Snapshots, StartRequest, UpRequest } from '#core'
import { hasProgram } from '#kit/debian'
import { CLUSTER_LABEL, type ContainerInfo, docker, inspect, listByLabel, ROLE_LABEL } from '#kit/docker'
import { Failure } from '#kit/errors'
import { cacheDir, machineDir, ownDir } from '#kit/paths'
import { removePulled } from '#kit/pulled'
import { checksOf, readyMachine } from './doctor/catalogue.ts'
import { mustAnswer, mustAnswerForRemoval, stopEngine } from './engine.ts'
import { type ClusterSettings, ensureCluster, findCluster, startCluster } from './k3s.ts'
import { listAllLeft, listLeftOf } from './left.ts'
import { takeLock } from './lock.ts'
import { imageOf, NODE_IMAGES, versionsOf } from './node/image.ts'
import { registryImage } from './registry/image.ts'
import { ensureRegistry, REGISTRY_CONTAINER, removeRegistry, stopRegistry } from './registry/registry.ts'
import { removeCluster, removeFiles } from './remove.ts'
import { pause, stop } from './rest.ts'
import { listSnapshots, removeSnapshot, snapshotsDir } from './snapshot-file.ts'
import { restoreSnapshot, takeSnapshot } from './snapshots.ts'
import { portsBeyondLoopback } from './sockets.ts'

export type LocalOptions = Pick<ClusterSettings, 'serverArgs'> & Partial<ClusterSettings>

/** Clusters on this machine. */
export function localClusters(options: LocalOptions): ClusterProvider {
  const settings: ClusterSettings = { nodeImages: NODE_IMAGES, files: [], mirrors: [], ...options }
  const { nodeImages } = settings
  return {
    kubernetes: versionsOf(nodeImages),
    checks: checksOf,
    lacking: (request, specs) => lacking(request, [imageOf(nodeImages, request.kubernetes), specs]),
    prepare: (request) => prepare(request, imageOf(nodeImages, request.kubernetes)),
    up: (request) => ensureCluster({ ...request, ...settings }),
    find: async (name) => ((await mustAnswer()) ? findCluster(name, settings) : undefined),
    exists: async (name) => (await mustAnswer()) && (await listByLabel('volume', `${CLUSTER_LABEL}=${name}`)).length > 0,
    down,
    pause,
    stop,
    start: (request) => start(request, settings),
    snapshots: snapshotsOf(settings),
    listLeft: (name) => (name === undefined ? listAllLeft() : listLeftOf(name)),
    portsBeyondLoopback,
    lock: takeLock,
  }
}

async function prepare(request: UpRequest, nodeImage: ImageSpec): Promise<{ registry: string }> {
  await readyMachine(request, request)
  // The node's image is the longest build of all: it begins while the registry's own is still made.
  const [registry] = await Promise.all([startRegistry(request), request.images.local(nodeImage)])
  return { registry }
}

async function lacking(request: UpRequest, [nodeImage, specs]: [ImageSpec, readonly ImageSpec[]]): Promise<readonly string[]> {
  const { images } = request
  if (!(await mustAnswer()) && !(await hasProgram('dockerd'))) return ['Docker Engine']
  await readyMachine(request, request)
  const found = await inspect<ContainerInfo>('container', REGISTRY_CONTAINER)
  const own = [...(await images.lacks(nodeImage)), ...(found === undefined ? await images.lacks(registryImage) : [])]
  if (own.length > 0) return own
  const registry = await startRegistry(request) // only it knows what is in the store
  const missing = (await Promise.all(specs.map((spec) => images.lacks(spec, registry)))).flat()
  if (missing.length > 0 && found?.State.Running !== true)
    await (found === undefined ? removeRegistry({ withImages: false }) : stopRegistry())
  return missing
}

/** Where images are made for a cluster elsewhere. @returns host and port of the registry on this machine. */
export async function imageStore(request: Pick<UpRequest, 'images' | 'progress' | 'signal'>): Promise<string> {
  await readyMachine(request)
  return startRegistry(request)
}

function startRegistry({ images, progress, signal }: Pick<UpRequest, 'images' | 'progress' | 'signal'>): Promise<string> {
  return progress.step('Start the registry', () => ensureRegistry(images, signal))
}

async function down({ name, all, progress }: DownRequest): Promise<string[]> {
  const removed: string[] = []
  const others: string[] = []
  if (await mustAnswerForRemoval(existsSync(join(ownDir(), name)), progress)) {
    removed.push(...(await progress.step(`Remove the cluster '${name}'`, () => removeCluster(name))))
    others.push(...(await listByLabel('container', CLUSTER_LABEL)))
    if (others.length === 0) removed.push(...(await removeRegistry({ withImages: all })), ...(all ? await removeImages() : []))
  }
  removed.push(...(await removeFiles(join(ownDir(), name))))
  if (!all) return checkGone(name, removed)
  removed.push(...(await removeFiles(join(snapshotsDir(), name))))
  if (others.length > 0) {
    progress.say(`Kept the image store, compiled programs and the engine: ${others.join(', ')} still use them`)
    return checkGone(name, removed)
  }
  removed.push(...(await removeFiles(cacheDir)), ...(await removeFiles(join(ownDir(), 'reports'))), ...(await removeFiles(snapshotsDir())))
  if (await stopEngine()) removed.push('the Docker Engine that local:up had started (stopped; its package stays)')
  return checkGone(undefined, removed)
}

/** Whoever removes holds the lock, and gives it back with its folder. @throws Failure naming what is there still */
async function checkGone(name: string | undefined, removed: string[]): Promise<string[]> {
  const isHeld = (line: string) => line.startsWith('lock ') || line === `folder ${machineDir}`
  const left = (await (name === undefined ? listAllLeft() : listLeftOf(name))).filter((line) => !isHeld(line))
  if (left.length === 0) return removed
  const what = name === undefined ? 'Cannot remove everything' : `Cannot remove the cluster '${name}'`
  throw new Failure({ what, why: `there is still ${left.join(', ')}`, next: 'Run this again' })
}

async function start(request: StartRequest, settings: ClusterSettings): Promise<Cluster> {
  await readyMachine(request, request)
  await startRegistry(request)
  return startCluster({ ...request, ...settings })
}

function snapshotsOf(settings: ClusterSettings): Snapshots {
  const nodeImage = imageOf(settings.nodeImages)
  const up = (request: UpRequest) => ensureCluster({ ...request, ...settings })
  return {
    list: listSnapshots,
    remove: removeSnapshot,
    take: takeSnapshot,
    restore: (request) => restoreSnapshot(request, { nodeImage, prepare: (own) => readyMachine(own, own), startRegistry, up }),
  }
}

async function removeImages(): Promise<string[]> {
  const built = await listByLabel('image', `${ROLE_LABEL}=image`)
  if (built.length > 0) await docker(['rmi', '--force', ...built])
  const removed = [...built, ...(await removePulled())]
  return removed.length === 0 ? [] : [`${removed.length} images of ours in the engine`]
}
