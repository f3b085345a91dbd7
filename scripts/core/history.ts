/** What commits of `deploy` say of themselves, beside their files: where an image came from, and what was Healthy before. */

import { pathsOf } from './delivery.ts'
import { ENVIRONMENTS, type Environment } from './environments.ts'
import { digestIn, type ValuesOf } from './gitops.ts'
import type { DeployCommit, Digest, GitRemote, SourceHead } from './types.ts'

/** Trailers of a commit message. */
export interface DeployFacts {
  /** The commit of the user's repository that the images were built of. */
  readonly source?: SourceHead
  /** What was built of it. */
  readonly images?: readonly BuiltImage[]
  /** What each environment ran, Healthy, when the commit was made. */
  readonly healthy?: Readonly<Partial<Record<Environment, Digest>>>
}

export interface BuiltImage {
  readonly name: string
  readonly digest: Digest
}

/** A commit of `deploy` as one environment sees it. */
export interface Deployed {
  readonly sha: string
  /** First line of its message. */
  readonly title: string
  /** What the environment ran; undefined where nothing. */
  readonly digest: Digest | undefined
  /** Its values and its Application, those that were there. */
  readonly files: ReadonlyMap<string, string>
  readonly facts: DeployFacts
}

/** How far back anything looks: a commit of `deploy` is some kilobytes. */
export const HISTORY_LIMIT = 200
const WITH_CHANGES = ' with changes'

/** A commit message that carries these facts as trailers. */
export function withFacts(message: string, { source, images = [], healthy = {} }: DeployFacts): string {
  const lines = [
    ...(source === undefined ? [] : [`Source: ${source.sha}${source.clean ? '' : WITH_CHANGES}`]),
    ...images.map(({ name, digest }) => `Image: ${name}@${digest}`),
    ...ENVIRONMENTS.flatMap((environment) =>
      healthy[environment] === undefined ? [] : [`Healthy: ${environment} ${healthy[environment]}`],
    ),
  ]
  return lines.length === 0 ? message : `${message}\n\n${lines.join('\n')}`
}

/** The facts of a commit message; none of one that somebody else wrote. */
export function factsOf(message: string): DeployFacts {
  const source = /^Source: ([0-9a-f]{40})( with changes)?$/m.exec(message)
  const images = [...message.matchAll(/^Image: (\S+)@(sha256:[0-9a-f]{64})$/gm)]
  const healthy = [...message.matchAll(/^Healthy: (\w+) (sha256:[0-9a-f]{64})$/gm)].map(([, environment, digest]) => [environment, digest])
  return {
    ...(source?.[1] === undefined ? {} : { source: { sha: source[1], clean: source[2] === undefined } }),
    ...(images.length === 0 ? {} : { images: images.map(([, name = '', digest]) => ({ name, digest: digest as Digest })) }),
    ...(healthy.length === 0 ? {} : { healthy: Object.fromEntries(healthy) }),
  }
}

/** The last commits of `deploy`, newest first, as a part in an environment sees them. */
export async function readHistory(git: GitRemote, of: ValuesOf): Promise<Deployed[]> {
  const commits = await git.history({ paths: pathsOf(of), limit: HISTORY_LIMIT })
  return commits.map((commit) => deployedBy(commit, of))
}

function deployedBy({ sha, message, files }: DeployCommit, of: ValuesOf): Deployed {
  return { sha, title: message.split('\n')[0] ?? '', digest: digestIn(files, of), files, facts: factsOf(message) }
}

/** Where an environment can go back to: a digest, 'nothing' where it ran nothing before, or undefined where nobody knows. */
export type WayBack = Digest | 'nothing' | undefined

/** The last digest but `failing` that an environment ran and that was Healthy. */
export function lastHealthy(history: readonly Deployed[], environment: Environment, failing: Digest): WayBack {
  const seen = history.map(({ facts }) => facts.healthy?.[environment]).find((digest) => digest !== undefined && digest !== failing)
  if (seen !== undefined) return seen
  const before = history.find(({ digest }) => digest !== failing)
  return before !== undefined && before.digest === undefined ? 'nothing' : undefined
}

/** A digest as a person reads it. */
export function shortDigest(digest: string): string {
  return digest.slice(0, 'sha256:'.length + 12)
}
