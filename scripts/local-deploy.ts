/** `npm run local:deploy`: a change of the working tree, live. */

import { install, installOrRevert, noCluster, storeImages } from '#core'
import { UserError } from '#kit/errors'
import { type ClusterFlags, type RevertFlags, withName, withRevert } from '#kit/flags'
import { Images } from '#kit/images'
import { main } from '#kit/main'
import { formatMs } from '#kit/progress'
import { stack } from '../holdfast.config.ts'

await main<ClusterFlags & RevertFlags>({
  name: 'local:deploy',
  summary: 'Builds what changed, pushes it, commits to deploy, and waits until it runs; a version that does not is taken back.',
  example: 'npm run local:deploy',
  declare: (command) => withRevert(withName(command)),
  async run({ flags: { name, revert }, progress, signal }) {
    const started = performance.now()
    await using _lock = await stack.clusters.local.lock(name, 'local:deploy')
    const cluster = await stack.clusters.local.find(name)
    if (cluster === undefined) throw new UserError(noCluster(stack, { what: 'Cannot deploy', name }))
    const images = new Images({ progress, signal })
    const { registry } = await stack.clusters.local.prepare({ name, images, progress, signal })
    const stored = await storeImages(stack, { images, registry })
    const { revisions } = await (revert ? installOrRevert : install)(stack, { cluster, stored, progress, signal })
    progress.say(
      `source ${revisions.source.slice(0, 7)} and deploy ${revisions.deploy.slice(0, 7)} are live after ${formatMs(performance.now() - started)}`,
    )
    return 0
  },
})
