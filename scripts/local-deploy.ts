/** `npm run local:deploy`: a change of the working tree, live. */

import { eachChange, liveAfter, openDeploy } from '#core'
import { type DeployFlags, withDeploy } from '#kit/flags'
import { type Invocation, main } from '#kit/main'
import { formatMs, timingsJson } from '#kit/progress'
import { stack } from '../holdfast.config.ts'

await main<DeployFlags>({
  name: 'local:deploy',
  summary: 'Builds what changed, pushes it, commits to deploy, and waits until it runs; a version that does not is taken back.',
  example: 'npm run local:deploy -- --watch',
  declare: withDeploy,
  run,
})

async function run({ flags: { name, revert, timings, watch }, progress, signal }: Invocation<DeployFlags>): Promise<number> {
  const started = performance.now()
  await using _lock = await stack.clusters.local.lock(name, 'local:deploy')
  const [deploy] = await openDeploy(stack, { name, revert, progress, signal })
  using changes = watch ? await stack.source.watch() : undefined // from before the first one reads the files
  const { revisions } = await deploy(progress)
  const elapsedMs = performance.now() - started
  progress.say(`source ${revisions.source.slice(0, 7)} and deploy ${revisions.deploy.slice(0, 7)} are live after ${formatMs(elapsedMs)}`)
  if (timings === 'json') process.stdout.write(timingsJson(progress, elapsedMs))
  if (changes === undefined) return 0
  progress.say('Watching the working tree; Ctrl-C ends it')
  await eachChange(changes, { progress, signal }, async (change, inner) => {
    await deploy(inner)
    if (timings === 'json') process.stdout.write(timingsJson(inner, performance.now() - change.sinceMs))
    return liveAfter(change)
  })
  return 0
}
