/** The runner of a folder: what it sums up, and what it must not take for green. */
import { join } from 'node:path'
import { root } from '#kit/paths'
import { countsOf } from '#kit/test-folder'
import { takeLock } from '../../local/lock.ts'
import { assert, suite } from '../suite.ts'
import { createTree, type Ended, runFile, type Tree, urlOf } from './tree-fixture.ts'

const test = suite('test/run.ts')
const LONG = { timeoutMs: 30_000 }

function createTests(bodies: Readonly<Record<string, string>>): Tree {
  const head = `import { suite } from '${urlOf('test/suite.ts')}'\nconst test = suite('it')\n`
  const files = Object.entries(bodies).map(([name, body]) => [
    `unit/${name}.test.ts`,
    body.includes('test') ? `${head}${body}\ntest.run()` : body,
  ])
  return createTree({ 'package.json': '{"type":"module"}', ...Object.fromEntries(files) })
}

function runTests(tree: Tree, ...args: readonly string[]): Promise<Ended> {
  return runFile(join(root, 'test', 'run.ts'), {
    args: ['unit', ...args, '--root', tree.path],
    env: { HOLDFAST_REQUIRE: '', NO_COLOR: '1' },
  })
}

test(
  'it sums the files up and shows the output of red ones only',
  async () => {
    using tree = createTests({
      good: "test('a', () => console.log('quiet'))\ntest.skip('b', 'not here')",
      bad: "test('a', () => {})\ntest('b', () => { throw new Error('boom') })",
    })
    const { output, message, exitCode } = await runTests(tree)
    assert.equal(message, { passed: 2, failed: 1, skipped: 1 })
    assert.is(exitCode, 1)
    assert.match(output, /boom/)
    assert.not.match(output, /quiet/)
    assert.match(output, /✓ unit\/good: 1 passed, 0 failed, 1 skipped \(\d+/)
    assert.match(output, /skipped it: b: not here/)
    assert.is(output.split('\n').at(-1), '2 passed, 1 failed, 1 skipped')
  },
  LONG,
)

test(
  'it takes a name filter, and is green when all is',
  async () => {
    using tree = createTests({ good: "test('a', () => {})", bad: "test('b', () => { throw new Error('boom') })" })
    const { message, exitCode } = await runTests(tree, 'goo')
    assert.equal(message, { passed: 1, failed: 0, skipped: 0 })
    assert.is(exitCode, 0)
  },
  LONG,
)

test(
  'it is red when no file matches',
  async () => {
    using tree = createTests({ good: "test('a', () => {})" })
    const { message, exitCode, output } = await runTests(tree, 'absent')
    assert.match(output, /no file matches test\/unit\/\*absent\*\.test\.ts/)
    assert.equal(message, { passed: 0, failed: 1, skipped: 0 })
    assert.is(exitCode, 1)
  },
  LONG,
)

test(
  'it is red when a file ends well without a report',
  async () => {
    using tree = createTests({ silent: 'console.log(1)' })
    const { message, exitCode, output } = await runTests(tree)
    assert.match(output, /ended with exit code 0 before it reported a result/)
    assert.equal(message, { passed: 0, failed: 1, skipped: 0 })
    assert.is(exitCode, 1)
  },
  LONG,
)

test(
  'it ends a file that takes too long, whatever the file does',
  async () => {
    using tree = createTests({ busy: "test('a', () => { for (;;); })" })
    const { message, exitCode, output } = await runTests(tree, '--timeout-ms', '1500')
    assert.match(output, /took longer than 1\.5 s and was ended/)
    assert.equal(message, { passed: 0, failed: 1, skipped: 0 })
    assert.is(exitCode, 1)
  },
  LONG,
)

test(
  'it refuses a folder that it does not know',
  async () => {
    const { exitCode, output } = await runFile(join(root, 'test', 'run.ts'), { args: ['unti'] })
    assert.match(output, /Cannot run the tests of 'unti': the folders are unit, config, [a-z, ]+live/)
    assert.is(exitCode, 2)
  },
  LONG,
)

test('a folder whose process breaks after its counts is red, and one that ends as they say is what they say', () => {
  const [green, red, skipped] = [
    { passed: 3, failed: 0, skipped: 1 },
    { passed: 3, failed: 2, skipped: 0 },
    { passed: 0, failed: 0, skipped: 4 },
  ]
  assert.equal(countsOf({ message: green, exitCode: 0 }), green)
  assert.equal(countsOf({ message: red, exitCode: 1 }), red)
  assert.equal(countsOf({ message: skipped, exitCode: 1 }), skipped)
  for (const exitCode of [1, 137, undefined]) assert.equal(countsOf({ message: green, exitCode }), { ...green, failed: 1 })
  assert.equal(countsOf({ message: undefined, exitCode: 0 }), { passed: 0, failed: 1, skipped: 0 })
})

test(
  'npm test sums up what it has, also where a stage that needs the machine for itself cannot have it',
  async () => {
    using state = createTree()
    await using _held = await takeLock('local', 'local:up', join(state.path, 'holdfast'))
    const { exitCode, output } = await runFile(join(root, 'scripts', 'test.ts'), {
      args: ['rehearsal'],
      env: { XDG_STATE_HOME: state.path },
    })
    assert.match(output, /Cannot run npm test: local:up of the cluster 'local' is running/)
    assert.match(output, /^0 passed, 1 failed$/m)
    assert.is(exitCode, 1)
  },
  LONG,
)

test.run()
