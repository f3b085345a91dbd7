/** A change of `deploy` that somebody shall look at first: one commit on a branch of its own. */
import { type DeployUpdate, type Edit, updateDeploy } from './deploy.ts'
import type { Remote } from './remote.ts'

export interface Proposal {
  readonly url: string
  /** A token of GitHub. @default whatever the user's own Git has for the address */
  readonly token?: string
  /** The branch that it is made on top of. It is never written. */
  readonly base: string
  /** The branch of the proposal. One that is there is replaced: it was made on top of what `base` was then, or says something else. */
  readonly branch: string
  readonly message: string
  readonly edit: Edit
  readonly signal: AbortSignal
}

/** @returns the commit, and whether anything changed: not where `base` says so already, or the branch does, on top of the newest `base`. */
export async function proposeDeploy({ url, token, base, branch, message, edit, signal }: Proposal): Promise<DeployUpdate> {
  // https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/authenticating-as-a-github-app-installation
  const remote: Remote = { url, ...(token === undefined ? {} : { credential: { user: 'x-access-token', password: token } }) }
  return updateDeploy(remote, edit, { ref: `refs/heads/${base}`, onto: `refs/heads/${branch}`, message, signal })
}
