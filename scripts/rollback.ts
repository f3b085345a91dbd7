/** `npm run rollback`: pins an earlier commit's image by a commit on `deploy`, and waits until it runs. */

import { askForCommit, FIRST_ENVIRONMENT, openDelivery, parseEnvironment, rollback, shortDigest } from '#core'
import { type ClusterFlags, type RevertFlags, withName, withRevert } from '#kit/flags'
import { main } from '#kit/main'
import { stack } from '../holdfast.config.ts'

interface Flags extends ClusterFlags, RevertFlags {
  readonly env: string
}

await main<Flags>({
  name: 'rollback',
  summary: 'Runs the image of an earlier commit again: of your repository, or of deploy. A missing image is built again from its commit.',
  example: 'npm run rollback -- 1a2b3c4 --env dev',
  declare: (command) =>
    withRevert(withName(command))
      .argument('<sha>', 'the commit, of your repository or of deploy')
      .option('--env <environment>', 'which environment', FIRST_ENVIRONMENT),
  async run({ flags: { name, env, revert }, args: [sha = ''], progress, signal }) {
    const environment = parseEnvironment(env, 'Cannot roll back')
    const asked = await askForCommit(stack.source, sha, environment)
    await using _lock = await stack.clusters.local.lock(name, 'rollback')
    await using delivery = await openDelivery(stack, { name, what: `Cannot roll ${environment} back`, progress, signal })
    const now = await rollback(delivery, asked, { revert })
    progress.say(`${environment} runs ${shortDigest(now.digest)} of ${sha}, by commit ${now.sha.slice(0, 7)} of deploy`)
    return 0
  },
})
