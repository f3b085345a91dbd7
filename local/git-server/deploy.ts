/** The `deploy` ref: small text files that say what runs. Read as a map, written as a commit, never over another's write. */

import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Failure } from '#kit/errors'
import { temporaryFolder } from '#kit/temporary'
import { createBare, git, gitLine, IDENTITY } from './git.ts'
import { gitRemote, pushRef, type Remote } from './remote.ts'

/** Path to content. */
export type Files = Map<string, string>

export type Edit = (files: Files) => void | Promise<void>

export interface DeployUpdate {
  readonly sha: string
  readonly changed: boolean
}

export interface DeployTip {
  readonly sha: string
  readonly files: Files
}

export interface DeployOptions {
  /** @default 'refs/heads/deploy' */
  readonly ref?: string
  readonly signal?: AbortSignal | undefined
}

export interface UpdateOptions extends DeployOptions {
  readonly message: string
  /** Another ref that gets the commit, whatever it was: a proposal on top of `ref`, which stays. @default `ref` itself */
  readonly onto?: string
}

export interface HistoryOptions extends DeployOptions {
  /** Files to read of each commit. */
  readonly paths: readonly string[]
  readonly limit: number
}

export interface HistoryEntry extends DeployTip {
  readonly message: string
}

interface Tip extends DeployTip {
  readonly modes: ReadonlyMap<string, string>
}

const LINE_FEED = 0x0a
const DEPLOY_REF = 'refs/heads/deploy'
/** Where what was fetched stands in the temporary repository. */
export const TIP = 'refs/heads/tip'
const TRIES = 5
const PAUSE_MS = 200
const NO_REF = /couldn't find remote ref/

/** @returns undefined where the ref does not exist yet. */
export async function readDeploy(remote: Remote, options: DeployOptions = {}): Promise<DeployTip | undefined> {
  await using bare = await temporaryBare()
  const tip = await fetchTip(bare.gitDir, remote, options)
  return tip === undefined ? undefined : { sha: tip.sha, files: tip.files }
}

/** The newest commits of `deploy`, newest first; none before the first. A file that a commit lacks is not among its files. */
export async function readHistory(remote: Remote, { paths, limit, ...options }: HistoryOptions): Promise<readonly HistoryEntry[]> {
  await using bare = await temporaryBare()
  if (!(await fetchDeploy(bare.gitDir, remote, { ...options, depth: limit }))) return []
  const args = ['log', '-z', '--format=%H%n%B', `--max-count=${limit}`, '--first-parent', TIP]
  const { stdout } = await git(['--git-dir', bare.gitDir, ...args])
  const commits = stdout.split('\0').flatMap((text) => (text === '' ? [] : [{ sha: text.slice(0, 40), message: text.slice(41).trimEnd() }]))
  const wanted = commits.flatMap(({ sha }) => paths.map((path) => ({ name: `${sha}:${path}`, path })))
  const contents = await readBlobs(bare.gitDir, wanted)
  return commits.map((commit, i) => {
    const files = paths.flatMap((path, j) => {
      const content = contents[i * paths.length + j]
      return content === undefined ? [] : [[path, content] as const]
    })
    return { ...commit, files: new Map(files) }
  })
}

/**
 * Edits the files of `deploy` and pushes them if they changed. `edit` changes the map, and is called again on the newer files when
 * another writer was faster.
 * @throws Failure after five lost races.
 */
export async function updateDeploy(remote: Remote, edit: Edit, options: UpdateOptions): Promise<DeployUpdate> {
  const { ref = DEPLOY_REF, signal } = options
  await using bare = await temporaryBare()
  for (let tries = 1; tries <= TRIES; tries += 1) {
    const outcome = await attempt({ gitDir: bare.gitDir, remote, edit }, options)
    if (outcome !== 'conflict') return outcome
    await sleep(Math.random() * PAUSE_MS * tries, undefined, { signal })
  }
  throw new Failure({
    what: `Cannot update '${ref}'`,
    why: `others wrote it first, ${TRIES} times in a row`,
    next: 'Run the command again',
  })
}

interface Attempt {
  readonly gitDir: string
  readonly remote: Remote
  readonly edit: Edit
}

async function attempt({ gitDir, remote, edit }: Attempt, options: UpdateOptions): Promise<DeployUpdate | 'conflict'> {
  const { ref = DEPLOY_REF, onto, message, signal } = options
  const tip = await fetchTip(gitDir, remote, options)
  const files: Files = new Map(tip?.files)
  await edit(files)
  const changes = changesOf(tip?.files ?? new Map(), files)
  if (tip !== undefined && changes.size === 0) return { sha: tip.sha, changed: false }
  const there = onto === undefined ? tip : await fetchTip(gitDir, remote, { ...options, ref: onto })
  if (onto !== undefined && there !== undefined && (await isSame(gitDir, { there, tip, files }))) return { sha: there.sha, changed: false }
  const sha = await commitChanges(gitDir, { tip, changes, message })
  const expected = there?.sha ?? ''
  const outcome = await pushRef(gitDir, remote, { ref: onto ?? ref, sha, expected, signal })
  return outcome === 'conflict' ? 'conflict' : { sha, changed: true }
}

