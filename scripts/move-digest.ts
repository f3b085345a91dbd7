/** `npm run move-digest`: a pull request that moves an environment in the cloud to the image of this commit. */

import {
  FIRST_ENVIRONMENT,
  findDestination,
  moveDigestIn,
  openDestination,
  parseEnvironment,
  publishedDigest,
  releasePart,
  shortDigest,
  WORKLOAD_NAME,
} from '#core'
import { UserError } from '#kit/errors'
import { type Invocation, main } from '#kit/main'
import { ensurePullRequest } from '#kit/pull-request'
import { proposeDeploy, stack } from '../holdfast.config.ts'

interface Flags {
  readonly env: string
  readonly from: string
}

const WHAT = 'Cannot move a digest'

await main<Flags>({
  name: 'move-digest',
  summary: 'Opens a pull request that moves an environment to the image that was published of this commit, if its statements are believed.',
  example: 'npm run move-digest -- --env dev --from ghcr',
  declare: (command) =>
    command
      .option('--env <environment>', 'whose branch, deploy-<environment>', FIRST_ENVIRONMENT)
      .option('--from <repository>', 'where it was published: ghcr, ecr, or a whole name', 'ghcr'),
  run,
})

async function run({ flags: { env, from }, progress, signal }: Invocation<Flags>): Promise<number> {
  const environment = parseEnvironment(env, WHAT)
  const { GITHUB_TOKEN: token, GITHUB_REPOSITORY: repository, GITHUB_SERVER_URL: server, GITHUB_API_URL: api } = process.env
  if (token === undefined || repository === undefined || api === undefined)
    throw new UserError({
      what: WHAT,
      why: 'GITHUB_TOKEN, GITHUB_REPOSITORY and GITHUB_API_URL are not all set',
      next: 'It runs on GitHub',
    })
  const place = await findDestination(from, releasePart(stack).release.name, await stack.source.head())
  const [tag = ''] = place.tags
  const digest = await publishedDigest(stack, await openDestination(place), tag)
  if (digest === undefined)
    throw new UserError({
      what: WHAT,
      why: `${place.host}/${place.name}:${tag} is not there with signed statements`,
      next: `Run npm run image -- --to ${from}`,
    })
  const [base, branch] = [`deploy-${environment}`, `move/${environment}`]
  const title = `Move ${environment} to ${shortDigest(digest)}`
  const body = `${place.host}/${place.name}@${digest}\n\nof commit ${tag}. Its provenance, its SBOM and its test results are attached to it, and signed.`
  let isMoved = false
  const edit = (files: Map<string, string>) => {
    isMoved = moveDigestIn(files, { part: WORKLOAD_NAME, environment }, digest)
  }
  await proposeDeploy({ url: `${server}/${repository}`, token, base, branch, message: `${title}\n\n${body}`, edit, signal })
  if (isMoved) progress.say(await ensurePullRequest({ api, repository, token }, { branch, base, title, body }))
  else progress.say(`${base} says ${shortDigest(digest)} already: nothing is changed`)
  return 0
}
