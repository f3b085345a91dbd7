/** A remote of the user's own, which Argo CD reads: their branch is read, and `deploy` is a branch beside it. */
import type { GitRemote, Refs } from '#core'
import { UserError } from '#kit/errors'
import { root } from '#kit/paths'
import { openBranches } from './branches.ts'
import { fetchDeploy, TIP, temporaryBare } from './deploy.ts'
import { gitLine } from './git.ts'
import type { Remote } from './remote.ts'
import { snapshotWorkingTree } from './snapshot.ts'

export interface UserRemoteOptions {
  /** As Argo CD sees it, and this machine too. Whatever the user's own Git has for it is used here; nothing ever prompts. */
  readonly url: string
  readonly refs: Refs
  readonly signal: AbortSignal
}

/** Needs no cluster. */
export function openUserRemote({ url, refs, signal }: UserRemoteOptions): GitRemote {
  const remote: Remote = { url }
  const pushSource = async (ref: string) => ({ sha: await pushedCommit(remote, { branch: refs.source, ref, signal }), changed: false })
  return openBranches(remote, { url, refs, pushSource, signal })
}

interface Branch {
  readonly branch: string
  readonly ref: string
  readonly signal: AbortSignal
}

/**
 * The commit of their branch, which must hold exactly what stands here: what runs is then what was looked at, whatever is not pushed.
 * @throws UserError where it does not.
 */
async function pushedCommit(remote: Remote, { branch, ref, signal }: Branch): Promise<string> {
  const what = `Cannot deploy from '${branch}'`
  await using bare = await temporaryBare()
  if (!(await fetchDeploy(bare.gitDir, remote, { ref, depth: 1, signal })))
    throw new UserError({ what, why: 'the remote has no such branch', next: 'Push it, or name another one with --branch' })
  const [sha = '', tree] = (await gitLine(['--git-dir', bare.gitDir, 'rev-parse', TIP, `${TIP}^{tree}`])).split('\n')
  await using here = await snapshotWorkingTree(root, { signal })
  if (here.tree === tree) return sha
  const why = `its commit ${sha.slice(0, 7)} in the remote holds other files than the working tree`
  throw new UserError({ what, why, next: 'Commit and push what stands here, or check out what is there' })
}
