/** `npm run sbom`: what is inside the image that an environment runs, signed and attached to it. */

import { attachSbom, FIRST_ENVIRONMENT, imageIn, parseEnvironment, shortDigest } from '#core'
import { type ClusterFlags, withName } from '#kit/flags'
import { main } from '#kit/main'
import { stack } from '../holdfast.config.ts'

interface Flags extends ClusterFlags {
  readonly env: string
}

await main<Flags>({
  name: 'sbom',
  summary: 'Lists what is inside the image that an environment runs, signs the list and attaches it to the image.',
  example: 'npm run sbom -- --env staging',
  declare: (command) => withName(command).option('--env <environment>', 'whose image', FIRST_ENVIRONMENT),
  async run({ flags: { name, env }, progress, signal }) {
    const environment = parseEnvironment(env, 'Cannot list what is in an image')
    const run = { progress, signal }
    const { digest, packages } = await attachSbom(stack, await imageIn(stack, { name, environment }, run), run)
    const said = packages === undefined ? 'had its SBOM already' : `has an SBOM of ${packages} packages, signed`
    progress.say(`${shortDigest(digest)}, which ${environment} runs, ${said}`)
    return 0
  },
})
