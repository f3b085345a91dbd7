/** `npm run upgrade`: a part of the platform, or Kubernetes below it, at another version: under load, with proofs before and after. */

import {
  KUBERNETES,
  kubernetesJson,
  listUpgrades,
  noCluster,
  openRun,
  parseUpgrade,
  planKubernetes,
  planUpgrade,
  renderKubernetes,
  renderKubernetesPlan,
  renderPlan,
  renderUpgrade,
  upgrade,
  upgradeJson,
  upgradeKubernetes,
} from '#core'
import { UserError } from '#kit/errors'
import { type ClusterFlags, type ImagesFlags, type JsonFlags, withImages, withJson, withName } from '#kit/flags'
import { Images } from '#kit/images'
import { type Invocation, main, print } from '#kit/main'
import { stack } from '../holdfast.config.ts'

interface Flags extends ClusterFlags, ImagesFlags, JsonFlags {
  readonly part?: string
  readonly to?: string
  readonly list?: boolean
  readonly dryRun?: boolean
}

await main<Flags>({
  name: 'upgrade',
  summary:
    'Moves a part of the platform to another version under load, between proofs; back where one does not hold. Kubernetes on a cluster of its own.',
  example: 'npm run upgrade -- --part argocd --to 3.5.7',
  declare: (command) =>
    withJson(withImages(withName(command)))
      .option('--part <name>', 'which part, or kubernetes')
      .option('--to <version>', 'which version: a newer or an older one')
      .option('--list', 'list what has several versions')
      .option('--dry-run', 'say what would be moved, and move nothing'),
  async run(invocation) {
    const { flags } = invocation
    if (flags.list) return print(listUpgrades(stack, flags))
    return flags.part === KUBERNETES ? moveKubernetes(invocation) : movePart(invocation)
  },
})

async function movePart({ flags, progress, signal }: Invocation<Flags>): Promise<number | undefined> {
  const { name, json } = flags
  const wanted = { ...parseUpgrade(stack, flags), images: imagesFor({ flags, progress, signal }) }
  if (flags.dryRun) {
    const cluster = await stack.clusters.local.find(name)
    if (cluster === undefined) throw new UserError(noCluster(stack, { what: `Cannot upgrade '${wanted.part.name}'`, name }))
    const plan = await planUpgrade(wanted, { cluster, git: await stack.git(cluster, signal), images: wanted.images })
    return print(json ? JSON.stringify(plan, null, 2) : renderPlan(plan))
  }
  await using _lock = await stack.clusters.local.lock(name, 'upgrade')
  await using run = await openRun(stack, { name, progress, signal })
  const report = await upgrade(run, stack, wanted)
  print(json ? upgradeJson(report) : renderUpgrade(report))
  return report.moved ? 0 : 1
}

async function moveKubernetes({ flags, progress, signal }: Invocation<Flags>): Promise<number | undefined> {
  const { json } = flags
  const plan = planKubernetes(stack, flags)
  if (flags.dryRun) return print(json ? JSON.stringify(plan, null, 2) : renderKubernetesPlan(plan))
  await using _lock = await stack.clusters.local.lock(plan.cluster, 'upgrade')
  const report = await upgradeKubernetes(stack, { plan, images: imagesFor({ flags, progress, signal }), progress, signal })
  print(json ? kubernetesJson(report) : renderKubernetes(report))
  return report.held ? 0 : 1
}

function imagesFor({ flags: { images: way }, progress, signal }: Omit<Invocation<Flags>, 'args'>): Images {
  return new Images({ progress, signal, ...(way === undefined ? {} : { way }) })
}
