/** `npm run cloud:down`: takes an environment away, and proves that nothing of it is left. */

import { confirm } from '#kit/confirm'
import { UserError } from '#kit/errors'
import { type CloudPlaceFlags, withCloud } from '#kit/flags'
import { main } from '#kit/main'
import { cloud, stack } from '../holdfast.config.ts'

interface Flags extends CloudPlaceFlags {
  readonly confirm?: string
  readonly evenProd?: boolean
  readonly ifExpired?: boolean
}

await main<Flags>({
  name: 'cloud:down',
  summary: 'Empties the cluster, destroys the environment, sweeps what is left by its tags, and fails where anything stays.',
  example: 'npm run cloud:down -- --env dev --confirm dev',
  declare: (command) =>
    withCloud(command)
      .option('--confirm <environment>', 'the name of the environment, in place of the question')
      .option('--if-expired', 'only where its time is over')
      .option('--even-prod', 'needed for prod besides'),
  async run({ flags, progress, signal }) {
    const what = `Cannot take ${flags.env} down`
    const request = cloud.parse(flags, what)
    const { environment } = request
    if (environment === 'prod' && !flags.evenProd)
      throw new UserError({ what, why: 'it is prod', next: 'Add --even-prod, if that is what you want' })
    if (!flags.ifExpired) await confirmed(environment, { flags, what, signal })
    else if (!(await cloud.hasState(request))) return nothing(progress, `There is no state of ${environment}`)
    await using _lock = await stack.clusters.local.lock(cloud.nameOf(environment), 'cloud:down')
    await using place = await cloud.open(request, { make: 'never', what, progress, signal })
    if (flags.ifExpired) {
      const { expired, expiresAt = 'unknown' } = await cloud.status(place)
      if (!expired) return nothing(progress, `The time of ${environment} is not over: ${expiresAt}`)
      progress.say(`The time of ${environment} is over: ${expiresAt}`)
      await confirmed(environment, { flags, what, signal })
    }
    const down = await cloud.takeDown(place)
    process.stdout.write(`${flags.json ? JSON.stringify(down) : cloud.renderDown(down).join('\n')}\n`)
    cloud.mustBeGone(down, environment)
    return 0
  },
})

interface Asked {
  readonly flags: Flags
  readonly what: string
  readonly signal: AbortSignal
}

/** @throws UserError where it is not */
async function confirmed(environment: string, { flags, what, signal }: Asked): Promise<void> {
  const flag = `--confirm ${environment}`
  await confirm({ answer: environment, text: `All of ${environment} goes`, what, flag, given: flags.confirm, signal })
}

function nothing(progress: { say(text: string): void }, why: string): 0 {
  progress.say(`${why}. Nothing was changed`)
  return 0
}
