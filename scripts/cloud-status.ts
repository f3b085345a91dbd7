/** `npm run cloud:status`: what there is of an environment; exit code 1 where there is nothing, or its time is over. */

import { type CloudPlaceFlags, withCloud } from '#kit/flags'
import { main } from '#kit/main'
import { cloud } from '../holdfast.config.ts'

await main<CloudPlaceFlags>({
  name: 'cloud:status',
  summary: 'Shows an environment’s age, its cost a month and so far, and when it expires.',
  example: 'npm run --silent cloud:status -- --env dev --json',
  declare: withCloud,
  async run({ flags, progress, signal }) {
    const what = `Cannot show ${flags.env}`
    await using place = await cloud.open(cloud.parse(flags, what), { make: 'never', what, progress, signal })
    const status = await cloud.status(place)
    process.stdout.write(`${flags.json ? JSON.stringify(status, null, 2) : cloud.renderStatus(status)}\n`)
    return status.state === 'ACTIVE' && !status.expired ? 0 : 1
  },
})
