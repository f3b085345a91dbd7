/**
 * A whole cluster in one file: its volumes, packed while it rests, and unpacked for a new one. An image of the container would not do: it
 * has no volumes. Root's files, whiteouts and attributes are the engine's to read, so tar runs in a container.
 */
import { existsSync } from 'node:fs'
import { rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import {
  type Cluster,
  debianBase,
  type ImageSpec,
  type RestoreRequest,
  type SnapshotInfo,
  type SnapshotRequest,
  type UpRequest,
} from '#core'
import { CLUSTER_LABEL, type ContainerInfo, createVolumes, docker, inspect, listByLabel } from '#kit/docker'
import { UserError } from '#kit/errors'
import { type Images, localRefs } from '#kit/images'
import { clusterDir } from '#kit/paths'
import { labelledConfig } from './config.ts'
import { formatGb } from './doctor/numbers.ts'
import { freeGb } from './doctor/resources.ts'
import { containerName } from './node-config.ts'
import { removeCluster } from './remove.ts'
import { pause } from './rest.ts'
import { ABOUT_FILE, type About, archiveOf, checkFits, draftFolder, findSnapshot } from './snapshot-file.ts'

const NODE_IMAGE = 'node image'
/** In the container. */
const [DRAFT, VOLUMES] = ['/snapshot', '/volumes']
const ARCHIVE = 'snapshot.tar'
/** Where the images are, in the volume of a node's data. */
const [AGENT, CONTAINERD] = ['agent', 'containerd']
/** As they are: numbers and not names, attributes of overlays too, and holes of databases stay holes. */
const AS_IT_IS = ['--numeric-owner', '--xattrs', '--xattrs-include=*', '--blocking-factor=2048']
/** Beside what is packed: the machine goes on. */
const SPARE_BYTES = 2e9

/** Stops the cluster, packs its volumes, and starts it again if it ran. Its node is not waited for. */
export async function takeSnapshot(request: SnapshotRequest): Promise<SnapshotInfo> {
  const { name, label, progress, images, signal, key, commit } = request
  const found = await inspect<ContainerInfo>('container', containerName(name))
  if (found === undefined)
    throw new UserError({ what: 'Cannot take a snapshot', why: `there is no cluster '${name}'`, next: 'Run npm run local:up' })
  const config = labelledConfig(found)
  const volumes = (await listByLabel('volume', `${CLUSTER_LABEL}=${name}`)).toSorted()
  const about: About = {
    ...{ label, cluster: name, takenAt: new Date().toISOString(), volumes, portsFrom: config.ports[0]?.host ?? 0 },
    ...{ key: { ...key, [NODE_IMAGE]: config.image }, ...(commit === undefined ? {} : { commit }) },
  }
  const packer = { cluster: name, images, signal }
  await using draft = await draftFolder(name, label)
  await using _rest = await progress.step(`Stop the cluster '${name}'`, () => pause(name))
  await progress.step('Pack its volumes', async () => {
    await checkRoom(draft.path, await sizeOf(packer, volumes))
    await pack(packer, about, draft.path)
    await rename(join(draft.path, ARCHIVE), archiveOf(name, label)) // one that is cut short never looks whole
  })
  const { bytes, ...rest } = await findSnapshot(name, label)
  return { label: rest.label, cluster: name, takenAt: rest.takenAt, key: rest.key, bytes }
}

/**
 * Puts the volumes of a snapshot in the place of the cluster's, and makes the cluster upon them.
 * @throws UserError where there is none, or it does not fit what would be installed now: before anything is made, and before anything goes
 */
export async function restoreSnapshot(request: RestoreRequest, { nodeImage, prepare, startRegistry, up }: Restoring): Promise<Cluster> {
  const { name, from, key, images, progress, signal } = request
  const about = await findSnapshot(name, from)
  const fits = (refs: readonly string[]) =>
    checkFits(about, { ...key, [NODE_IMAGE]: refs.find((ref) => ref === about.key[NODE_IMAGE]) ?? refs[0] ?? '' })
  fits(await localRefs(nodeImage))
  await prepare(request)
  fits([(await images.local(nodeImage)).ref])
  const kept = await volumesWithImages(about)
  void import('./node-container.ts') // is loaded while the engine works
  const removed = await progress.step('Remove what is there', async () => {
    await writeFile(markOf(name), from, { mode: 0o600 })
    return removeCluster(name, kept)
  })
  if (removed.length > 0) progress.say(`The data of '${name}' is that of ${about.takenAt} now`)
  const unpacked = progress.step('Unpack the volumes', async () => {
    await createVolumes(name, about.volumes)
    await unpack({ cluster: name, images, signal }, about, kept)
  })
  await Promise.all([unpacked, startRegistry(request)]) // not before: it is a member of the network that was taken away
  await rm(markOf(name))
  return up({ name, images, progress, signal, portsFrom: about.portsFrom })
}

export interface Restoring {
  readonly nodeImage: ImageSpec
  /** Makes the machine ready. */
  readonly prepare: (request: UpRequest) => Promise<unknown>
  /** Where the node finds its images. */
  readonly startRegistry: (request: UpRequest) => Promise<unknown>
  readonly up: (request: UpRequest) => Promise<Cluster>
}

/**
 * Those of a cluster that is there, of the same node's image: the container images in them are nine tenths of what is packed. What else
 * containerd knows is of containers that have ended, as after a start of the machine.
 */
async function volumesWithImages({ cluster, key, volumes }: About): Promise<readonly string[]> {
  const node = await inspect<ContainerInfo>('container', containerName(cluster))
  if (node === undefined || labelledConfig(node).image !== key[NODE_IMAGE] || existsSync(markOf(cluster))) return []
  const there = await listByLabel('volume', `${CLUSTER_LABEL}=${cluster}`)
  return volumes.filter((volume) => volume.endsWith('-data') && there.includes(volume))
}

/** There from before volumes are taken away until those of the snapshot are whole. */
const markOf = (cluster: string) => join(clusterDir(cluster), 'restoring')

/** Volumes that are half unpacked are no cluster's: removes them. @returns whether there were any */
export async function removeHalfRestored(cluster: string): Promise<boolean> {
  if (!existsSync(markOf(cluster))) return false
  await removeCluster(cluster)
  await rm(markOf(cluster))
  return true
}

// ── tar ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

interface Packer {
  readonly cluster: string
  readonly images: Images
  readonly signal: AbortSignal
}

/** The archive is made before tar fills it, so that it is never anybody else's to read. */
async function pack(packer: Packer, about: About, draft: string): Promise<void> {
  for (const [file, content] of Object.entries({ [ABOUT_FILE]: JSON.stringify(about), [ARCHIVE]: '' }))
    await writeFile(join(draft, file), content, { mode: 0o600 })
  const members = [`--directory=${DRAFT}`, ABOUT_FILE, `--directory=${VOLUMES}`, ...about.volumes]
  const args = ['--create', `--file=${DRAFT}/${ARCHIVE}`, ...AS_IT_IS, '--sparse', '--warning=no-file-ignored', ...members]
  await inContainer(packer, ['tar', ...args], [`${draft}:${DRAFT}`, ...mounts(about.volumes, 'ro')])
}

/** @param kept volumes whose images stay as they are */
async function unpack(packer: Packer, { cluster, label, volumes }: About, kept: readonly string[]): Promise<void> {
  const archive = archiveOf(cluster, label)
  const clear = kept.flatMap((volume) => [allBut(`${VOLUMES}/${volume}`, AGENT), allBut(`${VOLUMES}/${volume}/${AGENT}`, CONTAINERD)])
  const args = [
    'tar',
    '--extract',
    `--file=${DRAFT}/${label}.tar`,
    ...AS_IT_IS,
    '--same-owner',
    '--preserve-permissions',
    ...kept.map((volume) => `--exclude=${volume}/${AGENT}/${CONTAINERD}`),
    `--directory=${VOLUMES}`,
    ...volumes,
  ]
  await inContainer(
    packer,
    ['sh', '-ec', [...clear, 'exec "$0" "$@"'].join('\n'), ...args],
    [`${dirname(archive)}:${DRAFT}:ro`, ...mounts(volumes, 'rw')],
  )
}

const allBut = (folder: string, name: string) => `find ${folder} -mindepth 1 -maxdepth 1 -not -name ${name} -exec rm -rf {} +`

async function sizeOf(packer: Packer, volumes: readonly string[]): Promise<number> {
  const { stdout } = await inContainer(packer, ['du', '--summarize', '--block-size=1', VOLUMES], mounts(volumes, 'ro'))
  return Number(stdout.split(/\s/)[0])
}

const mounts = (volumes: readonly string[], mode: 'ro' | 'rw') => volumes.map((volume) => `${volume}:${VOLUMES}/${volume}:${mode}`)

async function checkRoom(folder: string, bytes: number): Promise<void> {
  const [neededGb, free] = [(bytes + SPARE_BYTES) / 1e9, await freeGb(folder)]
  if (free >= neededGb) return
  const why = `only ${formatGb(free)} of disk are free and ${formatGb(neededGb)} are needed`
  throw new UserError({ what: 'Cannot take a snapshot', why, next: 'Free some space, or remove one with --remove' })
}

/** What is interrupted ends with its container; one that a killed command left goes with its cluster. */
async function inContainer({ cluster, images, signal }: Packer, command: readonly string[], volumes: readonly string[]) {
  const { ref } = await images.local(debianBase)
  const name = `holdfast-volumes.${cluster}` // no cluster has a dot in its name
  await docker(['rm', '--force', name])
  const label = ['--label', `${CLUSTER_LABEL}=${cluster}`]
  // Overlays mark what an image's layer deleted by attributes that only this capability may see.
  const rights = ['--network', 'none', '--cap-add', 'SYS_ADMIN', '--security-opt', 'label=disable']
  const mounted = volumes.flatMap((volume) => ['--volume', volume])
  const [program = '', ...args] = command
  try {
    return await docker(['run', '--rm', '--name', name, ...label, ...rights, ...mounted, '--entrypoint', program, ref, ...args], { signal })
  } finally {
    await docker(['rm', '--force', name], { accept: [0, 1] })
  }
}
