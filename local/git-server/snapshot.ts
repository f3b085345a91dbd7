/**
 * The working tree as one commit, without a write to the user's repository. What Git would commit after `git add --all` is what
 * the commit holds, so Git's own rules stay: ignored files are out unless tracked, line endings and clean filters (LFS) apply,
 * and files outside a sparse checkout keep the content of the index.
 */

import { copyFile, mkdir, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Failure, UserError } from '#kit/errors'
import { ExecError } from '#kit/exec'
import { temporaryFolder } from '#kit/temporary'
import { createBare, type GitOptions, git, gitLine, IDENTITY } from './git.ts'
import { pushRef, type Remote } from './remote.ts'

export interface Snapshot extends AsyncDisposable {
  readonly sha: string
  readonly tree: string
  /** HEAD; absent on a branch without a commit. */
  readonly head?: string
  /** The commit's parent: HEAD, or a copy of it without its history where this clone does not have that history. */
  readonly base?: string
  /** The top of the working tree, and the asked folder below it ('' or 'a/b/'). */
  readonly root: string
  readonly prefix: string
  /** Untracked repositories inside the working tree: their content is not in the snapshot. */
  readonly nested: readonly string[]
  /** A temporary bare repository that has the commit. Gone after disposal. */
  readonly gitDir: string
}

export interface SnapshotOptions {
  readonly signal?: AbortSignal | undefined
  /** @default the system's folder for temporary files */
  readonly temporary?: string
}

interface Repository {
  readonly root: string
  readonly prefix: string
  readonly index: string
  readonly objects: string
  readonly head: string | undefined
  /** False for shallow and partial clones. */
  readonly hasHistory: boolean
  readonly sparse: boolean
}

/** How often files may vanish while they are read, or another push be in the way, before that is an error. */
const TRIES = 3
const VANISHED = /No such file or directory|unable to stat/

/** @throws UserError when `root` is not in a Git working tree, or Git refuses the folder's owner. */
export async function snapshotWorkingTree(root: string, options: SnapshotOptions = {}): Promise<Snapshot> {
  const { signal, temporary } = options
  const repository = await inspect(root)
  const { path: folder, [Symbol.asyncDispose]: dispose } = await temporaryFolder('git', temporary)
  try {
    const snapshot = await take(repository, folder, signal)
    return { ...snapshot, [Symbol.asyncDispose]: dispose }
  } catch (thrown) {
    await dispose()
    throw thrown
  }
}

/** Moves `ref` to the snapshot, wherever it was. @throws Failure when the server cannot be reached or refuses. */
export async function pushSnapshot(
  snapshot: Snapshot,
  remote: Remote,
  { ref = 'refs/heads/source', signal }: { readonly ref?: string; readonly signal?: AbortSignal } = {},
): Promise<'pushed' | 'unchanged'> {
  const { sha, base, gitDir } = snapshot
  const update = { ref, sha, ...(base === undefined ? {} : { base }), signal }
  for (let tries = 1; tries <= TRIES; tries += 1) {
    const outcome = await pushRef(gitDir, remote, update)
    if (outcome !== 'conflict') return outcome
  }
  throw new Failure({
    what: `Cannot push '${ref}'`,
    why: `others moved it at the same moment, ${TRIES} times in a row`,
    next: 'Run the command again',
  })
}

async function take(
  repository: Repository,
  folder: string,
  signal: AbortSignal | undefined,
): Promise<Omit<Snapshot, keyof AsyncDisposable>> {
  const { root, prefix, head } = repository
  const gitDir = await createBorrower(join(folder, 'git'), repository.objects)
  const env = { GIT_INDEX_FILE: join(folder, 'index'), GIT_OBJECT_DIRECTORY: join(gitDir, 'objects') }
  await copyIndex(repository.index, env.GIT_INDEX_FILE)
  const run = { env, signal }
  const nested = await addAll(repository, run)
  const tree = await gitLine(['-C', root, 'write-tree'], run)
  const base = await baseOf(repository, gitDir)
  const sha = await commit(gitDir, { tree, parent: base, message: 'The working tree\n', dateOf: base })
  return { sha, tree, root, prefix, nested, gitDir, ...(head === undefined ? {} : { head }), ...(base === undefined ? {} : { base }) }
}

/** A bare repository that reads the user's objects and keeps the new ones to itself. */
async function createBorrower(gitDir: string, objects: string): Promise<string> {
  await createBare(gitDir)
  await mkdir(join(gitDir, 'objects/info'), { recursive: true })
  await writeFile(join(gitDir, 'objects/info/alternates'), `${quoted(objects)}\n`)
  return gitDir
}

async function inspect(root: string): Promise<Repository> {
  const at = ['-C', root]
  // One call each: a path may hold a line break.
  const path = async (...args: string[]) => (await git([...at, 'rev-parse', '--path-format=absolute', ...args])).stdout.replace(/\n$/, '')
  const top = await path('--show-toplevel').catch((thrown: unknown) => {
    throw explained(root, thrown)
  })
  const optional = (...args: string[]) => gitLine([...at, ...args], { accept: [0, 1] })
  const [prefix, index, objects, shallow, format, head, partial, sparse] = await Promise.all([
    path('--show-prefix'),
    path('--git-path', 'index'),
    path('--git-path', 'objects'),
    path('--is-shallow-repository'),
    path('--show-object-format'),
    optional('rev-parse', '--quiet', '--verify', 'HEAD^{commit}'),
    optional('config', '--get-regexp', '^(extensions\\.partialclone|remote\\..*\\.promisor)$'),
    optional('config', '--type=bool', '--get', 'core.sparseCheckout'),
  ])
  if (format !== 'sha1')
    throw new UserError({ what: `Cannot read the working tree '${root}'`, why: `its Git objects are '${format}', not 'sha1'` })
  if (prefix !== '' && (await optional('ls-files', '--', '.')) === '') throw noRepository(root, `it has no file in the repository '${top}'`)
  const hasHistory = shallow === 'false' && partial === ''
  return { root: top, prefix, index, objects, head: head === '' ? undefined : head, hasHistory, sparse: sparse === 'true' }
}

