/** `npm run local:down`: removes what `local:up` made, and says what. */

import { type ClusterFlags, withName } from '#kit/flags'
import { main } from '#kit/main'
import { stack } from '../holdfast.config.ts'

await main<ClusterFlags & { readonly all?: boolean }>({
  name: 'local:down',
  summary: 'Removes the cluster with its containers, volumes, network and files; the image store stays unless --all.',
  example: 'npm run local:down -- --all',
  declare: (command) =>
    withName(command).option('--all', 'also snapshots, the image store, compiled programs, and the Docker Engine if local:up started it'),
  async run({ flags: { name, all = false }, progress, signal }) {
    await using _lock = await stack.clusters.local.lock(name, 'local:down')
    const removed = await stack.clusters.local.down({ name, all, progress, signal })
    if (removed.length === 0) progress.say(`There is no cluster '${name}': nothing to remove`)
    for (const line of removed) progress.say(`Removed ${line}`)
    return 0
  },
})
