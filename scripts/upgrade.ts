/** `npm run upgrade`: a part of the platform at another version, under load, with proofs before and after, and the way back. */

import { listUpgrades, noCluster, openRun, parseUpgrade, planUpgrade, renderPlan, renderUpgrade, upgrade, upgradeJson } from '#core'
import { UserError } from '#kit/errors'
import { type ClusterFlags, type ImagesFlags, type JsonFlags, withImages, withJson, withName } from '#kit/flags'
import { Images } from '#kit/images'
import { main } from '#kit/main'
import { stack } from '../holdfast.config.ts'

interface Flags extends ClusterFlags, ImagesFlags, JsonFlags {
  readonly part?: string
  readonly to?: string
  readonly list?: boolean
  readonly dryRun?: boolean
}

await main<Flags>({
  name: 'upgrade',
  summary: 'Moves a part of the platform to another version under load, with proofs before and after; goes back where one does not hold.',
  example: 'npm run upgrade -- --part argocd --to 3.5.7',
  declare: (command) =>
    withJson(withImages(withName(command)))
      .option('--part <name>', 'which part')
      .option('--to <version>', 'which version: a newer or an older one')
      .option('--list', 'list the parts that have several versions')
      .option('--dry-run', 'say what would be moved, and move nothing'),
  async run({ flags, progress, signal }) {
    const { name, json, images: way } = flags
    if (flags.list) return print(listUpgrades(stack, flags))
    const wanted = { ...parseUpgrade(stack, flags), images: new Images({ progress, signal, ...(way === undefined ? {} : { way }) }) }
    if (flags.dryRun) {
      const cluster = await stack.clusters.local.find(name)
      if (cluster === undefined) throw new UserError(noCluster(`Cannot upgrade '${wanted.part.name}'`, name))
      const plan = await planUpgrade(wanted, { cluster, git: await stack.git(cluster, signal), images: wanted.images })
      return print(json ? JSON.stringify(plan, null, 2) : renderPlan(plan))
    }
    await using _lock = await stack.clusters.local.lock(name, 'upgrade')
    await using run = await openRun(stack, { name, progress, signal })
    const report = await upgrade(run, stack, wanted)
    print(json ? upgradeJson(report) : renderUpgrade(report))
    return report.moved ? 0 : 1
  },
})

function print(text: string): undefined {
  process.stdout.write(`${text}\n`)
}
