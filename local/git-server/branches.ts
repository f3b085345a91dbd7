/** What runs and what stands in the working tree, as two branches of a remote. */
import type { GitRemote, Refs } from '#core'
import { readDeploy, readHistory, updateDeploy } from './deploy.ts'
import { keepCommit } from './keep.ts'
import type { Remote } from './remote.ts'

export interface Branches extends Pick<GitRemote, 'url'> {
  readonly refs: Refs
  /** How the working tree comes into the branch of this ref, or how it is found there. */
  readonly pushSource: (ref: string) => ReturnType<GitRemote['pushSource']>
  readonly signal: AbortSignal
}

/** @param remote as this machine reaches it; `url` is how Argo CD does. */
export function openBranches(remote: Remote, { url, refs, pushSource, signal }: Branches): GitRemote {
  const [source, deploy] = [`refs/heads/${refs.source}`, `refs/heads/${refs.deploy}`]
  return {
    url,
    refs,
    pushSource: () => pushSource(source),
    async readDeploy() {
      const tip = await readDeploy(remote, { ref: deploy, signal })
      return { sha: tip?.sha, files: tip?.files ?? new Map() }
    },
    history: (request) => readHistory(remote, { ...request, ref: deploy, signal }),
    keepSource: () => keepCommit(remote, { ref: source, signal }),
    updateDeploy: (message, edit) => updateDeploy(remote, edit, { ref: deploy, message, signal }),
  }
}
