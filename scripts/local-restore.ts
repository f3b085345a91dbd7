/** `npm run local:restore`: the platform as it was when a snapshot was taken. */

import { snapshotKey, untilRunsAgain } from '#core'
import { type ClusterFlags, parseName, withName } from '#kit/flags'
import { Images } from '#kit/images'
import { main } from '#kit/main'
import { formatMs } from '#kit/progress'
import { stack } from '../holdfast.config.ts'

await main<ClusterFlags & { readonly from: string }>({
  name: 'local:restore',
  summary: 'Puts a snapshot in the place of the cluster, whether or not there is one, and waits until everything is Synced and Healthy.',
  example: 'npm run local:restore -- --from before-the-demo',
  declare: (command) => withName(command).option('--from <label>', 'which snapshot', parseName, 'latest'),
  async run({ flags: { name, from }, progress, signal }) {
    const started = performance.now()
    const { local } = stack.clusters
    await using _lock = await local.lock(name, 'local:restore')
    const images = new Images({ progress, signal })
    const cluster = await local.snapshots.restore({ name, from, key: await snapshotKey(stack), images, progress, signal })
    await untilRunsAgain(stack, cluster, { progress, signal })
    progress.say(`Everything is Synced and Healthy after ${formatMs(performance.now() - started)}`)
    return 0
  },
})
