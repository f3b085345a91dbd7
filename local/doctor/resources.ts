/** Entries about room: processors, memory, disk. */
import { existsSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { availableParallelism, freemem, homedir } from 'node:os'
import { join } from 'node:path'
import { bad, fine, unknown, warn } from '#core'
import { cacheDir, root } from '#kit/paths'
import type { Entry } from './entry.ts'
import { NO_ENGINE } from './facts.ts'
import { formatGb } from './numbers.ts'

/** What everything that was measured was measured on. */
const MIN_PROCESSORS = 2
const MIN_MEMORY_GB = 3
/** Compiling Kubernetes and Argo CD fills Go's caches with about 8 GB, the images take 3 GB. */
const MIN_FREE_TO_BUILD_GB = 12
const MIN_FREE_GB = 3
/** For what a clone keeps: packages are there already, records and reports take some tens of MB. */
const MIN_FREE_OF_CLONE_GB = 1

export const cpu: Entry<{ readonly machine: number; readonly engine: number | undefined }> = {
  name: 'cpu',
  minimum: `${MIN_PROCESSORS} processors`,
  why: 'With fewer, everything comes up late, and proofs whose bounds were measured on two may not hold',
  fix: 'Give the engine’s virtual machine, or this machine, more processors',
  read: async (facts) => ({ machine: availableParallelism(), engine: (await facts.info().catch(() => undefined))?.NCPU }),
  judge({ machine, engine }) {
    if (machine < MIN_PROCESSORS) return warn(`${machine}`)
    if (engine === undefined) return unknown(`${machine} here; ${NO_ENGINE}`)
    const found = engine === machine ? `${machine}` : `${engine} for the engine, ${machine} here`
    return engine < MIN_PROCESSORS ? warn(found) : fine(found)
  },
}

interface MemoryRaw {
  readonly availableGb: number
  /** Names of nodes of ours that run: they have what they need already. */
  readonly nodes: readonly string[]
}

export const memory: Entry<MemoryRaw> = {
  name: 'memory',
  minimum: `${MIN_MEMORY_GB} GB free, or a node that runs`,
  why: 'The platform takes 2 GB at rest and more under load; where none is left, the kernel ends pods and compilers',
  fix: 'Close something and run this again',
  symptoms: /out of memory|OOMKilled|cannot allocate memory|signal: killed|exit code 137/i,
  async read(facts) {
    // Elsewhere it leaves out what the system would give up, and the engine has memory of its own.
    if (facts.platform !== 'linux') throw new Error('only Linux says what can be had')
    return { availableGb: freemem() / 1e9, nodes: await facts.nodes() }
  },
  judge({ availableGb, nodes }) {
    const found = `${formatGb(availableGb)} free`
    if (availableGb >= MIN_MEMORY_GB) return fine(found)
    return nodes.length > 0 ? fine(`${found}, ${nodes.join(', ')} running`) : bad(found)
  },
}

export const engineMemory: Entry<number | undefined> = {
  name: 'engine-memory',
  minimum: `${MIN_MEMORY_GB} GB in all`,
  why: 'A virtual machine around the engine has its own limit, whatever this machine has',
  fix: 'Give the engine’s virtual machine more memory, in its settings',
  read: async (facts) => (await facts.info()).MemTotal,
  judge(bytes) {
    if (!bytes) return unknown('the engine does not say')
    const gb = bytes / 1e9
    return gb < MIN_MEMORY_GB ? bad(formatGb(gb)) : fine(formatGb(gb))
  },
}

interface Room {
  readonly path: string
  readonly gb: number
  readonly neededGb: number
}

export const disk: Entry<readonly Room[]> = {
  name: 'disk',
  minimum: `${MIN_FREE_TO_BUILD_GB} GB before the first build, then ${MIN_FREE_GB} GB`,
  why: 'Compiling fills Go’s caches with about 8 GB and images take 3 GB; a full disk breaks builds and databases in the middle',
  fix: 'Free some space and run this again',
  symptoms: /no space left on device|ENOSPC|disk quota exceeded/i,
  async read() {
    const isBuilt = existsSync(join(cacheDir, 'go')) // what was compiled
    const neededGb = isBuilt ? MIN_FREE_GB : MIN_FREE_TO_BUILD_GB
    const rooms = [homedir(), ...(isBuilt ? [cacheDir] : [])].map((path) => ({ path, neededGb }))
    const clone = { path: root, neededGb: MIN_FREE_OF_CLONE_GB }
    return Promise.all([...rooms, clone].map(async (room) => ({ ...room, gb: await freeGb(room.path) })))
  },
  judge(rooms) {
    const least = rooms.reduce((a, b) => (b.gb - b.neededGb < a.gb - a.neededGb ? b : a))
    const found = `${formatGb(least.gb)} free below ${least.path}`
    return least.gb < least.neededGb ? bad(`${found}, where ${least.neededGb} GB are needed`) : fine(found)
  },
}

export const engineDisk: Entry<{ readonly path: string; readonly gb: number }> = {
  name: 'engine-disk',
  minimum: `${MIN_FREE_GB} GB free`,
  why: 'The engine keeps images and volumes there; the node evicts nothing when it runs full, and databases break',
  fix: 'Free some space there: docker system df shows what takes it',
  async read(facts) {
    const { DockerRootDir: path } = await facts.info()
    if (path === undefined) throw new Error('the engine does not say where its data is')
    if (!(await facts.sharesKernel())) throw new Error('it is inside of the engine’s virtual machine')
    return { path, gb: await freeGb(path) }
  },
  judge: ({ path, gb }) => (gb < MIN_FREE_GB ? bad : fine)(`${formatGb(gb)} free below ${path}`),
}

/** What is free on the file system of a path, in GB. */
export async function freeGb(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path)
  return (bavail * bsize) / 1e9
}
