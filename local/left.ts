/** What is there of a cluster, or of all that was made on this machine: what a removal must leave none of. */
import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { CLUSTER_LABEL, listByLabel, ROLE_LABEL } from '#kit/docker'
import { cacheDir, machineDir, ownDir } from '#kit/paths'
import { listPulled } from '#kit/pulled'
import { listTemporary } from '#kit/temporary'
import { engineRuns, ownEngine } from './engine.ts'
import { engineTraces } from './firewall.ts'
import { snapshotsDir } from './snapshot-file.ts'

const TYPES = ['container', 'volume', 'network', 'image'] as const

/** Of one cluster, a line for each: containers, volumes, networks, files, its lock; and what killed commands left in temporary folders. */
export async function listLeftOf(cluster: string): Promise<string[]> {
  const files = await readdir(join(ownDir(), cluster)).catch(() => [])
  const locks = (await readdir(machineDir).catch(() => [])).filter((name) => name.startsWith(`${cluster}.lock`))
  return [
    ...((await engineRuns()) ? await labelled(`${CLUSTER_LABEL}=${cluster}`) : []),
    ...files.map((name) => `file ${join(ownDir(), cluster, name)}`),
    ...locks.map((name) => `lock ${name}`),
    ...(await temporary()),
  ].toSorted()
}

/** Of everything: also the registry, images, folders; an engine of ours, or the rules and bridges that one left when it ended. */
export async function listAllLeft(): Promise<string[]> {
  const ofEngine = (await engineRuns()) ? [labelled(CLUSTER_LABEL), labelled(ROLE_LABEL), pulled(), engineOfOurs()] : [engineTraces()]
  const own = [snapshotsDir(), join(ownDir(), 'reports')]
  const folders = [...own, cacheDir, machineDir].filter((each) => existsSync(each))
  const found = (await Promise.all([...ofEngine, temporary()])).flat()
  return [...new Set([...found, ...folders.map((each) => `folder ${each}`)])].toSorted()
}

async function engineOfOurs(): Promise<string[]> {
  const pid = await ownEngine()
  return pid === undefined ? [] : [`process dockerd (pid ${pid})`]
}

const pulled = async () => (await listPulled()).map((ref) => `image ${ref}`)

async function labelled(label: string): Promise<string[]> {
  const found = await Promise.all(TYPES.map(async (type) => (await listByLabel(type, label)).map((name) => `${type} ${name}`)))
  return found.flat()
}

const temporary = async () => (await listTemporary()).map((path) => `folder ${path}`)
