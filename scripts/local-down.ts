/** `npm run local:down`: removes what `local:up` made, and says what. */

import { type ClusterFlags, type TimingsFlags, withName, withTimings } from '#kit/flags'
import { main } from '#kit/main'
import { timingsJson } from '#kit/progress'
import { stack } from '../holdfast.config.ts'

await main<ClusterFlags & TimingsFlags & { readonly all?: boolean }>({
  name: 'local:down',
  summary: 'Removes the cluster with its containers, volumes, network and files; the image store stays unless --all.',
  example: 'npm run local:down -- --all',
  declare: (command) =>
    withTimings(withName(command)).option(
      '--all',
      'also snapshots, reports, the image store, compiled programs, and the Docker Engine if local:up started it. What stays: inotify ' +
        'limits that were raised, until the machine starts again; packages of apt; the caches of Go; the key that signs',
    ),
  async run({ flags: { name, all = false, timings }, progress }) {
    const started = performance.now()
    await using _lock = await stack.clusters.local.lock(name, 'local:down')
    const removed = await stack.clusters.local.down({ name, all, progress })
    if (removed.length === 0) progress.say(`There is no cluster '${name}': nothing to remove`)
    for (const line of removed) progress.say(`Removed ${line}`)
    if (timings === 'json') process.stdout.write(timingsJson(progress, performance.now() - started))
    return 0
  },
})
