/** The user's repository, read: where the working tree stands, which commits an id names, the files of an earlier one. */
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { bundled } from '#kit/images'
import { root } from '#kit/paths'
import { sourceTree } from '../../local/git-server/source.ts'
import { assert, suite } from '../suite.ts'
import { createRepository, hostileSettings, run, stateOf, temporaryFolder, treeOnDisk } from './git-fixture.ts'

const test = suite('git source')
/** Each starts some dozens of processes: a second at rest, several on a machine that is compiling. */
const SLOW = { timeoutMs: 60_000 }
const settings = temporaryFolder()
test.before(() => hostileSettings(settings.path))
test.after(() => settings[Symbol.dispose]())

/** A repository with one commit per content of the file `below/file`. */
function repositoryOf(folder: string, ...contents: readonly string[]): { path: string; shas: string[] } {
  const path = createRepository(join(folder, 'repository'))
  mkdirSync(join(path, 'below'))
  const shas = contents.map((content) => {
    writeFileSync(join(path, 'below/file'), content)
    run(path, ['add', '--all'])
    run(path, ['commit', '--quiet', '--allow-empty', '--message', content])
    return run(path, ['rev-parse', 'HEAD']).trim()
  })
  return { path, shas }
}

test(
  'head() is the commit that the working tree stands on, clean only while nothing differs from it',
  async () => {
    using folder = temporaryFolder()
    const { path, shas } = repositoryOf(folder.path, 'one', 'two')
    const tree = sourceTree(path)
    assert.equal(await tree.head(), { sha: shas[1] ?? '', clean: true })
    writeFileSync(join(path, 'below/file'), 'three')
    const before = stateOf(path)
    assert.equal(await tree.head(), { sha: shas[1] ?? '', clean: false })
    assert.equal(stateOf(path), before, 'nothing of the user’s is written')
    run(path, ['checkout', '--quiet', '--', '.'])
    writeFileSync(join(path, 'untracked'), '')
    assert.is((await tree.head())?.clean, false)
    writeFileSync(join(path, '.gitignore'), '*\n')
    assert.is((await tree.head())?.clean, true, 'what Git ignores does not count')
  },
  SLOW,
)

test(
  'head() is undefined before the first commit',
  async () => {
    using folder = temporaryFolder()
    assert.is(await sourceTree(createRepository(join(folder.path, 'empty'))).head(), undefined)
  },
  SLOW,
)

test(
  'precedes() tells the earlier of two commits of one history, and nothing of one that is not here',
  async () => {
    using folder = temporaryFolder()
    const { path, shas } = repositoryOf(folder.path, 'one', 'two')
    const [one = '', two = ''] = shas
    const { precedes } = sourceTree(path)
    assert.equal(await Promise.all([precedes(one, two), precedes(two, one), precedes(one, one)]), [true, false, false])
    assert.equal(await Promise.all([precedes(one, 'ab'.repeat(20)), precedes('ab'.repeat(20), two)]), [false, false])
  },
  SLOW,
)

test(
  'find() gives every commit that begins so, and no other object',
  async () => {
    using folder = temporaryFolder()
    const { path, shas } = repositoryOf(folder.path, 'one', 'two')
    const tree = sourceTree(path)
    const [first = '', second = ''] = shas
    assert.equal(await tree.find(first.slice(0, 12)), [first])
    assert.equal(await tree.find(second), [second])
    const blob = run(path, ['rev-parse', 'HEAD:below/file']).trim()
    assert.equal(await tree.find(blob), [])
    assert.equal(await tree.find('0'.repeat(40)), [])
  },
  SLOW,
)

test(
  'checkout() gives the files of a commit, of a folder below the top too, and changes nothing of the user’s',
  async () => {
    using folder = temporaryFolder()
    const { path, shas } = repositoryOf(folder.path, 'one', 'two')
    writeFileSync(join(path, 'below/file'), 'changed')
    const before = stateOf(path)
    {
      await using whole = await sourceTree(path).checkout(shas[0] ?? '')
      assert.equal([...treeOnDiskOf(whole.path)], ['below/file'])
      await using part = await sourceTree(join(path, 'below')).checkout(shas[0] ?? '')
      assert.is(readFileSync(join(part.path, 'file'), 'utf8'), 'one')
    }
    assert.equal(stateOf(path), before)
    await assert.rejects(
      sourceTree(path).checkout('0'.repeat(40)),
      `Cannot read the files of commit ${'0'.repeat(40)}: Git does not have them`,
    )
  },
  SLOW,
)

/** Paths of a folder that is no repository. */
function treeOnDiskOf(path: string): Iterable<string> {
  createRepository(path)
  return treeOnDisk(path).keys()
}

test(
  'a commit whose packages are ours is bundled to the same bytes as here, so that its image is found and not built again',
  async () => {
    const head = run(root, ['rev-parse', 'HEAD']).trim()
    await using files = await sourceTree(root).checkout(head)
    await using again = await sourceTree(root).checkout(head)
    for (const { path } of [files, again]) symlinkSync(join(root, 'node_modules'), join(path, 'node_modules'))
    const bundle = await bundled('service/main.ts', files.path)
    assert.ok(bundle === (await bundled('service/main.ts', again.path)), 'wherever the files lie')
    assert.match(bundle, '// node_modules/express/')
  },
  SLOW,
)

test.run()
