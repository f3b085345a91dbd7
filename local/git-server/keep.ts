/** Commits that stay on the server when the branch that named them has moved on: Argo CD still runs what was promoted of them. */
import { Failure } from '#kit/errors'
import { fetchDeploy, TIP, temporaryBare } from './deploy.ts'
import { gitLine } from './git.ts'
import { pushRef, type Remote } from './remote.ts'

/** Enough of an id to tell commits apart, and short enough to be read. */
const TAG_LENGTH = 12

/** Tags the commit that `ref` names; one that is tagged already stays so. @returns its id. @throws Failure where there is no such ref. */
export async function keepCommit(
  remote: Remote,
  { ref, signal }: { readonly ref: string; readonly signal?: AbortSignal },
): Promise<string> {
  await using bare = await temporaryBare()
  if (!(await fetchDeploy(bare.gitDir, remote, { ref, depth: 1, signal })))
    throw new Failure({ what: 'Cannot keep a commit', why: `there is no '${ref}'`, next: 'Run npm run local:deploy' })
  const sha = await gitLine(['--git-dir', bare.gitDir, 'rev-parse', TIP])
  await pushRef(bare.gitDir, remote, { ref: `refs/tags/kept-${sha.slice(0, TAG_LENGTH)}`, sha, signal })
  return sha
}
