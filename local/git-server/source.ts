/** The user's own repository: which commit the working tree stands on, and the files of an earlier one. It is only ever read. */

import { join } from 'node:path'
import type { SourceTree } from '#core'
import { UserError } from '#kit/errors'
import { root } from '#kit/paths'
import { temporaryFolder } from '#kit/temporary'
import { git, gitLine } from './git.ts'
import { watchTree } from './watch.ts'

/** The repository that this project stands in. */
export const source: SourceTree = sourceTree(root)

/** @param folder a folder of the repository; it may lie below the top of it. */
export function sourceTree(folder: string): SourceTree {
  return {
    head: () => head(folder),
    find: (abbreviation) => find(folder, abbreviation),
    precedes: (sha, later) => precedes(folder, sha, later),
    checkout: (sha) => checkout(folder, sha),
    watch: () => watchTree(folder),
  }
}

async function head(folder: string): Promise<{ sha: string; clean: boolean } | undefined> {
  const sha = await gitLine(['-C', folder, 'rev-parse', '--quiet', '--verify', 'HEAD^{commit}'], { accept: [0, 1, 128] })
  if (sha === '') return undefined
  const changes = await gitLine(['-C', folder, 'status', '--porcelain', '--untracked-files=normal', '--ignore-submodules=none'])
  return { sha, clean: changes === '' }
}

/** Objects of other kinds may begin alike. */
async function find(folder: string, abbreviation: string): Promise<string[]> {
  const at = ['-C', folder]
  const found = await gitLine([...at, 'rev-parse', `--disambiguate=${abbreviation}`], { accept: [0, 128] })
  if (found === '') return []
  const kinds = await gitLine([...at, 'cat-file', '--batch-check=%(objectname) %(objecttype)'], { input: `${found}\n` })
  return kinds.split('\n').flatMap((line) => (line.endsWith(' commit') ? [line.slice(0, line.indexOf(' '))] : []))
}

async function precedes(folder: string, sha: string, later: string): Promise<boolean> {
  if (sha === later) return false
  const { exitCode } = await git(['-C', folder, 'merge-base', '--is-ancestor', sha, later], { accept: [0, 1, 128] })
  return exitCode === 0
}

/** Through an index of its own: no other index, and no worktree that Git would remember, is made or changed. */
async function checkout(folder: string, sha: string): Promise<AsyncDisposable & { readonly path: string }> {
  const top = await gitLine(['-C', folder, 'rev-parse', '--show-toplevel'])
  const prefix = await gitLine(['-C', folder, 'rev-parse', '--show-prefix'])
  const { path: temporary, [Symbol.asyncDispose]: dispose } = await temporaryFolder('source')
  try {
    const env = { GIT_INDEX_FILE: join(temporary, 'index') }
    await git(['-C', top, 'read-tree', sha], { env })
    await git(['-C', top, 'checkout-index', '--all', `--prefix=${join(temporary, 'files')}/`], { env })
    return { path: join(temporary, 'files', prefix), [Symbol.asyncDispose]: dispose }
  } catch (thrown) {
    await dispose()
    throw new UserError({ what: `Cannot read the files of commit ${sha}`, why: 'Git does not have them all here' }, thrown)
  }
}
