/** The tree on the server is the tree on disk, and nothing of the user's own is touched. */
import { chmodSync, lstatSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import fc from 'fast-check'
import { pushSnapshot, snapshotWorkingTree } from '../../local/git-server/snapshot.ts'
import { assert, suite } from '../suite.ts'
import { createRepository, hostileSettings, run, serveGit, stateOf, temporaryFolder, treeOf, treeOnDisk } from './git-fixture.ts'

const test = suite('git')
const settings = temporaryFolder()
test.before(() => hostileSettings(settings.path))
test.after(() => settings[Symbol.dispose]())

const RUNS = Number(process.env.GIT_RUNS ?? 12)
const NAMES = [
  'a',
  'b.txt',
  'with space',
  'ünï-文件',
  'new\nline',
  '-dash',
  ':(top)x',
  '*',
  '.hidden',
  '"quoted"',
  'tab\t',
  'back\\slash',
  'A',
]
const PATTERNS = ['a', '*.txt', '-dash', '/dir/', '!b.txt', '.hidden', 'with space', '# comment', '*', '!*', '.gitignore', '\\*', 'dir/**']
const name = fc.constantFrom(...NAMES)
const path = fc.oneof(
  name,
  fc.tuple(fc.constantFrom('dir', 'dir/sub', 'ünï', 'a'), name).map((parts) => parts.join('/')),
)
const size = fc.oneof({ weight: 20, arbitrary: fc.nat(200) }, { weight: 1, arbitrary: fc.constant(3_000_000) })

const action = fc.oneof(
  fc.record({ do: fc.constant('write' as const), path, size, fill: fc.nat(255) }),
  // The same size at once after a commit: only the time or the content tells.
  fc.record({ do: fc.constant('refill' as const), path, fill: fc.nat(255) }),
  fc.record({ do: fc.constant('remove' as const), path }),
  fc.record({ do: fc.constant('rename' as const), path, to: path }),
  fc.record({ do: fc.constant('chmod' as const), path, mode: fc.constantFrom(0o644, 0o755) }),
  fc.record({ do: fc.constant('symlink' as const), path, target: fc.constantFrom('a', '../dir', '/nonexistent', 'ünï/with space', '.') }),
  fc.record({
    do: fc.constant('ignore' as const),
    folder: fc.constantFrom('', 'dir/'),
    patterns: fc.array(fc.constantFrom(...PATTERNS), { maxLength: 3 }),
  }),
  fc.record({
    do: fc.constant('git' as const),
    args: fc.constantFrom(
      ['add', '-A'],
      ['add', '-f', '-A'],
      ['commit', '-qam', 'x'],
      ['stash', '-q'],
      ['rm', '-rq', '--cached', '.'],
      ['add', '-N', '.'],
    ),
  }),
)
type Action = typeof action extends fc.Arbitrary<infer T> ? T : never

test(
  'the tree on the server equals the tree on disk after any edits, and the repository is as it was',
  async () => {
    await using server = await serveGit(settings.path)
    const rounds = fc.array(fc.array(action, { minLength: 1, maxLength: 12 }), { minLength: 1, maxLength: 3 })
    const property = fc.asyncProperty(rounds, async (batches) => {
      using folder = temporaryFolder()
      const root = createRepository(join(folder.path, 'work tree'))
      for (const batch of batches) {
        for (const each of batch) act(root, each)
        const before = stateOf(root)
        await using snapshot = await snapshotWorkingTree(root)
        await pushSnapshot(snapshot, server.remote)
        assert.equal(stateOf(root), before)
        assert.equal([...treeOf(server.gitDir, 'source')].sort(), [...treeOnDisk(root)].sort())
      }
    })
    // A failure prints the seed and the path of the smallest example; GIT_SEED repeats it, GIT_RUNS searches longer.
    const seed = process.env.GIT_SEED === undefined ? {} : { seed: Number(process.env.GIT_SEED) }
    await fc.assert(property, { numRuns: RUNS, interruptAfterTimeLimit: RUNS * 1000, includeErrorInReport: true, ...seed })
  },
  { timeoutMs: RUNS * 3000 },
)

function act(root: string, each: Action): void {
  if (each.do === 'write') write(root, each.path, Buffer.alloc(each.size, each.fill))
  else if (each.do === 'refill') refill(root, each.path, each.fill)
  else if (each.do === 'remove') remove(root, each.path)
  else if (each.do === 'rename') rename(root, each.path, each.to)
  else if (each.do === 'chmod') changeMode(root, each.path, each.mode)
  else if (each.do === 'symlink') link(root, each.path, each.target)
  else if (each.do === 'ignore') write(root, `${each.folder}.gitignore`, Buffer.from(`${each.patterns.join('\n')}\n`))
  else tryGit(root, each.args)
}

/** But not to itself: there Git keeps what its index says of files that once lay behind it, since looking fails as nothing else does (ELOOP). */
function link(root: string, path: string, target: string): void {
  if (basename(path) !== target) write(root, path, target)
}

/** Not through a link: it may lead to itself, and what lies behind it is another entry's to remove. */
function remove(root: string, path: string): void {
  if (isFolder(root, dirname(path))) rmSync(join(root, path), { recursive: true, force: true })
}

function changeMode(root: string, path: string, mode: number): void {
  if (isFile(root, path) && !lstatSync(join(root, path)).isSymbolicLink()) chmodSync(join(root, path), mode)
}

/** Makes way first, so that a file becomes a folder and back. A string is a symlink's target. */
function write(root: string, path: string, content: Buffer | string): void {
  const folder = dirname(path)
  for (let above = folder; above !== '.'; above = dirname(above)) if (isFile(root, above)) rmSync(join(root, above))
  mkdirSync(join(root, folder), { recursive: true })
  rmSync(join(root, path), { recursive: true, force: true })
  if (typeof content === 'string') symlinkSync(content, join(root, path))
  else writeFileSync(join(root, path), content)
}

function refill(root: string, path: string, fill: number): void {
  const at = join(root, path)
  if (isFile(root, path) && lstatSync(at).isFile()) writeFileSync(at, Buffer.alloc(lstatSync(at).size, fill))
}

function rename(root: string, from: string, to: string): void {
  if (!isFile(root, from) || from === to || to.startsWith(`${from}/`)) return
  write(root, to, Buffer.alloc(0))
  if (isFile(root, from)) renameSync(join(root, from), join(root, to))
}

/** Anything but a folder, and not reached through a link. */
function isFile(root: string, path: string): boolean {
  return isFolder(root, dirname(path)) && lstatSync(join(root, path), { throwIfNoEntry: false })?.isDirectory() === false
}

/** Folders all the way down, and no link among them. */
function isFolder(root: string, path: string): boolean {
  const all = path.split('/').map((_, i, names) => names.slice(0, i + 1).join('/'))
  return all.every((each) => lstatSync(join(root, each), { throwIfNoEntry: false })?.isDirectory() === true)
}

/** Some have nothing to do, and say so with an error. */
function tryGit(root: string, args: readonly string[]): void {
  try {
    run(root, args)
  } catch {}
}

test.run()
