/** `npm run local:snapshot`: the whole platform in one file. */

import { checkPackable, noCluster, renderSnapshots, snapshotKey, untilRunsAgain } from '#core'
import { UserError } from '#kit/errors'
import { type ClusterFlags, type JsonFlags, parseName, withJson, withName } from '#kit/flags'
import { Images } from '#kit/images'
import { type Invocation, main, print } from '#kit/main'
import { stack } from '../holdfast.config.ts'

interface Flags extends ClusterFlags, JsonFlags {
  readonly as: string
  readonly list?: boolean
  readonly remove?: string
}

const { local } = stack.clusters

await main<Flags>({
  name: 'local:snapshot',
  summary: 'Packs the cluster with all its data into one file, which local:restore brings back within a minute.',
  example: 'npm run local:snapshot -- --as before-the-demo',
  declare: (command) =>
    withJson(withName(command))
      .option('--as <label>', 'what it is called; one of the same name is replaced', parseName, 'latest')
      .option('--list', 'list those of the cluster')
      .option('--remove <label>', 'remove one', parseName),
  async run({ flags, progress, signal }) {
    const { name, list, remove } = flags
    if (list) return show(await local.snapshots.list(name), flags)
    await using _lock = await local.lock(name, 'local:snapshot')
    if (remove === undefined) return take({ flags, progress, signal })
    progress.say((await local.snapshots.remove(name, remove)) ? `Removed the snapshot '${remove}'` : `There is no snapshot '${remove}'`)
    return 0
  },
})

async function take({ flags, progress, signal }: Pick<Invocation<Flags>, 'flags' | 'progress' | 'signal'>): Promise<number> {
  const { name, as: label } = flags
  const cluster = await local.find(name)
  if (cluster === undefined) throw new UserError(noCluster(stack, { what: 'Cannot take a snapshot', name }))
  const request = { name, images: new Images({ progress, signal }), progress, signal }
  await checkPackable(stack, cluster, request)
  const [key, head] = await Promise.all([snapshotKey(stack), stack.source.head()])
  const taken = await local.snapshots.take({ ...request, label, key, ...(head === undefined ? {} : { commit: head.sha }) })
  await untilRunsAgain(stack, await local.start(request), { progress, signal })
  return show([taken], flags)
}

function show(all: Parameters<typeof renderSnapshots>[0], { json }: JsonFlags): 0 {
  return print(json ? JSON.stringify(all, null, 2) : renderSnapshots(all))
}