/** As Git reads a path that could be mistaken for two lines or a comment. */
function quoted(path: string): string {
  return `"${path.replace(/["\\]/g, '\\$&').replaceAll('\n', '\\n')}"`
}

/** The copy saves reading every file: it carries the size and time of each as Git last saw it. */
async function copyIndex(from: string, to: string): Promise<void> {
  const found = await stat(from).catch(() => undefined)
  if (found === undefined) return
  await copyFile(from, to)
  // Git trusts an entry only if it is older than the index file. A copy that looks younger would hide an edit in the same second.
  const seconds = Math.floor(found.mtimeMs / 1000)
  await utimes(to, seconds, seconds)
}

/** Files that vanish while they are read (an editor's, a compiler's) are no reason to give up at once. */
async function addAll(repository: Repository, run: GitOptions): Promise<readonly string[]> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await addOnce(repository, run)
    } catch (thrown) {
      if (!(thrown instanceof ExecError)) throw thrown
      if (tries === TRIES || !VANISHED.test(thrown.stderr)) throw unreadable(repository.root, thrown)
    }
  }
}

async function addOnce({ root, sparse }: Repository, run: GitOptions): Promise<readonly string[]> {
  const nested = await findNested(root, run)
  const pathspecs = [':(top)', ...nested.map((path) => `:(top,exclude,literal)${path}`)].join('\0')
  const args = ['-C', root, 'add', '--all', ...(sparse ? ['--sparse'] : []), '--pathspec-from-file=-', '--pathspec-file-nul']
  await git(args, { ...run, input: pathspecs })
  return nested
}

function unreadable(root: string, cause: ExecError): UserError {
  const next = "'git add --all --dry-run' shows the same"
  return new UserError({ what: `Cannot read the working tree '${root}'`, why: cause.message, next }, cause)
}

/** Git would record each as a submodule that no one can fetch, and Argo CD would stop at it. */
async function findNested(root: string, run: GitOptions): Promise<readonly string[]> {
  const { stdout } = await git(['-C', root, 'ls-files', '--others', '--exclude-standard', '-z'], run)
  return stdout
    .split('\0')
    .filter((path) => path.endsWith('/'))
    .map((path) => path.slice(0, -1))
}

/**
 * The snapshot's parent. A clone without its history cannot give it to the server, and a server that is shallow itself cannot be
 * read by a plain `git fetch`, as Argo CD does; so there a commit without parents stands for HEAD.
 */
async function baseOf({ head, hasHistory }: Repository, gitDir: string): Promise<string | undefined> {
  if (head === undefined || hasHistory) return head
  return commit(gitDir, { tree: `${head}^{tree}`, parent: undefined, message: `${head} without its history\n`, dateOf: head })
}

interface CommitSpec {
  readonly tree: string
  readonly parent: string | undefined
  readonly message: string
  /** The same tree and parent must give the same commit, so that a second push says "unchanged". */
  readonly dateOf: string | undefined
}

async function commit(gitDir: string, { tree, parent, message, dateOf }: CommitSpec): Promise<string> {
  const date = `@${dateOf === undefined ? 0 : await committedAt(gitDir, dateOf)} +0000`
  const env = { ...IDENTITY, GIT_AUTHOR_DATE: date, GIT_COMMITTER_DATE: date }
  const resolved = await gitLine(['--git-dir', gitDir, 'rev-parse', '--verify', tree])
  return gitLine(['--git-dir', gitDir, 'commit-tree', ...(parent === undefined ? [] : ['-p', parent]), resolved], { env, input: message })
}

async function committedAt(gitDir: string, sha: string): Promise<string> {
  const { stdout } = await git(['--git-dir', gitDir, 'cat-file', 'commit', sha])
  return /^committer .* (\d+) [+-]\d{4}$/m.exec(stdout)?.[1] ?? '0'
}

function explained(root: string, thrown: unknown): unknown {
  if (!(thrown instanceof ExecError)) return thrown
  const what = `Cannot read the working tree '${root}'`
  if (thrown.stderr.includes('command not found')) return new UserError({ what, why: "'git' is not installed" }, thrown)
  if (thrown.stderr.includes('cannot change to')) return new UserError({ what, why: 'there is no such folder' }, thrown)
  if (thrown.stderr.includes('dubious ownership')) {
    return new UserError(
      { what, why: 'it belongs to another user, and Git refuses it', next: `Run: git config --global --add safe.directory '${root}'` },
      thrown,
    )
  }
  if (/not a git repository|must be run in a work tree/i.test(thrown.stderr)) return noRepository(root, 'it is not in a Git working tree')
  return thrown
}

function noRepository(root: string, why: string): UserError {
  return new UserError({ what: `Cannot read the working tree '${root}'`, why, next: `Run: git -C '${root}' init` })
}
