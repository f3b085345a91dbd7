/** `npm run cloud:plan`: what `cloud:up` would do, and what it would cost. */

import { type CloudPlaceFlags, withCloudPlan } from '#kit/flags'
import { main } from '#kit/main'
import { cloud, stack } from '../holdfast.config.ts'

const CHANGES = 2

await main<CloudPlaceFlags & { readonly detailedExitcode?: boolean }>({
  name: 'cloud:plan',
  summary:
    'Shows what cloud:up would make, change, replace and destroy, and what a month costs. It makes nothing but a state’s bucket that is missing.',
  example: 'npm run --silent cloud:plan -- --env prod --json',
  declare: (command) => withCloudPlan(command).option('--detailed-exitcode', 'exit code 2 where anything would change: a look for drift'),
  async run({ flags, progress, signal }) {
    const what = `Cannot plan ${flags.env}`
    const request = cloud.parse(flags, what)
    await using _lock = await stack.clusters.local.lock(cloud.nameOf(request.environment), 'cloud:plan')
    await using up = await cloud.plan(stack, { request, what, purpose: 'look', progress, signal })
    process.stdout.write(`${flags.json ? JSON.stringify(up.brief, null, 2) : up.lines().join('\n')}\n`)
    up.refuse()
    return flags.detailedExitcode && !up.isEmpty ? CHANGES : 0
  },
})
