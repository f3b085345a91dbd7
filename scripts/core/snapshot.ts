/** What a snapshot of the stack is good for, and the moment at which one may be taken. */
import { join } from 'node:path'
import { UserError } from '#kit/errors'
import { hashFiles } from '#kit/hash'
import { type Images, imageKey } from '#kit/images'
import { root } from '#kit/paths'
import { formatMs } from '#kit/progress'
import { stackOn } from './install.ts'
import { settleLeft, takeLease } from './journal.ts'
import type { SnapshotInfo, SnapshotKey } from './snapshot-types.ts'
import { readStatus } from './status.ts'
import type { Cluster, DeployTree, Run, Stack } from './types.ts'

const CHART = 'chart'
const HASH_LENGTH = 12

/**
 * What would be installed now, but for the service, which follows the working tree: a stack from a snapshot runs what it ran, and
 * `local:deploy` moves it on.
 */
export async function snapshotKey(stack: Stack): Promise<SnapshotKey> {
  const keys = await Promise.all(platformImages(stack).map(async (image) => [`image ${image.name}`, await imageKey(image)] as const))
  const chart = await hashFiles(join(root, CHART), ['.'], (path) => !path.endsWith('.ts'))
  return { Kubernetes: stack.clusters.local.kubernetes.pinned, chart: chart.slice(0, HASH_LENGTH), ...Object.fromEntries(keys) }
}

/**
 * What a killed run left is undone first.
 * @throws UserError where a run holds the cluster, not everything is Healthy, or what runs is not what the working tree would install
 */
export async function checkPackable(stack: Stack, cluster: Cluster, { images, progress, signal }: Run & { images: Images }): Promise<void> {
  await using _lease = await takeLease(cluster.kube)
  await settleLeft({ cluster, git: (own = signal) => stack.git(cluster, own) }, progress)
  const why = (await readStatus(stack, cluster)).healthy
    ? await missingIn(await (await stack.git(cluster, signal)).readDeploy(), stack, { images, registry: cluster.registry })
    : `not everything on '${cluster.name}' is Healthy`
  if (why === undefined) return
  throw new UserError({ what: 'Cannot take a snapshot', why, next: 'Run npm run local:up, and then this again' })
}

/** Its key is read from the working tree, and must be true of what runs. One that can only be pulled, and was not, is left out. */
async function missingIn(
  { files }: DeployTree,
  stack: Stack,
  { images, registry }: { readonly images: Images; readonly registry: string },
): Promise<string | undefined> {
  const rendered = [...files.values()].join('\n')
  for (const spec of platformImages(stack)) {
    const found = await images.found(spec, registry)
    const isThere = found === undefined ? spec.build === undefined : rendered.includes(found.digest)
    if (!isThere) return `the image ${spec.name} of the working tree is not the one that runs`
  }
  return undefined
}

const platformImages = (stack: Stack) => stackOn(stack, 'k3s').parts.flatMap((part) => part.images)

/** A line for each, newest first. */
export function renderSnapshots(all: readonly SnapshotInfo[], nowMs = Date.now()): string {
  if (all.length === 0) return 'There are no snapshots'
  return all.map((each) => `${each.label}: ${sizeOf(each)}, taken ${formatMs(nowMs - Date.parse(each.takenAt))} ago`).join('\n')
}

const sizeOf = ({ bytes }: SnapshotInfo) => `${(bytes / 1e9).toFixed(1)} GB`
