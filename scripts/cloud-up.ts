/** `npm run cloud:up`: an environment on EKS, with the same stack as on this machine. */

import { install, nodesReady, upSummary } from '#core'
import { confirm } from '#kit/confirm'
import { type CloudPlaceFlags, type ImagesFlags, withCloudPlan, withImages } from '#kit/flags'
import { Images } from '#kit/images'
import { type Invocation, main } from '#kit/main'
import { formatMs } from '#kit/progress'
import { cloud, stack } from '../holdfast.config.ts'

interface Flags extends CloudPlaceFlags, ImagesFlags {
  readonly yes?: boolean
  readonly infrastructure?: boolean
}

await main<Flags>({
  name: 'cloud:up',
  summary:
    'Brings an environment up on EKS: the plan in brief, exactly that applied, the stack installed; run again, it goes on or repairs.',
  example: 'npm run cloud:up -- --env dev --repo https://github.com/you/platform.git',
  declare: (command) =>
    withImages(withCloudPlan(command))
      .option('--yes', 'apply the plan without a question')
      .option('--infrastructure', 'only what Terraform makes: the stack stays as it is'),
  async run({ flags, ...x }) {
    const started = performance.now()
    const what = `Cannot bring ${flags.env} up`
    const request = cloud.parse(flags, what)
    const name = cloud.nameOf(request.environment)
    await using _lock = await stack.clusters.local.lock(name, 'cloud:up')
    const allowUnlock = async (left: string) => {
      if (flags.yes) x.progress.say(left)
      else await confirm({ answer: name, text: `${left}. It is taken away`, what, flag: '--yes', signal: x.signal })
    }
    const purpose = flags.infrastructure ? 'infrastructure' : 'stack'
    await using up = await cloud.plan(stack, { request, what, purpose, allowUnlock, ...x })
    for (const line of up.lines()) x.progress.say(line)
    up.refuse()
    if (!(up.isEmpty || flags.yes))
      await confirm({ answer: name, text: 'This is made and costs that', what, flag: '--yes', signal: x.signal })
    await up.apply()
    const { nodes, summary } = flags.infrastructure ? { nodes: undefined, summary: '' } : await installStack(up, { flags, ...x }, started)
    const elapsedMs = performance.now() - started
    const ready = nodes === undefined ? '' : `${nodes.ready.length} of ${nodes.all} nodes are Ready: ${nodes.ready.join(', ')}; `
    if (flags.json)
      process.stdout.write(`${JSON.stringify({ cluster: name, nodes, elapsedMs, steps: x.progress.timings, plan: up.brief })}\n`)
    else process.stdout.write(`${summary}\n${ready}${name} is up after ${formatMs(elapsedMs)}\n`)
    return 0
  },
})

type Up = Awaited<ReturnType<typeof cloud.plan>>

async function installStack(up: Up, { flags, progress, signal }: Omit<Invocation<Flags>, 'args'>, started: number) {
  const cluster = await up.connect(cloud)
  const images = new Images({ progress, signal, ...(flags.images === undefined ? {} : { way: flags.images }) })
  const stored = await cloud.storeImages(stack, cluster, { images, progress, signal })
  const installed = await install(stack, { cluster, stored, progress, signal })
  const summary = upSummary(installed, { elapsedMs: performance.now() - started, timings: progress.timings })
  return { nodes: await nodesReady(cluster), summary }
}
