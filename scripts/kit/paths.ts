/** Where things are. What belongs to this clone is under `.holdfast/`; what the machine shares is in the user's cache. */
import { mkdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The project's root. */
export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))

/** Compiled programs and large folders for a while, shared by every clone on this machine; safe to delete. */
export const cacheDir = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'holdfast')

/** What is known about this machine (the engine we started, locks), shared by every clone. */
export const machineDir = join(process.env.XDG_STATE_HOME ?? join(homedir(), '.local', 'state'), 'holdfast')

/** What belongs to this clone. Git ignores it. A rehearsal has another one, so that it never meets an environment that is real. */
export const ownDir = () => process.env.HOLDFAST_DIR ?? join(root, '.holdfast')

/** What belongs to one cluster of this clone: kubeconfig, records. */
export function clusterDir(cluster: string): string {
  return ensureDir(join(ownDir(), cluster))
}

/** Of one cluster of this clone, beside the user's own. */
export const kubeconfigPath = (cluster: string) => join(clusterDir(cluster), 'kubeconfig')

/** Records and reports of runs: they outlive the clusters that they are about. */
export function reportsDir(): string {
  return ensureDir(join(ownDir(), 'reports'))
}

/** Makes a folder that only its owner can read, and returns its path. */
export function ensureDir(path: string): string {
  mkdirSync(path, { recursive: true, mode: 0o700 })
  return path
}
