/** A digest goes on to the next environment only on the evidence of the one before: made by `prove`, asked for by `promote`. */
import { readFile } from 'node:fs/promises'
import { UserError } from '#kit/errors'
import { digestOf } from '#kit/images'
import { type ImageRef, readBlob } from '#kit/registry'
import { attest, lacks, type PredicateName, readAttestations, repositoryAt } from './attestation.ts'
import { type Delivery, deliver, deliverAgain, type ReleasePart, releasePart } from './deliver.ts'
import { sourceRevisionIn } from './delivery.ts'
import { ENVIRONMENTS, type Environment, environmentBefore, parseEnvironment } from './environments.ts'
import { digestIn } from './gitops.ts'
import { shortDigest } from './history.ts'
import type { Result } from './render.ts'
import { needCluster, type OpenRun } from './run.ts'
import { missingProofs, openStatement, provenProof, type Statement, shownBy, statementOf } from './statement.ts'
import type { Digest, Stack } from './types.ts'

/** From one environment to the next. */
export interface Promotion {
  readonly from: Environment
  readonly to: Environment
}

/** Where the environment before runs, and what it is moved by. */
export type Origin = Pick<Delivery, 'cluster' | 'git'>

/** What `deploy` holds of an environment's evidence. */
export interface EvidencePointer {
  /** What it is about. */
  readonly subject: Digest
  /** SHA-256 of the signed bundle, which is attached to the image in the registry. */
  readonly statement: Digest
}

/** Where `deploy` points to the evidence of an environment. */
export const evidencePath = (environment: Environment) => `environments/${environment}/evidence.json`

/** Needs no stack. @throws UserError for an environment that is unknown, the first, or not the next one after `from`. */
export function parsePromotion(to: string, from?: string): Promotion {
  const target = parseEnvironment(to, 'Cannot promote')
  const what = `Cannot promote to '${target}'`
  const before = environmentBefore(target)
  if (before === undefined)
    throw new UserError({ what, why: 'it is the first environment, and follows the working tree', next: 'Run npm run local:deploy' })
  const start = from === undefined ? before : parseEnvironment(from, what)
  if (start === before) return { from: before, to: target }
  const order = ENVIRONMENTS.join(' → ')
  if (ENVIRONMENTS.indexOf(start) < ENVIRONMENTS.indexOf(target))
    throw new UserError({ what, why: `'${before}' lies between '${start}' and it: ${order}`, next: `Run npm run promote -- ${before}` })
  throw new UserError({
    what,
    why: `from '${start}' that is backwards: ${order}`,
    next: `To go back, run npm run rollback -- <sha> --env ${target}`,
  })
}

/**
 * The same cluster, where one holds every environment; in the cloud each has its own.
 * @throws UserError where this is another environment's cluster, or that of the environment before cannot be asked.
 */
export async function openOrigin(delivery: Delivery, { from, to }: Promotion): Promise<Origin> {
  const { cluster, stack, signal } = delivery
  if (cluster.environment === undefined) return delivery
  const what = `Cannot promote to '${to}'`
  const { eks } = stack.clusters
  if (cluster.environment !== to)
    throw new UserError({ what, why: `'${cluster.name}' is the cluster of ${cluster.environment}`, next: `Add --name ${eks.nameOf(to)}` })
  const name = eks.nameOf(from)
  const found = await needCluster(stack, { what, name })
  const [theirs, ours] = await Promise.all([stack.git(found, signal), delivery.git()])
  if (theirs.url === ours.url) return { cluster: found, git: async () => theirs }
  throw new UserError({
    what,
    why: `${from} is read from ${theirs.url}, and ${to} from ${ours.url}`,
    next: 'Bring both up with one --repo',
  })
}

/**
 * Moves the digest of the environment before, if it has the evidence, and with it the chart that it has there.
 * @returns the digest, and the commit of `deploy`; no commit where the environment has both already.
 * @throws UserError without the evidence, naming what is missing or wrong; Failure where the digest does not come to run.
 */
export async function promote(
  delivery: Delivery,
  promotion: Promotion,
  { revert, origin = delivery }: { readonly revert: boolean; readonly origin?: Origin },
): Promise<{ readonly digest: Digest; readonly sha?: string }> {
  const { from, to } = promotion
  const { part } = delivery
  const { files } = await (await origin.git()).readDeploy()
  const digest = digestIn(files, { part: part.name, environment: from })
  if (digest === undefined)
    throw new UserError({ what: `Cannot promote to '${to}'`, why: `${from} runs nothing`, next: `Run npm run promote -- ${from}` })
  const there = { part: part.name, environment: to }
  const { files: now } = origin === delivery ? { files } : await (await delivery.git()).readDeploy()
  const hasAll = async () => sourceRevisionIn(now, there) === (await keptRevision(origin, { part, files, from }))
  if (digestIn(now, there) === digest && (await hasAll())) {
    await deliverAgain(delivery, { environment: to, digest, revert })
    return { digest }
  }
  await checkEvidence(delivery.stack, promotion, { origin, digest, pointer: pointerIn(files, from) })
  if (origin.cluster !== delivery.cluster) await bring(delivery, origin, digest)
  const { sha } = await deliver(delivery, {
    environment: to,
    digest,
    sourceRevision: await keptRevision(origin, { part, files, from }),
    message: `Promote ${shortDigest(digest)} from ${from} to ${to}`,
    revert,
  })
  return { digest, sha }
}

/** The image itself, from the registry of one cluster to that of another. */
async function bring({ part, stack, cluster, progress, signal }: Delivery, origin: Origin, digest: Digest): Promise<void> {
  const image = { name: part.release.name, digest }
  await progress.step(`Copy ${shortDigest(digest)} to ${cluster.name}`, () =>
    stack.clusters.eks.copyImage(image, { from: origin.cluster, to: cluster, signal }),
  )
}

