/** The image of a commit in registries elsewhere, with all that is attached to it: by its digest, under the commit's own name. */
import { copyAttached, copyImage } from '#kit/copy'
import { passageTo, readDockerConfig } from '#kit/docker-login'
import { UserError } from '#kit/errors'
import { digestOf } from '#kit/images'
import type { ImageRef, Repository } from '#kit/registry'
import { openRegistryRelay } from '#kit/registry-relay'
import { lacks, type PredicateName, readAttestations } from './attestation.ts'
import { shortDigest } from './history.ts'
import { materialsIn } from './provenance.ts'
import type { Digest, Run, SourceHead, Stack } from './types.ts'

/** A repository elsewhere, and what a commit's image is called in it. */
export interface Destination {
  readonly host: string
  readonly name: string
  readonly tags: readonly string[]
}

/** All that an image must have attached before it leaves this machine. */
const PUBLISHED_WITH: readonly PredicateName[] = ['provenance', 'sbom', 'test-result']
const LATEST = 'latest'

/** Whom to believe, and the history that says which of two commits is the later one. */
type Publishing = Pick<Stack, 'signing' | 'source'>

/**
 * `ghcr` and `ecr` on GitHub, else a repository as `registry.example.com/team/service`. Tags of ECR never move, so only there is no
 * `latest`.
 * @throws UserError where it names no place, or the tree is not exactly a commit
 */
export async function findDestination(to: string, image: string, head: SourceHead | undefined): Promise<Destination> {
  const what = `Cannot publish to '${to}'`
  if (head === undefined || !head.clean)
    throw new UserError({ what, why: 'the working tree is not exactly a commit', next: 'Commit what stands here' })
  const { host, name } = await addressOf(to, image)
  return { host, name, tags: isEcr(host) ? [head.sha] : [head.sha, LATEST] }
}

async function addressOf(to: string, image: string): Promise<Pick<Destination, 'host' | 'name'>> {
  const what = `Cannot publish to '${to}'`
  const { GITHUB_REPOSITORY: repository, HOLDFAST_ECR_PREFIX: prefix = '' } = process.env
  if (to === 'ghcr') {
    if (repository === undefined) throw new UserError({ what, why: 'this is no run of GitHub', next: 'Name the whole repository' })
    return { host: 'ghcr.io', name: `${repository.toLowerCase()}/${image}` }
  }
  if (to === 'ecr') {
    const host = Object.keys((await readDockerConfig()).auths ?? {}).find(isEcr)
    if (host === undefined) throw new UserError({ what, why: 'nobody has logged in to ECR', next: 'Name the whole repository' })
    return { host, name: `${prefix}${image}` }
  }
  const [, host, name] = /^([\w.-]+(?:\.|:\d|localhost)[\w.:-]*)\/([a-z0-9._/-]+)$/.exec(to) ?? []
  if (host === undefined || name === undefined)
    throw new UserError({ what, why: 'it is no repository', next: 'Write ghcr, ecr, or a name such as registry.example.com/team/service' })
  return { host, name }
}

const isEcr = (host: string) => /^\d+\.dkr\.ecr\.[\w-]+\.amazonaws\.com(\.cn)?$/.test(host)

/** A place as a registry on this machine. */
export async function openDestination({ host, name }: Destination): Promise<Repository> {
  return { registry: await openRegistryRelay(await passageTo(host)), name }
}

/**
 * The digest that a commit was published as, if all that must be attached to it is there and believed: whoever publishes it again changes
 * nothing, also where a build would give other bytes.
 */
export async function publishedDigest(
  { signing }: Pick<Stack, 'signing'>,
  repository: Repository,
  tag: string,
): Promise<Digest | undefined> {
  const digest = await digestOf(repository.registry, repository.name, tag)
  if (digest === undefined) return undefined
  const attestations = await readAttestations({ image: { ...repository, digest }, signing })
  return PUBLISHED_WITH.some((each) => lacks(attestations, each) !== undefined) ? undefined : digest
}

/**
 * Copies an image with all that is attached to it. The tags come last: who finds one finds all of it.
 * @throws UserError where something is not attached that must be
 */
export async function publish(
  stack: Publishing,
  image: ImageRef & { readonly digest: Digest },
  { place, to, progress, signal }: Run & { readonly place: Destination; readonly to: Repository },
): Promise<void> {
  const attestations = await readAttestations({ image, signing: stack.signing })
  const what = `Cannot publish ${shortDigest(image.digest)}`
  for (const name of PUBLISHED_WITH) {
    const why = lacks(attestations, name)
    if (why !== undefined) throw new UserError({ what, why, ...(name === 'test-result' ? { next: 'Run npm run prove' } : {}) })
  }
  await progress.step(`Copy ${shortDigest(image.digest)} to ${place.host}/${place.name}`, async (note) => {
    await copyImage(image, { to, reference: image.digest, signal })
    note(`${await copyAttached(image, { to, signal })} statements`)
    for (const reference of await dueTags(stack, place, to)) {
      if ((await digestOf(to.registry, to.name, reference)) !== image.digest) await copyImage(image, { to, reference, signal })
    }
  })
}

/** `latest` goes forward only: a rerun of an older commit leaves it where it is. */
async function dueTags({ signing, source }: Publishing, { tags }: Destination, to: Repository): Promise<readonly string[]> {
  const [sha = ''] = tags
  const digest = tags.includes(LATEST) ? await digestOf(to.registry, to.name, LATEST) : undefined
  if (digest === undefined) return tags
  const attestations = await readAttestations({ image: { ...to, digest }, signing })
  const materials = attestations.flatMap(({ believed }) => ('statement' in believed ? materialsIn(believed.statement) : []))
  const commits = materials.flatMap(({ digest: { gitCommit } }) => gitCommit ?? [])
  const isOlder = (await Promise.all(commits.map((commit) => source.precedes(sha, commit)))).includes(true)
  return isOlder ? tags.filter((tag) => tag !== LATEST) : tags
}
