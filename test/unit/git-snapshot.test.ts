/** The snapshot in the repositories that are not plain, and what it says where it cannot be made. */
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { appendFileSync, chownSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { UserError } from '#kit/errors'
import { pushRef, type Remote } from '../../local/git-server/remote.ts'
import { pushSnapshot, snapshotWorkingTree } from '../../local/git-server/snapshot.ts'
import { assert, suite } from '../suite.ts'
import { createRepository, hostileSettings, run, serveGit, stateOf, temporaryFolder, treeOf, treeOnDisk } from './git-fixture.ts'

const test = suite('git snapshot')
/** Each starts some dozens of processes: a second at rest, several on a machine that is compiling. */
const SLOW = { timeoutMs: 60_000 }
const settings = temporaryFolder()
test.before(() => hostileSettings(settings.path))
test.after(() => settings[Symbol.dispose]())

function commitFiles(root: string, files: Record<string, string>): void {
  for (const [path, content] of Object.entries(files)) writeFileSync(join(root, path), content)
  run(root, ['add', '--all'])
  run(root, ['commit', '--quiet', '--message', 'x'])
}

/** Snapshots, pushes, compares with the disk, and asserts that the repository is as it was. */
async function assertExact(root: string): Promise<{ readonly sha: string; readonly base?: string; readonly nested: readonly string[] }> {
  using folder = temporaryFolder()
  await using server = await serveGit(folder.path)
  const before = stateOf(root)
  await using snapshot = await snapshotWorkingTree(root)
  assert.is(await pushSnapshot(snapshot, server.remote), 'pushed')
  assert.equal([...treeOf(server.gitDir, 'source')].sort(), [...treeOnDisk(root)].sort())
  assert.equal(stateOf(root), before)
  // As Argo CD reads it: a server that had become shallow would refuse.
  const reader = createRepository(join(folder.path, 'reader'))
  run(reader, [
    'fetch',
    '--quiet',
    '--tags',
    '--force',
    '--prune',
    `file://${server.gitDir}`,
    'refs/heads/source:refs/remotes/origin/source',
  ])
  run(reader, ['checkout', '--quiet', '--detach', snapshot.sha])
  return snapshot
}

test(
  'the same tree gives the same commit, and a second push says "unchanged"',
  async () => {
    using folder = temporaryFolder()
    const root = createRepository(join(folder.path, 'repo'))
    commitFiles(root, { a: '1' })
    writeFileSync(join(root, 'new'), '2')
    await using server = await serveGit(folder.path)
    await using first = await snapshotWorkingTree(root)
    assert.is(await pushSnapshot(first, server.remote), 'pushed')
    await using second = await snapshotWorkingTree(root)
    assert.is(second.sha, first.sha)
    assert.is(await pushSnapshot(second, server.remote), 'unchanged')
    assert.is(first.head, run(root, ['rev-parse', 'HEAD']).trim())
    assert.is(
      run(server.gitDir, ['log', '-1', '--format=%an %ae %at %ct', 'source']).trim(),
      `Holdfast holdfast@localhost ${run(root, ['log', '-1', '--format=%ct %ct']).trim()}`,
    )
  },
  SLOW,
)

test(
  'a later push sends what changed, not the whole tree again',
  async () => {
    using folder = temporaryFolder()
    const root = createRepository(join(folder.path, 'repo'))
    writeFileSync(join(root, 'big'), randomBytes(2_000_000))
    commitFiles(root, { a: '1' })
    await using server = await serveGit(folder.path)
    run(server.gitDir, ['config', 'receive.unpackLimit', '1'])
    const sizeKiB = () => Number(/^size-pack: (\d+)$/m.exec(run(server.gitDir, ['count-objects', '-v']))?.[1])
    await using first = await snapshotWorkingTree(root)
    await pushSnapshot(first, server.remote)
    const before = sizeKiB()
    appendFileSync(join(root, 'a'), '2')
    await using second = await snapshotWorkingTree(root)
    await pushSnapshot(second, server.remote)
    assert.ok(before > 1900 && sizeKiB() - before < 100, `grew by ${sizeKiB() - before} KiB`)
  },
  SLOW,
)

test(
  'a branch without a commit, then with a tree that is empty',
  async () => {
    using folder = temporaryFolder()
    const root = createRepository(join(folder.path, 'repo'))
    await using empty = await snapshotWorkingTree(root)
    assert.is(empty.head, undefined)
    writeFileSync(join(root, 'a'), '1')
    assert.is((await assertExact(root)).base, undefined)
  },
  SLOW,
)

test(
  'a linked worktree with a detached HEAD, in a folder with spaces and a newline',
  async () => {
    using folder = temporaryFolder()
    const root = createRepository(join(folder.path, 'repo'))
    commitFiles(root, { a: '1', b: '2' })
    const linked = join(folder.path, 'linked\n work tree')
    run(root, ['worktree', 'add', '--quiet', '--detach', linked])
    rmSync(join(linked, 'a'))
    writeFileSync(join(linked, 'c'), '3')
    assert.is((await assertExact(linked)).base, run(root, ['rev-parse', 'HEAD']).trim())
  },
  SLOW,
)

test(
  'objects that are borrowed from another repository',
  async () => {
    using folder = temporaryFolder()
    const origin = createRepository(join(folder.path, 'origin'))
    commitFiles(origin, { a: '1' })
    run(folder.path, ['clone', '--quiet', '--shared', origin, 'borrower'])
    const root = join(folder.path, 'borrower')
    writeFileSync(join(root, 'b'), '2')
    await assertExact(root)
  },
  SLOW,
)

test(
  'a shallow clone brings its tree and no history, and leaves the server whole',
  async () => {
    using folder = temporaryFolder()
    const origin = createRepository(join(folder.path, 'origin'))
    for (const content of ['1', '2', '3']) commitFiles(origin, { a: content })
    run(folder.path, ['clone', '--quiet', '--depth=1', `file://${origin}`, 'shallow'])
    const root = join(folder.path, 'shallow')
    writeFileSync(join(root, 'b'), '2')
    const { base } = await assertExact(root)
    assert.is.not(base, run(root, ['rev-parse', 'HEAD']).trim())
  },
  SLOW,
)

test(
  'a partial clone',
  async () => {
    using folder = temporaryFolder()
    const origin = createRepository(join(folder.path, 'origin'))
    run(origin, ['config', 'uploadpack.allowFilter', 'true'])
    for (const content of ['1', '2', '3']) commitFiles(origin, { a: content })
    run(folder.path, ['clone', '--quiet', '--filter=blob:none', `file://${origin}`, 'partial'])
    writeFileSync(join(folder.path, 'partial/b'), '2')
    await assertExact(join(folder.path, 'partial'))
  },
  SLOW,
)

test(
  'a merge in conflict: the disk counts',
  async () => {
    using folder = temporaryFolder()
    const root = createRepository(join(folder.path, 'repo'))
    commitFiles(root, { a: '1', gone: '1' })
    run(root, ['checkout', '--quiet', '-b', 'other'])
    commitFiles(root, { a: '2', gone: '2' })
    run(root, ['checkout', '--quiet', 'main'])
    rmSync(join(root, 'gone'))
    commitFiles(root, { a: '3' })
    assert.throws(() => run(root, ['merge', 'other']))
    rmSync(join(root, 'gone'), { force: true })
    assert.match(run(root, ['ls-files', '--unmerged']), 'a')
    await assertExact(root)
    assert.match(readFileSync(join(root, 'a'), 'utf8'), '<<<<<<<')
  },
  SLOW,
)

test(
  'an edit of the same size within the same second as the index is seen',
  async () => {
    using folder = temporaryFolder()
    const root = createRepository(join(folder.path, 'repo'))
    const at = new Date(Math.floor(Date.now() / 1000) * 1000 - 60_000)
    writeFileSync(join(root, 'a'), 'one')
    utimesSync(join(root, 'a'), at, at)
    commitFiles(root, {})
    utimesSync(join(root, '.git/index'), at, at)
    run(root, ['config', 'core.trustctime', 'false'])
    writeFileSync(join(root, 'a'), 'two')
    utimesSync(join(root, 'a'), at, at)
    await assertExact(root)
  },
  SLOW,
)

test(
  'a sparse checkout keeps what is outside of it',
  async () => {
    using folder = temporaryFolder()
    const root = createRepository(join(folder.path, 'repo'))
    mkdirSync(join(root, 'in'))
    mkdirSync(join(root, 'out'))
    commitFiles(root, { 'in/a': '1', 'out/b': '2' })
    run(root, ['sparse-checkout', 'set', '--cone', '--sparse-index', 'in'])
    writeFileSync(join(root, 'in/c'), '3')
    mkdirSync(join(root, 'out'))
    writeFileSync(join(root, 'out/d'), '4')
    const before = stateOf(root)
    await using snapshot = await snapshotWorkingTree(root)
    assert.equal([...treeOf(snapshot.gitDir, snapshot.sha).keys()], ['in/a', 'in/c', 'out/b', 'out/d'])
    assert.equal(stateOf(root), before)
  },
  SLOW,
)

test(
  'a repository inside is named and left out; a submodule stays a link',
  async () => {
    using folder = temporaryFolder()
    const other = createRepository(join(folder.path, 'other'))
    commitFiles(other, { a: '1' })
    const root = createRepository(join(folder.path, 'repo'))
    commitFiles(root, { a: '1' })
    run(root, ['-c', 'protocol.file.allow=always', 'submodule', '--quiet', 'add', other, 'module'])
    commitFiles(createRepository(join(root, 'deep', 'with commit')), { b: '2' })
    createRepository(join(root, 'without commit *'))
    const before = stateOf(root)
    await using snapshot = await snapshotWorkingTree(root)
    assert.equal([...snapshot.nested].sort(), ['deep/with commit', 'without commit *'])
    const tree = treeOf(snapshot.gitDir, snapshot.sha)
    assert.equal([...tree.keys()].sort(), ['.gitmodules', 'a', 'module'])
    assert.match(tree.get('module') ?? '', /^160000 /)
    assert.equal(stateOf(root), before)
  },
  SLOW,
)

test(
  'a folder below the top gives the whole tree, and its place in it',
  async () => {
    using folder = temporaryFolder()
    const root = createRepository(join(folder.path, 'repo'))
    mkdirSync(join(root, 'platform'))
    commitFiles(root, { a: '1', 'platform/b': '2' })
    await using snapshot = await snapshotWorkingTree(join(root, 'platform'))
    assert.equal([snapshot.root, snapshot.prefix], [root, 'platform/'])
    assert.equal([...treeOf(snapshot.gitDir, snapshot.sha).keys()], ['a', 'platform/b'])
  },
  SLOW,
)

test(
  'a renamed file, a dangling link and a file that became a folder',
  async () => {
    using folder = temporaryFolder()
    const root = createRepository(join(folder.path, 'repo'))
    commitFiles(root, { a: '1', b: '2' })
    renameSync(join(root, 'a'), join(root, 'c'))
    mkdirSync(join(root, 'a'))
    symlinkSync('../nowhere', join(root, 'a/link'))
    await assertExact(root)
  },
  SLOW,
)

test(
  'an environment that a Git hook left behind changes nothing',
  async () => {
    using folder = temporaryFolder()
    const root = createRepository(join(folder.path, 'repo'))
    commitFiles(root, { a: '1' })
    Object.assign(process.env, { GIT_DIR: '/nonexistent', GIT_INDEX_FILE: join(root, '.git/other'), GIT_LITERAL_PATHSPECS: '1' })
    try {
      await assertExact(root)
    } finally {
      for (const name of ['GIT_DIR', 'GIT_INDEX_FILE', 'GIT_LITERAL_PATHSPECS']) delete process.env[name]
    }
  },
  SLOW,
)

test(
  'what is not a repository is refused with the next step',
  async () => {
    using folder = temporaryFolder()
    const plain = await assert.rejects(snapshotWorkingTree(folder.path), 'it is not in a Git working tree. Run: git -C')
    assert.instance(plain, UserError)
    await assert.rejects(snapshotWorkingTree(join(folder.path, 'none')), 'there is no such folder')
    const root = createRepository(join(folder.path, 'home'))
    mkdirSync(join(root, 'project'))
    writeFileSync(join(root, 'project/a'), '1')
    await assert.rejects(snapshotWorkingTree(join(root, 'project')), 'it has no file in the repository')
  },
  SLOW,
)

if (process.getuid?.() === 0) {
  test("another user's folder is refused with the next step", async () => {
    using folder = temporaryFolder()
    const root = createRepository(join(folder.path, 'repo'))
    chownSync(root, 12345, 12345)
    chownSync(join(root, '.git'), 12345, 12345)
    const error = await assert.rejects(snapshotWorkingTree(root), 'git config --global --add safe.directory')
    assert.instance(error, UserError)
  })
} else {
  test.skip("another user's folder is refused with the next step", 'only root can give a folder away')
}

test(
  'a push without the credential, or with a wrong one, says so',
  async () => {
    using folder = temporaryFolder()
    const root = createRepository(join(folder.path, 'repo'))
    commitFiles(root, { a: '1' })
    await using server = await serveGit(folder.path)
    await using snapshot = await snapshotWorkingTree(root)
    const remote: Remote = { url: server.remote.url, credential: { user: 'holdfast', password: 'wrong-secret' } }
    const error = await assert.rejects(pushSnapshot(snapshot, remote), 'the credential was refused')
    assert.not.match(error.message, 'wrong-secret')
    await assert.rejects(
      pushSnapshot(snapshot, { ...remote, url: 'http://127.0.0.1:1/platform.git' }),
      /Cannot use the Git repository .*Failed to connect/s,
    )
  },
  SLOW,
)

test(
  'the credential is never among the arguments of a process',
  async () => {
    using folder = temporaryFolder()
    const root = createRepository(join(folder.path, 'repo'))
    commitFiles(root, { a: '1' })
    await using server = await serveGit(folder.path)
    const { user, password } = server.remote.credential
    const seen: string[] = []
    server.beforePush = () => seen.push(execFileSync('ps', ['-eo', 'args', '-ww'], { encoding: 'utf8' }))
    await using snapshot = await snapshotWorkingTree(root)
    await pushSnapshot(snapshot, server.remote)
    assert.match(seen.join('\n'), server.remote.url)
    assert.not.match(seen.join('\n'), password)
    assert.not.match(seen.join('\n'), Buffer.from(`${user}:${password}`).toString('base64'))
  },
  SLOW,
)

test(
  'pushRef() moves a ref only from where it is expected',
  async () => {
    using folder = temporaryFolder()
    const root = createRepository(join(folder.path, 'repo'))
    commitFiles(root, { a: '1' })
    const first = run(root, ['rev-parse', 'HEAD']).trim()
    commitFiles(root, { a: '2' })
    const second = run(root, ['rev-parse', 'HEAD']).trim()
    await using server = await serveGit(folder.path)
    const push = (sha: string, expected: string) => pushRef(join(root, '.git'), server.remote, { ref: 'refs/heads/deploy', sha, expected })
    assert.is(await push(first, second), 'conflict')
    assert.is(await push(first, ''), 'pushed')
    assert.is(await push(second, ''), 'conflict')
    assert.is(await push(first, first), 'unchanged')
    assert.is(await push(second, first), 'pushed')
  },
  SLOW,
)

test.run()
