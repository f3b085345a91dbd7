/** The `deploy` ref: read, written, and raced for. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { writeCredential } from '../../local/git-server/credential.ts'
import { readDeploy, readHistory, updateDeploy } from '../../local/git-server/deploy.ts'
import { keepCommit } from '../../local/git-server/keep.ts'
import { assert, suite } from '../suite.ts'
import { hostileSettings, run, serveGit, temporaryFolder, treeOf } from './git-fixture.ts'

const test = suite('git deploy')
/** Each starts some dozens of processes: a second at rest, several on a machine that is compiling. */
const SLOW = { timeoutMs: 60_000 }
const settings = temporaryFolder()
test.before(() => hostileSettings(settings.path))
test.after(() => settings[Symbol.dispose]())

test(
  'updateDeploy() starts the ref, adds to it, and leaves it alone when nothing changed',
  async () => {
    using folder = temporaryFolder()
    await using server = await serveGit(folder.path)
    assert.is(await readDeploy(server.remote), undefined)
    const first = await updateDeploy(server.remote, (files) => void files.set('dev/values.yaml', 'digest: a\n'), { message: 'dev: a' })
    assert.is(first.changed, true)
    const second = await updateDeploy(server.remote, (files) => void files.set('prod/värde', '').delete('dev/none'), { message: 'prod: b' })
    const same = await updateDeploy(server.remote, (files) => void files.set('prod/värde', ''), { message: 'no' })
    assert.equal(same, { sha: second.sha, changed: false })
    const tip = await readDeploy({ url: server.remote.url })
    assert.equal(
      [...(tip?.files ?? [])],
      [
        ['dev/values.yaml', 'digest: a\n'],
        ['prod/värde', ''],
      ],
    )
    assert.is(tip?.sha, second.sha)
    const log = run(server.gitDir, ['log', '--format=%an %s', 'deploy'])
    assert.is(log, 'Holdfast prod: b\nHoldfast dev: a\n')
  },
  SLOW,
)

test(
  'updateDeploy() deletes, and keeps modes and what is not text',
  async () => {
    using folder = temporaryFolder()
    await using server = await serveGit(folder.path)
    const blob = run(server.gitDir, ['hash-object', '-w', '--stdin'], 'x').trim()
    const listing = `100755 blob ${blob}\trun.sh\n120000 blob ${blob}\tlink\n100644 blob ${blob}\tgone\n160000 commit ${'1'.repeat(40)}\tmodule\n`
    const tree = run(server.gitDir, ['mktree', '--missing'], listing).trim()
    run(server.gitDir, ['update-ref', 'refs/heads/deploy', run(server.gitDir, ['commit-tree', tree, '-m', 'x']).trim()])
    const edit = (files: Map<string, string>) => {
      assert.equal([...files.keys()], ['gone', 'link', 'run.sh'])
      files.set('run.sh', 'y').delete('gone')
      files.delete('gone')
    }
    await updateDeploy(server.remote, edit, { message: 'x' })
    const kinds = [...treeOf(server.gitDir, 'deploy')].map(([path, entry]) => `${entry.slice(0, 6)} ${path}`)
    assert.equal(kinds, ['120000 link', '160000 module', '100755 run.sh'])
    assert.is(run(server.gitDir, ['show', 'deploy:run.sh']), 'y')
  },
  SLOW,
)

test(
  'readHistory() gives the newest commits with their whole messages, and of the files asked for those that each has',
  async () => {
    using folder = temporaryFolder()
    await using server = await serveGit(folder.path)
    const asked = { paths: ['a', 'b/ö'], limit: 3 }
    assert.equal(await readHistory(server.remote, asked), [])
    const set = (path: string, text: string, message: string) =>
      updateDeploy(server.remote, (files) => void files.set(path, text), { message })
    const commits = [
      await set('other', 'x', 'first'),
      await set('a', '1\n', 'one'),
      await set('b/ö', 'é\n\n', 'two\n\nSource: x\n\nend'),
      await set('a', '', 'three'),
    ]
    const found = await readHistory(server.remote, asked)
    assert.equal(
      found.map(({ sha, message, files }) => [sha, message, Object.fromEntries(files)]),
      [
        [commits[3]?.sha, 'three', { a: '', 'b/ö': 'é\n\n' }],
        [commits[2]?.sha, 'two\n\nSource: x\n\nend', { a: '1\n', 'b/ö': 'é\n\n' }],
        [commits[1]?.sha, 'one', { a: '1\n' }],
      ],
    )
    assert.is((await readHistory(server.remote, { ...asked, limit: 200 })).length, 4)
  },
  SLOW,
)

