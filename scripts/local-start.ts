/** `npm run local:start`: goes on with a cluster that was stopped. */

import { explainFailure, machineChecks, untilRunsAgain } from '#core'
import { type ClusterFlags, type TimingsFlags, withName, withTimings } from '#kit/flags'
import { Images } from '#kit/images'
import { main } from '#kit/main'
import { formatMs, timingsJson } from '#kit/progress'
import { stack } from '../holdfast.config.ts'

await main<ClusterFlags & TimingsFlags>({
  name: 'local:start',
  summary: 'Starts a cluster that was stopped, as it was, and waits until everything is Synced and Healthy.',
  example: 'npm run local:start',
  declare: (command) => withTimings(withName(command)),
  explain: (message, flags) => explainFailure(machineChecks(stack, flags), message),
  async run({ flags: { name, timings }, progress, signal }) {
    const started = performance.now()
    await using _lock = await stack.clusters.local.lock(name, 'local:start')
    const cluster = await stack.clusters.local.start({ name, images: new Images({ progress, signal }), progress, signal })
    await untilRunsAgain(stack, cluster, { progress, signal })
    const elapsedMs = performance.now() - started
    progress.say(`Everything is Synced and Healthy after ${formatMs(elapsedMs)}`)
    if (timings === 'json') process.stdout.write(timingsJson(progress, elapsedMs))
    return 0
  },
})
