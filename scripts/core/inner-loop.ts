/** The inner loop: the working tree made live, once or at every change of it. */
import { hasExitCode, UserError } from '#kit/errors'
import { Images } from '#kit/images'
import { formatMs, type Progress } from '#kit/progress'
import { installOrRevert } from './deliver.ts'
import { type Installed, install, storeImages } from './install.ts'
import { noCluster } from './run.ts'
import type { Cluster, Run, SourceChange, SourceWatch, Stack } from './types.ts'

/** Makes the working tree as it stands live. */
export type Deploy = (progress: Progress) => Promise<Installed>

export interface DeployRequest extends Run {
  /** Of the cluster. */
  readonly name: string
  /** Whether a version that does not come to run is taken back. */
  readonly revert: boolean
}

/** What all deploys share is looked at once: machine, engine, registry and cluster. @throws UserError where no such cluster runs */
export async function openDeploy(stack: Stack, { name, revert, progress, signal }: DeployRequest): Promise<[Deploy, Cluster]> {
  const { local } = stack.clusters
  const cluster = await local.find(name)
  if (cluster === undefined) throw new UserError(noCluster(stack, { what: 'Cannot deploy', name }))
  const { registry } = await local.prepare({ name, images: new Images({ progress, signal }), progress, signal })
  const deploy: Deploy = async (own) => {
    const stored = await storeImages(stack, { images: new Images({ progress: own, signal }), registry })
    return (revert ? installOrRevert : install)(stack, { cluster, stored, progress: own, signal })
  }
  return [deploy, cluster]
}

/** Makes a change live. @returns what is said of it. */
export type MakeLive = (change: SourceChange, progress: Progress) => Promise<string>

/**
 * One round for each change, one at a time: what changes meanwhile is one more. A round that fails is said, and the next change is waited
 * for. Ends when the signal aborts.
 */
export async function eachChange(watch: Pick<SourceWatch, 'next'>, { progress, signal }: Run, round: MakeLive): Promise<void> {
  while (true) {
    const change = await watch.next(signal)
    if (change === undefined) return
    const what = namesOf(change.paths)
    const line = async (inner: Progress) => `${what}: ${await round(change, inner)}`
    await progress.round(what, line).catch((thrown) => {
      if (signal.aborted || !hasExitCode(thrown)) throw thrown // a bug ends it
      progress.say(`✗ ${what}: ${thrown.message}`)
    })
  }
}

/** How long it took to be live, from the moment that the change was noticed. */
export const liveAfter = ({ sinceMs }: SourceChange) => `live after ${formatMs(performance.now() - sinceMs)}`

const SHOWN = 3

function namesOf(paths: readonly string[]): string {
  const others = paths.length - SHOWN
  return `${paths.slice(0, SHOWN).join(', ')}${others > 0 ? ` and ${others} more` : ''}`
}
