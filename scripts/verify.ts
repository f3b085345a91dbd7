/** `npm run verify`: what is attached to the image that an environment runs, and which of it is believed. */

import { FIRST_ENVIRONMENT, imageIn, lacks, parseEnvironment, readAttestations, renderAttestations, shortDigest } from '#core'
import { type ClusterFlags, type JsonFlags, withJson, withName } from '#kit/flags'
import { main } from '#kit/main'
import { stack } from '../holdfast.config.ts'

interface Flags extends ClusterFlags, JsonFlags {
  readonly env: string
}

await main<Flags>({
  name: 'verify',
  summary:
    'Shows what is attached to the image that an environment runs, and verifies each signature; exit 1 where required ones are missing.',
  example: 'npm run verify -- --env prod',
  declare: (command) => withJson(withName(command)).option('--env <environment>', 'whose image', FIRST_ENVIRONMENT),
  async run({ flags: { name, env, json }, progress, signal }) {
    const environment = parseEnvironment(env, 'Cannot verify')
    const image = await imageIn(stack, { name, environment }, { progress, signal })
    const attestations = await readAttestations({ image, signing: stack.signing })
    process.stdout.write(`${renderAttestations(attestations, json)}\n`)
    const missing = stack.attested[environment].flatMap((each) => lacks(attestations, each) ?? [])
    for (const why of missing) progress.say(`${shortDigest(image.digest)} does not belong in ${environment}: ${why}`)
    return missing.length === 0 ? 0 : 1
  },
})
