/** All entries about the machine below a local cluster, and those of them without which nothing is begun. */
import { type Check, type ClusterPlace, type ImageSpec, insist, type Run } from '#core'
import { imageOf, NODE_IMAGES } from '../node/image.ts'
import { containerName } from '../node-config.ts'
import { DEFAULT_CLUSTER } from '../ports.ts'
import { registryImage } from '../registry/image.ts'
import { clock, credentials, engine, engineAddress, engineVersion, snapDocker } from './engine.ts'
import { bind, type Entry } from './entry.ts'
import { createFacts } from './facts.ts'
import { engineFiles, projectFiles } from './files.ts'
import { cgroup, inotifyInstances, inotifyWatches, privileges } from './kernel.ts'
import { ca, ports, proxy, registry, subnets } from './network.ts'
import { cpu, disk, engineDisk, engineMemory, memory } from './resources.ts'
import { architecture, buildBase, git, go, kubectl, node, npm } from './tools.ts'

/** The engine last: it is only installed on a machine that has room for it. */
const BEFORE: readonly Entry[] = [engineAddress, memory, inotifyInstances, inotifyWatches, disk, projectFiles, engine]
/** What the engine must be; all of it is in two of its answers. */
const OF_ENGINE: readonly Entry[] = [engineVersion, snapDocker, architecture, engineMemory, engineDisk, engineFiles, cgroup, privileges]
/** What a cluster that does not run must find: better said now than after a quarter of an hour of building. */
const OF_NEW: readonly Entry[] = [ports, subnets]
const OTHERS: readonly Entry[] = [cpu, credentials, clock, proxy, ca, registry, go, buildBase, node, npm, git, kubectl]

/** In the order in which they are shown; where a failure has the marks of several, the first one explains it. */
export const ENTRIES: readonly Entry[] = [...BEFORE, ...OF_ENGINE, ...OF_NEW, ...OTHERS]

/** Below what a look gets as a whole, so that the reason is told by what did not answer. */
const ASK_MS = 4_000
/** A machine that is busy is no reason to refuse to begin. */
const PATIENT = { askMs: 10_000, limitMs: 12_000 }

/** The catalogue for this machine, and a cluster with these images. */
export function checksOf(place: ClusterPlace, images: readonly ImageSpec[]): readonly Check[] {
  const registries = registriesOf([...images, imageOf(NODE_IMAGES), registryImage])
  const facts = createFacts({ place, askMs: ASK_MS, registries })
  return ENTRIES.map((entry) => bind(entry, facts))
}

/** Where they, and what they are built upon, are pulled from. */
export function registriesOf(images: readonly ImageSpec[]): string[] {
  const hostsOf = ({ upstream, build }: ImageSpec): string[] => [
    ...(upstream === undefined ? [] : [upstream.ref.slice(0, upstream.ref.indexOf('/'))]),
    ...(build?.base === undefined ? [] : hostsOf(build.base)),
  ]
  return [...new Set(images.flatMap(hostsOf))].toSorted()
}

/**
 * Looks at what must hold before anything is begun, mends what it can and says so: an engine is started, limits are raised.
 * @param place of the cluster that will run here; none where only images are made
 * @throws UserError naming what is bad.
 */
export async function readyMachine({ progress, signal }: Run, place?: ClusterPlace): Promise<void> {
  const { askMs, limitMs } = PATIENT
  const facts = createFacts({ place: place ?? { name: DEFAULT_CLUSTER }, askMs })
  const hold = (entries: readonly Entry[]) =>
    insist(
      entries.map((entry) => bind(entry, facts)),
      { progress, signal, limitMs },
    )
  await hold(BEFORE)
  const isNew = place !== undefined && !(await facts.nodes()).includes(containerName(place.name))
  await hold(isNew ? [...OF_ENGINE, ...OF_NEW] : OF_ENGINE)
}
