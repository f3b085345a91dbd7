/** Back to the image of an earlier commit: of the user's repository, or of `deploy`. */
import { symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { type Explanation, UserError } from '#kit/errors'
import { exec } from '#kit/exec'
import { sha256OfFile } from '#kit/hash'
import { digestOf, Images } from '#kit/images'
import { root } from '#kit/paths'
import { type Delivery, deliver } from './deliver.ts'
import type { Environment } from './environments.ts'
import { digestIn } from './gitops.ts'
import { type Deployed, HISTORY_LIMIT, readHistory, shortDigest } from './history.ts'
import type { Digest, SourceTree } from './types.ts'

/** What a person asked for, and the commits of their repository that it names. */
export interface AskedCommit {
  readonly text: string
  readonly environment: Environment
  readonly found: readonly string[]
}

export type NamedCommit = { readonly kind: 'source'; readonly sha: string } | { readonly kind: 'deploy'; readonly deployed: Deployed }

/** Fewer letters name nothing for sure. */
const COMMIT_ID = /^[0-9a-f]{4,40}$/

/** Needs no stack. @throws UserError for what is no commit's id, and where several commits of the repository begin so. */
export async function askForCommit(source: SourceTree, text: string, environment: Environment): Promise<AskedCommit> {
  const asked = { text, environment, found: [] }
  const id = text.toLowerCase()
  if (!COMMIT_ID.test(id))
    throw refusal(asked, {
      why: 'it is no id of a commit, which is 4 to 40 hexadecimal digits',
      next: 'git log --oneline shows the ids of yours',
    })
  const found = await source.find(id)
  if (found.length > 1) throw ambiguous(asked, found)
  return { ...asked, text: id, found }
}

/** @param history what the environment ran, newest first. @throws UserError for a commit that nobody knows, or of which there are several. */
export function nameCommit(asked: AskedCommit, history: readonly Deployed[]): NamedCommit {
  const deploys = history.filter(({ sha }) => sha.startsWith(asked.text))
  const all = [...asked.found, ...deploys.map(({ sha }) => sha)]
  if (all.length > 1) throw ambiguous(asked, all)
  const [deployed] = deploys
  if (deployed !== undefined) return { kind: 'deploy', deployed }
  const [sha] = asked.found
  if (sha !== undefined) return { kind: 'source', sha }
  throw refusal(asked, {
    why: `neither your repository nor the last ${HISTORY_LIMIT} commits of deploy have such a commit`,
    next: 'git log --oneline shows the ids of yours',
  })
}

/** What is known of a commit's image. */
export interface KnownImage {
  /** Digests and tags under which the registry may have it, the surest first. */
  readonly references: readonly string[]
  /** The commit of the user's repository that it can be built of again. */
  readonly builtOf?: string
}

/** @throws UserError where the environment ran nothing at a commit of `deploy`. */
export function knownImage(commit: NamedCommit, history: readonly Deployed[], asked: AskedCommit & { readonly image: string }): KnownImage {
  const built = history.flatMap(({ facts: { source, images = [] } }) =>
    source?.clean ? images.filter(({ name }) => name === asked.image).map(({ digest }) => ({ digest, sha: source.sha })) : [],
  )
  if (commit.kind === 'source') {
    const digest = built.find(({ sha }) => sha === commit.sha)?.digest
    return { references: [commit.sha, ...(digest === undefined ? [] : [digest])], builtOf: commit.sha }
  }
  const { digest } = commit.deployed
  if (digest === undefined)
    throw refusal(asked, { why: `${asked.environment} ran nothing at that commit of deploy`, next: 'Name another commit' })
  const builtOf = built.find((each) => each.digest === digest)?.sha
  return builtOf === undefined ? { references: [digest] } : { references: [digest, builtOf], builtOf }
}

export interface RolledBack {
  /** What runs now. */
  readonly digest: Digest
  /** The commit of `deploy` that says so. */
  readonly sha: string
}

/**
 * Pins the image of an earlier commit, built again where it is gone, and waits until it runs.
 * @throws UserError for a commit that is unknown, ambiguous, or current; Failure where its image does not come to run.
 */
export async function rollback(delivery: Delivery, asked: AskedCommit, { revert }: { readonly revert: boolean }): Promise<RolledBack> {
  const { environment } = asked
  const of = { part: delivery.part.name, environment }
  const git = await delivery.git()
  const [history, { files }] = await Promise.all([readHistory(git, of), git.readDeploy()])
  const current = digestIn(files, of)
  if (current === undefined) throw refusal(asked, { why: `${environment} runs nothing yet`, next: `Run npm run promote -- ${environment}` })
  const commit = nameCommit(asked, history)
  const known = knownImage(commit, history, { ...asked, image: delivery.part.release.name })
  const digest = await availableDigest(delivery, { asked, known, current })
  const id = (commit.kind === 'source' ? commit.sha : commit.deployed.sha).slice(0, 7)
  const label = commit.kind === 'source' ? id : `${id} of deploy`
  const { sha } = await deliver(delivery, { environment, digest, message: `Roll ${environment} back to ${label}`, revert })
  return { digest, sha }
}

interface Wanted {
  readonly asked: AskedCommit
  readonly known: KnownImage
  readonly current: Digest
}

/** The first that the registry has, or else built again. */
async function availableDigest(delivery: Delivery, { asked, known, current }: Wanted): Promise<Digest> {
  const { cluster, part } = delivery
  for (const reference of known.references) {
    const digest = await digestOf(cluster.registry, part.release.name, reference)
    if (digest !== undefined) return other(asked, digest, current)
  }
  if (known.builtOf === undefined)
    throw refusal(asked, {
      why: `its image ${shortDigest(known.references[0] ?? '')} is gone from the registry, and no commit of yours is known that it was built of`,
      next: 'Name a commit of your repository',
    })
  return other(asked, await rebuild(delivery, known.builtOf), current)
}

function other(asked: AskedCommit, digest: Digest, current: Digest): Digest {
  if (digest !== current) return digest
  throw refusal(asked, { why: `${asked.environment} runs its image ${shortDigest(digest)} already`, next: 'Name an earlier commit' })
}

/**
 * The image of a commit: its code, and the packages that its lock file names, in what the working tree has of the rest, Node and Debian
 * with their newest fixes. Nothing is built where the registry has an image of the same inputs.
 */
async function rebuild({ stack, part, cluster, progress, signal }: Delivery, sha: string): Promise<Digest> {
  progress.say(`The image of ${sha.slice(0, 7)} is not in the registry: building it from that commit`)
  await using files = await stack.source.checkout(sha)
  await layPackages(files.path, signal)
  const { digest } = await new Images({ progress, signal, codeFrom: files.path }).stored(part.release, cluster.registry, sha)
  return digest
}

/** Ours where the commit asks for the same, else installed beside it. */
async function layPackages(folder: string, signal: AbortSignal): Promise<void> {
  const [theirs, ours] = await Promise.all([folder, root].map((each) => sha256OfFile(join(each, 'package-lock.json'))))
  if (theirs === ours) return symlink(join(root, 'node_modules'), join(folder, 'node_modules'))
  await exec('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: folder, signal })
}

function ambiguous(asked: AskedCommit, all: readonly string[]): UserError {
  const shown = all.map((sha) => sha.slice(0, 12)).join(', ')
  return refusal(asked, { why: `${all.length} commits begin so: ${shown}`, next: 'Name more of its letters' })
}

function refusal({ text, environment }: AskedCommit, { why, next }: Omit<Explanation, 'what'>): UserError {
  return new UserError({ what: `Cannot roll ${environment} back to '${text}'`, why, ...(next === undefined ? {} : { next }) })
}