test(
  'keepCommit() keeps what a branch named before it was moved to a commit beside it, and keeps it once',
  async () => {
    using folder = temporaryFolder()
    await using server = await serveGit(folder.path)
    await assert.rejects(
      keepCommit(server.remote, { ref: 'refs/heads/source' }),
      "Cannot keep a commit: there is no 'refs/heads/source'. Run npm run local:deploy",
    )
    const tree = run(server.gitDir, ['mktree'], '').trim()
    const commit = (message: string, ...parents: string[]) =>
      run(server.gitDir, ['commit-tree', tree, ...parents.flatMap((each) => ['-p', each]), '-m', message]).trim()
    const base = commit('base')
    const sha = commit('one', base)
    run(server.gitDir, ['update-ref', 'refs/heads/source', sha])
    for (const _ of ['once', 'again']) assert.is(await keepCommit(server.remote, { ref: 'refs/heads/source' }), sha)
    run(server.gitDir, ['update-ref', 'refs/heads/source', commit('two', base)])
    run(server.gitDir, ['-c', 'gc.reflogExpire=now', 'gc', '--quiet', '--prune=now'])
    assert.is(run(server.gitDir, ['rev-list', `kept-${sha.slice(0, 12)}`]), `${sha}\n${base}\n`)
    assert.equal(run(server.gitDir, ['tag']).trim().split('\n').length, 1)
  },
  SLOW,
)

test(
  'readDeploy() keeps every letter of a long file',
  async () => {
    using folder = temporaryFolder()
    await using server = await serveGit(folder.path)
    const content = `a${'é文'.repeat(100_000)}`
    await updateDeploy(server.remote, (files) => void files.set('long', content).set('after', '1'), { message: 'x' })
    const tip = await readDeploy(server.remote)
    assert.ok(tip?.files.get('long') === content)
  },
  SLOW,
)

test(
  'readDeploy() refuses what is not text',
  async () => {
    using folder = temporaryFolder()
    await using server = await serveGit(folder.path)
    const blob = execFileSync('git', ['hash-object', '-w', '--stdin'], { cwd: server.gitDir, input: Buffer.from([0xff, 0xfe, 0x00, 0x41]) })
      .toString()
      .trim()
    const tree = run(server.gitDir, ['mktree'], `100644 blob ${blob}\tbinary\n`).trim()
    run(server.gitDir, ['update-ref', 'refs/heads/deploy', run(server.gitDir, ['commit-tree', tree, '-m', 'x']).trim()])
    await assert.rejects(readDeploy(server.remote), "'binary' or a file before it is not UTF-8 text")
  },
  SLOW,
)

test(
  'writers that race all win in the end, and no change is lost',
  async () => {
    using folder = temporaryFolder()
    await using server = await serveGit(folder.path)
    await updateDeploy(server.remote, (files) => void files.set('count', ''), { message: 'start' })
    let calls = 0
    const writer = (id: string) => {
      const append = (files: Map<string, string>) => {
        calls += 1
        files.set('count', `${files.get('count')}${id}`)
      }
      return updateDeploy(server.remote, append, { message: id })
    }
    await Promise.all(['a', 'b', 'c'].map(writer))
    const tip = await readDeploy(server.remote)
    assert.is([...(tip?.files.get('count') ?? '')].sort().join(''), 'abc')
    assert.ok(calls > 3, 'they raced')
  },
  SLOW,
)

test(
  'updateDeploy() gives up after five lost races',
  async () => {
    using folder = temporaryFolder()
    await using server = await serveGit(folder.path)
    await updateDeploy(server.remote, (files) => void files.set('a', '0'), { message: 'start' })
    let pushes = 0
    server.beforePush = () => {
      pushes += 1
      const sha = run(server.gitDir, ['commit-tree', 'deploy^{tree}', '-p', 'deploy', '-m', `faster ${pushes}`]).trim()
      run(server.gitDir, ['update-ref', 'refs/heads/deploy', sha])
    }
    await assert.rejects(
      updateDeploy(server.remote, (files) => void files.set('a', '1'), { message: 'slower' }),
      'others wrote it first, 5 times in a row',
    )
    assert.is(pushes, 5)
  },
  SLOW,
)

test(
  'nothing is left in the folder for temporary files',
  async () => {
    using folder = temporaryFolder()
    await using server = await serveGit(folder.path)
    const before = process.env.TMPDIR
    process.env.TMPDIR = temporaryBelow(folder.path)
    try {
      await updateDeploy(server.remote, (files) => void files.set('a', '0'), { message: 'start' })
      assert.equal(readdirSync(process.env.TMPDIR), [])
    } finally {
      if (before === undefined) delete process.env.TMPDIR
      else process.env.TMPDIR = before
    }
  },
  SLOW,
)

function temporaryBelow(path: string): string {
  mkdirSync(join(path, 'tmp'))
  return join(path, 'tmp')
}

test(
  'writeCredential() makes a new password each time, and its hash for the server',
  () => {
    const [first, second] = [writeCredential(), writeCredential()]
    assert.is.not(first.password, second.password)
    assert.is(Buffer.from(first.password, 'base64url').length, 32)
    assert.is(first.htpasswd, `holdfast:{SHA}${createHash('sha1').update(first.password).digest('base64')}\n`)
    assert.not.match(first.htpasswd, first.password)
  },
  SLOW,
)

test.run()
