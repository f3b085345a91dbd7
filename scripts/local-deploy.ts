/** `npm run local:deploy`: a change of the working tree, live. */

import { install, installOrRevert, noCluster, storeImages } from '#core'
import { UserError } from '#kit/errors'
import { type ClusterFlags, type RevertFlags, type TimingsFlags, withName, withRevert, withTimings } from '#kit/flags'
import { Images } from '#kit/images'
import { main } from '#kit/main'
import { formatMs, timingsJson } from '#kit/progress'
import { stack } from '../holdfast.config.ts'

await main<ClusterFlags & RevertFlags & TimingsFlags>({
  name: 'local:deploy',
  summary: 'Builds what changed, pushes it, commits to deploy, and waits until it runs; a version that does not is taken back.',
  example: 'npm run local:deploy',
  declare: (command) => withTimings(withRevert(withName(command))),
  async run({ flags: { name, revert, timings }, progress, signal }) {
    const started = performance.now()
    await using _lock = await stack.clusters.local.lock(name, 'local:deploy')
    const cluster = await stack.clusters.local.find(name)
    if (cluster === undefined) throw new UserError(noCluster(stack, { what: 'Cannot deploy', name }))
    const images = new Images({ progress, signal })
    const { registry } = await stack.clusters.local.prepare({ name, images, progress, signal })
    const stored = await storeImages(stack, { images, registry })
    const { revisions } = await (revert ? installOrRevert : install)(stack, { cluster, stored, progress, signal })
    const elapsedMs = performance.now() - started
    progress.say(`source ${revisions.source.slice(0, 7)} and deploy ${revisions.deploy.slice(0, 7)} are live after ${formatMs(elapsedMs)}`)
    if (timings === 'json') process.stdout.write(timingsJson(progress, elapsedMs))
    return 0
  },
})
