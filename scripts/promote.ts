/** `npm run promote`: the digest of the environment before, if its proofs have held for exactly that digest. */

import { openDelivery, openOrigin, parsePromotion, promote, shortDigest } from '#core'
import { type ClusterFlags, type RevertFlags, withName, withRevert } from '#kit/flags'
import { main } from '#kit/main'
import { stack } from '../holdfast.config.ts'

interface Flags extends ClusterFlags, RevertFlags {
  readonly from?: string
}

await main<Flags>({
  name: 'promote',
  summary: 'Moves the digest of the environment before, if the proofs that are required there have held for exactly that digest.',
  example: 'npm run promote -- staging',
  declare: (command) =>
    withRevert(withName(command))
      .argument('<environment>', 'where to: staging or prod')
      .option('--from <environment>', 'where from (default: the environment before)'),
  async run({ flags: { name, from, revert }, args: [to = ''], progress, signal }) {
    const promotion = parsePromotion(to, from)
    await using _lock = await stack.clusters.local.lock(name, 'promote')
    await using delivery = await openDelivery(stack, { name, what: `Cannot promote to '${to}'`, progress, signal })
    const origin = await openOrigin(delivery, promotion)
    const { digest, sha } = await promote(delivery, promotion, { revert, origin })
    const by = sha === undefined ? 'already' : `now, by commit ${sha.slice(0, 7)} of deploy`
    progress.say(`${promotion.to} runs ${shortDigest(digest)} ${by}`)
    return 0
  },
})
