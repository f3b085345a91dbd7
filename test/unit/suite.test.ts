/** Each way in which uvu alone would be green without having tested, as a real process that must be red. */
import { join } from 'node:path'
import { createLimit } from '#kit/limit'
import { pending, ready, waitFor } from '#kit/wait'
import { assert, suite } from '../suite.ts'
import { createTree, type Ended, isRunning, runFile, runSource, urlOf } from './tree-fixture.ts'

const test = suite('suite')
const LONG = { timeoutMs: 30_000 }

/** A test file: `body` is what stands between the imports and the end. */
function runSuite(body: string, env: Record<string, string> = {}): Promise<Ended> {
  const head = `import { assert, suite } from '${urlOf('test/suite.ts')}'\nconst test = suite('it')\n`
  return runSource(head + body, { env: { HOLDFAST_REQUIRE: '', NO_COLOR: '1', ...env }, timeoutMs: 20_000 })
}

interface Red {
  readonly when: string
  readonly body: string
  readonly says: RegExp
  readonly counts: readonly [passed: number, failed: number]
}

const OK = "test('ok', () => {})\n"
const RUN = 'test.run()\n'

const REDS: readonly Red[] = [
  { when: 'a test throws', body: `${OK}test('no', () => { throw new Error('boom') })\n${RUN}`, says: /boom/, counts: [1, 1] },
  {
    when: 'an assertion fails',
    body: `test('no', () => assert.is(1, 2))\n${RUN}`,
    says: /Expected values to be strictly equal/,
    counts: [0, 1],
  },
  {
    when: 'before throws',
    body: `test.before(() => { throw new Error('boom') })\n${OK}${OK}${RUN}`,
    says: /hook 'before' threw: boom/,
    counts: [0, 2],
  },
  {
    when: 'after throws',
    body: `test.after(() => { throw new Error('boom') })\n${OK}${RUN}`,
    says: /hook 'after' threw: boom/,
    counts: [1, 1],
  },
  {
    when: 'before.each throws',
    body: `test.before.each(() => { throw new Error('boom') })\n${OK}${OK}${RUN}`,
    says: /hook 'before.each' threw: boom/,
    counts: [0, 2],
  },
  {
    when: 'after.each throws',
    body: `test.after.each(() => { throw new Error('boom') })\n${OK}${OK}${RUN}`,
    says: /hook 'after.each' threw: boom/,
    counts: [0, 2],
  },
  {
    when: 'something that is no Error is thrown',
    body: `test('no', () => { throw 'boom' })\n${OK}${RUN}`,
    says: /boom \(not an Error\)/,
    counts: [1, 1],
  },
  {
    when: 'undefined is thrown',
    body: `test('no', () => Promise.reject())\n${OK}${RUN}`,
    says: /undefined \(not an Error\)/,
    counts: [1, 1],
  },
  { when: '.run() is missing', body: OK, says: /suite 'it': its \.run\(\) is missing/, counts: [0, 1] },
  {
    when: 'a second suite is not run',
    body: `${OK}${RUN}const other = suite('other')\nother('ok', () => {})`,
    says: /suite 'other': its \.run\(\) is missing/,
    counts: [1, 1],
  },
  { when: 'there are no tests', body: RUN, says: /suite 'it': it has no tests/, counts: [0, 1] },
  {
    when: 'a test is over its deadline',
    body: `test('slow', () => new Promise(() => {}), { timeoutMs: 50 })\n${OK}${RUN}`,
    says: /slow took longer than 50 ms/,
    counts: [1, 1],
  },
  {
    when: 'a hook is over its deadline',
    body: `test.before(() => new Promise(() => {}), { timeoutMs: 50 })\n${OK}${RUN}`,
    says: /hook 'before' took longer than 50 ms/,
    counts: [0, 1],
  },
  {
    when: 'a promise is rejected beside the test',
    body: `test('no', () => { Promise.reject(new Error('boom')) })\n${RUN}`,
    says: /unhandled rejection: Error: boom/,
    counts: [1, 1],
  },
  {
    when: 'a callback throws beside the test',
    body: `test('no', () => { setTimeout(() => { throw new Error('boom') }) })\n${RUN}`,
    says: /uncaught exception: Error: boom/,
    counts: [1, 1],
  },
  {
    when: 'a timer outlives the last test',
    body: `test('no', () => { setInterval(() => {}, 1000) })\n${RUN}`,
    says: /the file does not end: 3\.0 s after its last test it is held by Timeout/,
    counts: [1, 1],
  },
  {
    when: 'the file throws after .run()',
    body: `${OK}${RUN}throw new Error('boom')`,
    says: /uncaught exception: Error: boom/,
    counts: [0, 1],
  },
  {
    when: 'a test is declared after .run()',
    body: `${OK}${RUN}test('late', () => {})`,
    says: /Cannot declare 'late' after \.run\(\)/,
    counts: [0, 1],
  },
  { when: 'a skip has no reason', body: `test.skip('later', ' ')\n${RUN}`, says: /Cannot skip 'later' without a reason/, counts: [0, 1] },
]

/** Started ahead, a few at once: most of a child's time is its start. */
const limit = createLimit(3)
const ended = new Map(REDS.map(({ when, body }) => [when, limit(() => runSuite(body))]))

