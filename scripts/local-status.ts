/** `npm run local:status`: what runs; exit code 1 when there is nothing or something is not healthy. */

import { noCluster, readStatus, renderStatus } from '#core'
import { Failure } from '#kit/errors'
import { type ClusterFlags, type JsonFlags, withJson, withName } from '#kit/flags'
import { main } from '#kit/main'
import { stack } from '../holdfast.config.ts'

await main<ClusterFlags & JsonFlags>({
  name: 'local:status',
  summary: 'Shows nodes, Applications, pods, autoscalers, targets, alerts and addresses.',
  example: 'npm run --silent local:status -- --json',
  declare: (command) => withJson(withName(command)),
  async run({ flags: { name, json } }) {
    const cluster = await stack.clusters.local.find(name)
    if (cluster === undefined) throw new Failure(noCluster(stack, { what: 'Cannot show the status', name }))
    const status = await readStatus(stack, cluster)
    process.stdout.write(`${json ? JSON.stringify(status, null, 2) : renderStatus(status)}\n`)
    return status.healthy ? 0 : 1
  },
})
