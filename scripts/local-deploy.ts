/** `npm run local:deploy`: a change of the working tree, live. */

import {
  type Deploy,
  eachChange,
  explainFailure,
  liveAfter,
  machineChecks,
  openDeploy,
  openSync,
  refuseElsewhere,
  type SourceWatch,
} from '#core'
import { type DeployFlags, withDeploy } from '#kit/flags'
import { type Invocation, main } from '#kit/main'
import { formatMs, timingsJson } from '#kit/progress'
import { stack } from '../holdfast.config.ts'

await main<DeployFlags>({
  name: 'local:deploy',
  summary: 'Builds what changed, pushes it, commits to deploy, and waits until it runs; a version that does not is taken back.',
  example: 'npm run local:deploy -- --watch',
  declare: withDeploy,
  explain: (message, flags) => explainFailure(machineChecks(stack, flags), message),
  run,
})

async function run(invocation: Invocation<DeployFlags>): Promise<number> {
  const { flags, progress, signal } = invocation
  const { name, revert, timings, watch, sync } = flags
  const started = performance.now()
  await using _lock = await stack.clusters.local.lock(name, 'local:deploy')
  const [deploy, cluster] = await openDeploy(stack, { name, revert, progress, signal })
  if (sync) refuseElsewhere(cluster)
  using changes = watch || sync ? await stack.source.watch() : undefined // from before the first one reads the files
  const { revisions } = await deploy(progress)
  const elapsedMs = performance.now() - started
  progress.say(`source ${revisions.source.slice(0, 7)} and deploy ${revisions.deploy.slice(0, 7)} are live after ${formatMs(elapsedMs)}`)
  if (timings === 'json') process.stdout.write(timingsJson(progress, elapsedMs))
  if (changes === undefined) return 0
  await (sync ? syncCode : watchTree)(invocation, changes, deploy)
  return 0
}

async function watchTree({ flags, progress, signal }: Invocation<DeployFlags>, changes: SourceWatch, deploy: Deploy): Promise<void> {
  progress.say('Watching the working tree; Ctrl-C ends it')
  await eachChange(changes, { progress, signal }, async (change, inner) => {
    await deploy(inner)
    if (flags.timings === 'json') process.stdout.write(timingsJson(inner, performance.now() - change.sinceMs))
    return liveAfter(change)
  })
}

async function syncCode({ flags: { name }, progress, signal }: Invocation<DeployFlags>, changes: SourceWatch): Promise<void> {
  {
    await using sync = await openSync(stack, { name, progress, signal })
    progress.say('Watching the code of the service; Ctrl-C ends it. What runs now is not what an image would be')
    await eachChange(changes, { progress, signal: sync.signal }, async (change, inner) => {
      const isCode = await Promise.all(change.paths.map((path) => sync.isCode(path)))
      if (!isCode.includes(true)) return 'not the code of the service, so it waits for local:deploy'
      const pods = await inner.step('Send the code', () => sync.send())
      return `${liveAfter(change)}, in ${pods} pods, without an image`
    })
    if (!signal.aborted) sync.signal.throwIfAborted()
  }
  progress.say('dev runs its image again: npm run local:deploy makes one of the code as it stands now')
}
