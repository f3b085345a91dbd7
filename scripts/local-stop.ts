/** `npm run local:stop`: the cluster rests, with its data. */

import { type ClusterFlags, withName } from '#kit/flags'
import { main } from '#kit/main'
import { stack } from '../holdfast.config.ts'

await main<ClusterFlags>({
  name: 'local:stop',
  summary: 'Stops the cluster in order; its data stays, and local:start goes on with it.',
  example: 'npm run local:stop',
  declare: withName,
  async run({ flags: { name }, progress }) {
    await using _lock = await stack.clusters.local.lock(name, 'local:stop')
    const stopped = await progress.step(`Stop the cluster '${name}'`, () => stack.clusters.local.stop(name))
    progress.say(stopped ? 'Stopped; npm run local:start goes on with it' : `No cluster '${name}' runs: nothing to stop`)
    return 0
  },
})
