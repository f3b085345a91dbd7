/** `npm run local:start`: goes on with a cluster that was stopped. */

import { untilRunsAgain } from '#core'
import { type ClusterFlags, withName } from '#kit/flags'
import { Images } from '#kit/images'
import { main } from '#kit/main'
import { formatMs } from '#kit/progress'
import { stack } from '../holdfast.config.ts'

await main<ClusterFlags>({
  name: 'local:start',
  summary: 'Starts a cluster that was stopped, as it was, and waits until everything is Synced and Healthy.',
  example: 'npm run local:start',
  declare: withName,
  async run({ flags: { name }, progress, signal }) {
    const started = performance.now()
    await using _lock = await stack.clusters.local.lock(name, 'local:start')
    const cluster = await stack.clusters.local.start({ name, images: new Images({ progress, signal }), progress, signal })
    await untilRunsAgain(stack, cluster, { progress, signal })
    progress.say(`Everything is Synced and Healthy after ${formatMs(performance.now() - started)}`)
    return 0
  },
})