for (const { when, says, counts } of REDS) {
  test(
    `a file is red when ${when}`,
    async () => {
      const { exitCode, message, output = '' } = { ...(await ended.get(when)) }
      assert.match(output, says)
      assert.equal(message, { passed: counts[0], failed: counts[1], skipped: 0, skips: [] })
      assert.is(exitCode, 1)
    },
    LONG,
  )
}

test(
  'a file is red, and reports nothing, when a test ends the process as if all were well',
  async () => {
    const { exitCode, message, output } = await runSuite(`test('no', () => process.exit(0))\n${OK}${RUN}`)
    assert.match(output, /the file ended before its tests did/)
    assert.is(message, undefined)
    assert.is(exitCode, 1)
  },
  LONG,
)

test(
  'a file is green when its tests pass, with its skips counted and shown',
  async () => {
    const { exitCode, message, output } = await runSuite(`${OK}test.skip('later', 'terraform is missing')\n${RUN}`)
    assert.equal(message, { passed: 1, failed: 0, skipped: 1, skips: ['it: later: terraform is missing'] })
    assert.match(output, /skipped it: later: terraform is missing/)
    assert.is(exitCode, 0)
  },
  LONG,
)

test(
  'a skip is red when what it misses is required',
  async () => {
    const { exitCode, message, output } = await runSuite(`${OK}test.skip('later', 'Terraform is missing')\n${RUN}`, {
      HOLDFAST_REQUIRE: 'docker,terraform',
    })
    assert.match(output, /'later' was skipped, but 'terraform' is required/)
    assert.equal(message, { passed: 1, failed: 1, skipped: 0, skips: [] })
    assert.is(exitCode, 1)
  },
  LONG,
)

test(
  'suites that are declared after a pause at the top of the file run too',
  async () => {
    const late =
      "await new Promise((resolve) => setTimeout(resolve, 200))\nconst late = suite('late')\nlate('no', () => { throw new Error('boom') })\nlate.run()"
    const { message } = await runSuite(`${OK}${RUN}${late}`)
    assert.equal(message, { passed: 1, failed: 1, skipped: 0, skips: [] })
  },
  LONG,
)

test(
  'hooks run around the tests, and those that clean up do so even when something has failed',
  async () => {
    const hooks = ['before', 'after', 'before.each', 'after.each'].map((hook) => `test.${hook}(() => console.log('${hook}!'))`).join('\n')
    const first = "test.after(() => { throw new Error('first') })\n"
    const { output } = await runSuite(`${first}${hooks}\ntest('no', () => { throw new Error('boom') })\n${RUN}`)
    assert.equal(output.match(/[a-z.]+!/g), ['before!', 'before.each!', 'after.each!', 'after!'])
  },
  LONG,
)

test("a test's signal aborts at its deadline", async () => {
  const { output } = await runSuite(
    `test('slow', ({ signal }) => new Promise(() => signal.addEventListener('abort', () => console.log('aborted'))), { timeoutMs: 50 })\n${RUN}`,
  )
  assert.match(output, /aborted/)
})

test(
  'an interrupt fails what runs and what is left, but what cleans up still runs',
  async () => {
    const hooks = "test.after(() => console.log('after!'))\ntest.after.each(() => console.log('after.each!'))\n"
    const body = "test('long', () => { process.kill(process.pid, 'SIGTERM'); return new Promise(() => {}) })\n"
    const { exitCode, message, output } = await runSuite(`${hooks}${body}${OK}${RUN}`)
    assert.match(output, /after\.each!.*after!.*interrupted by SIGTERM/s)
    assert.equal(message, { passed: 0, failed: 2, skipped: 0, skips: [] })
    assert.is(exitCode, 1)
  },
  LONG,
)

test(
  'a file does not outlive the process that started it',
  async () => {
    using tree = createTree({
      'package.json': '{"type":"module"}',
      'it.test.ts': `import { suite } from '${urlOf('test/suite.ts')}'
const test = suite('it')
test('long', () => { console.log('pid', process.pid, ''); return new Promise(() => {}) })
test.run()`,
      'parent.ts': `import { runChild } from '${urlOf('scripts/kit/child.ts')}'
const onLine = (line) => {
  const [, pid] = line.split('pid ')
  if (pid) process.send({ pid: Number(pid) }, () => process.exit(0))
}
await runChild(import.meta.dirname + '/it.test.ts', { onLine })`,
    })
    const { message } = await runFile(join(tree.path, 'parent.ts'))
    const { pid } = message as { pid: number }
    await waitFor('its end', async () => ((await isRunning(pid)) ? pending('it runs') : ready(true)), { timeoutMs: 5000, everyMs: 50 })
  },
  LONG,
)

test('assert.rejects() returns the error whose message matches', async () => {
  const error = await assert.rejects(Promise.reject(new TypeError('no such thing')), /such/)
  assert.instance(error, TypeError)
  await assert.rejects(Promise.reject(new Error('a.b')), 'a.b')
})

test('assert.rejects() fails when nothing is rejected, or something else is', async () => {
  const nothing = await assert.rejects(assert.rejects(Promise.resolve(1), /x/), 'got a value')
  assert.instance(nothing, assert.Assertion)
  await assert.rejects(assert.rejects(Promise.reject(new Error('other')), /x/), "Expected a rejection that matches /x/: got 'other'")
})

test.run()