/** Whether a proposal is just this already: these files, on top of what `ref` is now. */
async function isSame(gitDir: string, { there, tip, files }: { there: Tip; tip: Tip | undefined; files: Files }): Promise<boolean> {
  const parents = (await gitLine(['--git-dir', gitDir, 'cat-file', '-p', there.sha]))
    .split('\n')
    .filter((line) => line.startsWith('parent '))
  return parents.join() === (tip === undefined ? '' : `parent ${tip.sha}`) && changesOf(there.files, files).size === 0
}

export async function temporaryBare(): Promise<AsyncDisposable & { readonly gitDir: string }> {
  const { path, [Symbol.asyncDispose]: dispose } = await temporaryFolder('deploy')
  await createBare(path)
  return { gitDir: path, [Symbol.asyncDispose]: dispose }
}

async function fetchTip(gitDir: string, remote: Remote, options: DeployOptions): Promise<Tip | undefined> {
  if (!(await fetchDeploy(gitDir, remote, { ...options, depth: 1 }))) return undefined
  const sha = await gitLine(['--git-dir', gitDir, 'rev-parse', TIP])
  return { sha, ...(await readFiles(gitDir, sha)) }
}

/** @returns whether the ref exists. */
export async function fetchDeploy(gitDir: string, remote: Remote, options: DeployOptions & { readonly depth: number }): Promise<boolean> {
  const { ref = DEPLOY_REF, depth, signal } = options
  const args = ['fetch', '--quiet', `--depth=${depth}`, '--no-tags', '--force', '--', remote.url, `${ref}:${TIP}`]
  try {
    await gitRemote(remote, ['--git-dir', gitDir, ...args], { signal })
    return true
  } catch (thrown) {
    if (thrown instanceof Failure && NO_REF.test(thrown.message)) return false
    throw thrown
  }
}

/** Links to other repositories are passed over; a symlink's content is its target. */
async function readFiles(gitDir: string, sha: string): Promise<Omit<Tip, 'sha'>> {
  const { stdout } = await git(['--git-dir', gitDir, 'ls-tree', '-r', '-z', '--full-tree', sha])
  const blobs = stdout.split('\0').flatMap((line) => {
    const [, mode = '', oid = '', path = ''] = /^(\d+) blob (\w+)\t(.*)$/s.exec(line) ?? []
    return path === '' ? [] : [{ path, mode, oid }]
  })
  const contents = await readBlobs(
    gitDir,
    blobs.map(({ oid, path }) => ({ name: oid, path })),
  )
  const files: Files = new Map(blobs.map(({ path }, i) => [path, contents[i] ?? '']))
  return { files, modes: new Map(blobs.map(({ path, mode }) => [path, mode])) }
}

interface BlobName {
  /** As Git finds it: its id, or `<commit>:<path>`. */
  readonly name: string
  readonly path: string
}

/** The content of each, undefined for one that is not there. @throws Failure for what is not text. */
async function readBlobs(gitDir: string, blobs: readonly BlobName[]): Promise<(string | undefined)[]> {
  const input = blobs.map(({ name }) => `${name}\n`).join('')
  const batch = Buffer.from((await git(['--git-dir', gitDir, 'cat-file', '--batch'], { input })).stdout)
  let offset = 0
  return blobs.map(({ name, path }) => {
    const contentAt = batch.indexOf('\n', offset) + 1
    const header = batch.toString('utf8', offset, contentAt).trimEnd()
    offset = contentAt
    if (header === `${name} missing`) return undefined
    const end = contentAt + Number(/^[0-9a-f]{40} blob (\d+)$/.exec(header)?.[1])
    // Bytes that are not UTF-8 were replaced on the way here, so the next header is not where it should be.
    if (batch[end] !== LINE_FEED) throw notText(path)
    offset = end + 1
    return batch.toString('utf8', contentAt, end)
  })
}

function notText(path: string): Failure {
  return new Failure({ what: 'Cannot read the ref of what runs', why: `'${path}' or a file before it is not UTF-8 text` })
}

/** Path to new content; undefined for a file that is gone. */
type Changes = ReadonlyMap<string, string | undefined>

function changesOf(before: Files, after: Files): Changes {
  const gone = [...before.keys()].filter((path) => !after.has(path)).map((path) => [path, undefined] as const)
  const written = [...after].filter(([path, content]) => before.get(path) !== content)
  return new Map([...gone, ...written])
}

interface CommitSpec {
  readonly tip: Tip | undefined
  readonly changes: Changes
  readonly message: string
}

/** Only what changed is written over the old tree, so that modes and whatever is not text stay as they are. */
async function commitChanges(gitDir: string, { tip, changes, message }: CommitSpec): Promise<string> {
  const at = ['--git-dir', gitDir]
  const env = { GIT_INDEX_FILE: join(gitDir, 'index') }
  await git([...at, 'read-tree', tip?.sha ?? '--empty'], { env })
  const lines: string[] = []
  for (const [path, content] of changes) {
    if (content === undefined) lines.push(`0 ${'0'.repeat(40)}\t${path}\0`)
    else
      lines.push(
        `${tip?.modes.get(path) ?? '100644'} ${await gitLine([...at, 'hash-object', '-w', '--stdin'], { input: content })}\t${path}\0`,
      )
  }
  await git([...at, 'update-index', '-z', '--index-info'], { env, input: lines.join('') })
  const tree = await gitLine([...at, 'write-tree'], { env })
  return gitLine([...at, 'commit-tree', ...(tip === undefined ? [] : ['-p', tip.sha]), tree], {
    env: IDENTITY,
    input: `${message.trimEnd()}\n`,
  })
}