/** The first environment follows `source`, so what that names now is kept; another one names what was kept for it. */
async function keptRevision(
  { git }: Origin,
  { part, files, from }: { part: Pick<ReleasePart, 'name'>; files: ReadonlyMap<string, string>; from: Environment },
): Promise<string> {
  const remote = await git()
  const { source } = remote.refs
  const named = sourceRevisionIn(files, { part: part.name, environment: from }) ?? source
  return named === source ? remote.keepSource() : named
}

interface Claimed {
  readonly origin: Origin
  readonly digest: Digest
  readonly pointer: EvidencePointer | undefined
}

async function checkEvidence(stack: Stack, { from, to }: Promotion, { origin: { cluster }, digest, pointer }: Claimed): Promise<void> {
  const what = `Cannot promote ${shortDigest(digest)} to '${to}'`
  const required = stack.evidence[from]
  const isOwn = cluster.environment !== undefined
  const there = `--env ${from}${isOwn ? ` --name ${cluster.name}` : ''}`
  const prove = `Run npm run prove -- ${required.join(' ')} ${there}`
  const missing = (names: readonly string[]) =>
    new UserError({ what, why: `these proofs have not held for it in ${from}: ${names.join(', ')}`, next: prove })
  if (required.length === 0)
    throw new UserError({ what, why: `no proof is required in ${from}`, next: `Name some in 'evidence' of holdfast.config.ts` })
  if (pointer?.subject !== digest) throw missing(required)
  const image = repositoryAt(cluster, releasePart(stack).release.name)
  if ((await digestOf(image.registry, image.name, digest)) === undefined) {
    const next = isOwn ? `Run npm run cloud:up -- --env ${from}` : 'Run npm run local:deploy'
    throw new UserError({ what, why: 'the registry does not have it any more', next })
  }
  const presented = { content: await readBlob(image, pointer.statement), pointer, from }
  const statement = await trustedStatement(stack, presented, (why) => {
    return new UserError({ what, why: `its evidence is refused: ${why}`, next: prove })
  })
  const names = missingProofs(statement, required)
  if (names.length > 0) throw missing(names)
  await checkAttested(stack, { ...image, digest }, { to, there })
}

/** What brings a statement that is missing, or not believed. */
const MENDED_BY: Readonly<Record<PredicateName, (there: string) => string>> = {
  provenance: () => 'Run npm run local:deploy, which builds what nobody vouches for anew, and prove that',
  sbom: (there) => `Run npm run sbom -- ${there}`,
  'test-result': (there) => `Run npm run prove -- ${there}`,
}

interface Asked {
  readonly to: Environment
  /** Where it runs now, as flags of a command. */
  readonly there: string
}

async function checkAttested({ attested, signing }: Stack, image: ImageRef, { to, there }: Asked): Promise<void> {
  const attestations = attested[to].length === 0 ? [] : await readAttestations({ image, signing })
  for (const name of attested[to]) {
    const why = lacks(attestations, name)
    if (why === undefined) continue
    throw new UserError({ what: `Cannot promote ${shortDigest(image.digest)} to '${to}'`, why, next: MENDED_BY[name](there) })
  }
}

interface Presented {
  readonly content: string | undefined
  readonly pointer: EvidencePointer
  readonly from: Environment
}

async function trustedStatement(
  { signing }: Stack,
  { content, pointer, from }: Presented,
  refusal: (why: string) => UserError,
): Promise<Statement> {
  if (content === undefined) throw refusal(`the statement ${shortDigest(pointer.statement)} is not in the registry`)
  const opened = await openStatement(content, { pointer: pointer.statement, environment: from, digest: pointer.subject, signing })
  if ('refused' in opened) throw refusal(opened.refused)
  return opened.statement
}

function pointerIn(files: ReadonlyMap<string, string>, environment: Environment): EvidencePointer | undefined {
  try {
    return JSON.parse(files.get(evidencePath(environment)) ?? 'null') ?? undefined
  } catch {
    return undefined // no pointer is no evidence
  }
}

/**
 * Keeps what proofs showed, where all that the environment requires were run: the statement with the image, the pointer in `deploy`.
 * @returns one line for a person; undefined where not all were run.
 */
export async function keepEvidence(stack: Stack, run: OpenRun, results: readonly Result[]): Promise<string | undefined> {
  const { environment, cluster, git } = run.context
  const shown = shownBy(results, stack.evidence[environment])
  if (shown === undefined) return undefined
  if ('why' in shown) return `No evidence for a promotion from ${environment}: ${shown.why}`
  const { digest } = shown
  const { name } = releasePart(stack).release
  const remote = await git()
  const { sha: deploy = '' } = await remote.readDeploy()
  const proofs = await Promise.all(shown.results.map(async (result) => provenProof(result, await readFile(result.path, 'utf8'))))
  const made = statementOf({ environment, image: { name, digest }, proofs, deploy })
  const image = { ...repositoryAt(cluster, name), digest }
  const statement = await attest({ image, signing: stack.signing }, made, { 'dev.holdfast.environment': environment })
  const pointer = JSON.stringify({ subject: digest, statement }, null, 2)
  const message = `Evidence for ${shortDigest(digest)} in ${environment}`
  const { sha } = await remote.updateDeploy(message, (files) => void files.set(evidencePath(environment), `${pointer}\n`))
  return `Evidence for ${shortDigest(digest)} in ${environment}: statement ${shortDigest(statement)}, by commit ${sha.slice(0, 7)} of deploy`
}
