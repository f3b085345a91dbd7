/** `npm run local:restore`: the platform as it was when a snapshot was taken. */

import { explainFailure, machineChecks, snapshotKey, untilRunsAgain } from '#core'
import { type ClusterFlags, parseName, type TimingsFlags, withName, withTimings } from '#kit/flags'
import { Images } from '#kit/images'
import { main } from '#kit/main'
import { formatMs, timingsJson } from '#kit/progress'
import { stack } from '../holdfast.config.ts'

await main<ClusterFlags & TimingsFlags & { readonly from: string }>({
  name: 'local:restore',
  summary: 'Puts a snapshot in the place of the cluster, whether or not there is one, and waits until everything is Synced and Healthy.',
  example: 'npm run local:restore -- --from before-the-demo',
  declare: (command) => withTimings(withName(command)).option('--from <label>', 'which snapshot', parseName, 'latest'),
  explain: (message, flags) => explainFailure(machineChecks(stack, flags), message),
  async run({ flags: { name, from, timings }, progress, signal }) {
    const started = performance.now()
    const { local } = stack.clusters
    await using _lock = await local.lock(name, 'local:restore')
    const images = new Images({ progress, signal })
    const cluster = await local.snapshots.restore({ name, from, key: await snapshotKey(stack), images, progress, signal })
    await untilRunsAgain(stack, cluster, { progress, signal })
    const elapsedMs = performance.now() - started
    progress.say(`Everything is Synced and Healthy after ${formatMs(elapsedMs)}`)
    if (timings === 'json') process.stdout.write(timingsJson(progress, elapsedMs))
    return 0
  },
})
