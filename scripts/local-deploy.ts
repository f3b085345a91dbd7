/** `npm run local:deploy`: a change of the working tree, live. */

import { install, noCluster, storeImages } from '#core'
import { UserError } from '#kit/errors'
import { type ClusterFlags, withName } from '#kit/flags'
import { Images } from '#kit/images'
import { main } from '#kit/main'
import { formatMs } from '#kit/progress'
import { stack } from '../holdfast.config.ts'

await main<ClusterFlags>({
  name: 'local:deploy',
  summary: 'Builds what changed, pushes it, commits to deploy, and waits until it runs.',
  example: 'npm run local:deploy',
  declare: withName,
  async run({ flags: { name }, progress, signal }) {
    const started = performance.now()
    await using _lock = await stack.clusters.local.lock(name, 'local:deploy')
    const cluster = await stack.clusters.local.find(name)
    if (cluster === undefined) throw new UserError(noCluster('Cannot deploy', name))
    const images = new Images({ progress, signal })
    const { registry } = await stack.clusters.local.prepare({ name, images, progress, signal })
    const stored = await storeImages(stack, { images, registry })
    const { revisions } = await install(stack, { cluster, stored, progress, signal })
    progress.say(
      `source ${revisions.source.slice(0, 7)} and deploy ${revisions.deploy.slice(0, 7)} are live after ${formatMs(performance.now() - started)}`,
    )
    return 0
  },
})
