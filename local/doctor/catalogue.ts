/** All entries about the machine below a local cluster, and those of them without which nothing is begun. */
import { type Check, insist, type Run } from '#core'
import { DEFAULT_CLUSTER } from '../ports.ts'
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
const OF_ENGINE: readonly Entry[] = [engineVersion, architecture, engineMemory, engineDisk, engineFiles, cgroup, privileges]
const OTHERS: readonly Entry[] = [
  cpu,
  snapDocker,
  credentials,
  clock,
  ports,
  subnets,
  proxy,
  ca,
  registry,
  go,
  buildBase,
  node,
  npm,
  git,
  kubectl,
]

/** In the order in which they are shown; where a failure has the marks of several, the first one explains it. */
export const ENTRIES: readonly Entry[] = [...BEFORE, ...OF_ENGINE, ...OTHERS]

/** Below what a look gets as a whole, so that the reason is told by what did not answer. */
const ASK_MS = 2_500
/** A machine that is busy is no reason to refuse to begin. */
const PATIENT = { askMs: 10_000, limitMs: 12_000 }

/** The catalogue for this machine. */
export function checksOf(cluster = DEFAULT_CLUSTER): readonly Check[] {
  const facts = createFacts({ cluster, askMs: ASK_MS })
  return ENTRIES.map((entry) => bind(entry, facts))
}

/**
 * Looks at what must hold before a cluster is begun, mends what it can and says so: an engine is started, limits are raised.
 * @throws UserError naming what is bad.
 */
export async function readyMachine(run: Run): Promise<void> {
  const { askMs, limitMs } = PATIENT
  const facts = createFacts({ cluster: DEFAULT_CLUSTER, askMs })
  for (const entries of [BEFORE, OF_ENGINE]) {
    const checks = entries.map((entry) => bind(entry, facts))
    await insist(checks, { ...run, limitMs })
  }
}
