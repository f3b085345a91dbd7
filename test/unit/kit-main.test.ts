/** The edge of every command: flags in, exit code out. */
import { join } from 'node:path'
import { runChild } from '#kit/child'
import { type CommandSpec, parse } from '#kit/main'
import { pending, ready, waitFor } from '#kit/wait'
import { assert, suite } from '../suite.ts'
import { createTree, type Ended, isRunning, runFile, runSource, urlOf } from './tree-fixture.ts'

const test = suite('main()')

interface Flags {
  readonly images: string
  readonly dryRun?: boolean
}

const spec: CommandSpec<Flags> = {
  name: 'local:up',
  summary: 'Bring it up',
  example: 'npm run local:up',
  declare: (command) => command.option('--images <way>', 'how', 'auto').option('--dry-run', 'only say').argument('[name]'),
  run: async () => 0,
}

/** A command whose `run` is this text. */
function runCommand(run: string, ...args: readonly string[]): Promise<Ended> {
  const head = `import { main } from '${urlOf('scripts/kit/main.ts')}'\nimport { Failure, UserError } from '${urlOf('scripts/kit/errors.ts')}'\n`
  const declare = "(command) => command.option('--images <way>', 'how')"
  return runSource(
    `${head}await main({ name: 'it', summary: 'Try it', example: 'npm run it', declare: ${declare}, run: async ({ signal, progress }) => { ${run} } })`,
    { args },
  )
}

test('parse() gives flags, defaults and arguments', () => {
  assert.equal(parse(spec, []), { flags: { images: 'auto' }, args: [] })
  assert.equal(parse(spec, ['--images', 'build', '--dry-run', 'dev']), { flags: { images: 'build', dryRun: true }, args: ['dev'] })
})

test('an unknown flag is answered with the nearest one, and exit code 2', async () => {
  const { exitCode, output } = await runCommand('', '--imges', 'x')
  assert.match(output, /unknown option '--imges'\n\(Did you mean --images\?\)/)
  assert.is(exitCode, 2)
})

test('an argument too many is refused', async () => {
  const { exitCode, output } = await runCommand('', 'extra')
  assert.match(output, /too many arguments/)
  assert.is(exitCode, 2)
})

test('--help shows the summary and the example', async () => {
  const { exitCode, output } = await runCommand('', '--help')
  assert.match(output, /Usage: npm run it -- \[options\]\s+Try it.*Example:\s+npm run it/s)
  assert.is(exitCode, 0)
})

test('the exit code is what run returns, and 0 without one', async () => {
  const codes = await Promise.all(['', 'return 1', 'return 5'].map(async (run) => (await runCommand(run)).exitCode))
  assert.equal(codes, [0, 1, 5])
})

test('an explained error is one sentence: 2 for bad input, 1 for a failure', async () => {
  const bad = await runCommand("throw new UserError({ what: 'Cannot do it', why: 'no name', next: 'Give one' })")
  assert.equal([bad.output, bad.exitCode], ['Cannot do it: no name. Give one', 2])
  const failure = await runCommand("throw new Failure({ what: 'Cannot do it', why: 'no network' })")
  assert.equal([failure.output, failure.exitCode], ['Cannot do it: no network', 1])
})

test('what explains a failure stands below it; bad input has said its next step itself', async () => {
  const explained = (thrown: string) =>
    runSource(
      `import { main } from '${urlOf('scripts/kit/main.ts')}'\nimport { Failure, UserError } from '${urlOf('scripts/kit/errors.ts')}'\n` +
        "await main({ name: 'it', summary: 'Try it', example: 'npm run it', declare: (it) => it.option('--name <name>', 'whose', 'demo'), " +
        "explain: async (message, { name }) => [name + ': ' + message], " +
        `run: async () => { throw ${thrown} } })`,
    )
  const failure = await explained("new Failure({ what: 'Cannot do it', why: 'no room' })")
  assert.equal([failure.output, failure.exitCode], ['Cannot do it: no room\ndemo: Cannot do it: no room', 1])
  assert.is((await explained("new UserError({ what: 'Cannot do it', why: 'no name' })")).output, 'Cannot do it: no name')
  assert.match((await explained("new TypeError('x')")).output, /TypeError: x\n.*\ndemo: x$/s)
})

test('what explains a failure and fails itself hides nothing of it, nor its exit code', async () => {
  const { output, exitCode } = await runSource(
    `import { main } from '${urlOf('scripts/kit/main.ts')}'\nimport { Failure } from '${urlOf('scripts/kit/errors.ts')}'\n` +
      "await main({ name: 'it', summary: 'Try it', example: 'npm run it', explain: async () => { throw new Error('no cluster') }, " +
      "run: async () => { throw new Failure({ what: 'Cannot do it', why: 'no room' }) } })",
  )
  assert.is(output, 'Cannot do it: no room\nWhat else there is to say of it cannot be found out: no cluster')
  assert.is(exitCode, 1)
})

test('any other error is a bug and shows its stack', async () => {
  const { exitCode, output } = await runCommand("throw new TypeError('x is not a function')")
  assert.match(output, /This is a bug in Holdfast.*\nTypeError: x is not a function\n {4}at /s)
  assert.is(exitCode, 1)
})

test('output that a pipe has not taken yet is not lost', async () => {
  const { output } = await runCommand("process.stdout.write('x'.repeat(1_000_000) + '\\n')")
  assert.is(output.length, 1_000_000)
})

for (const [name, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  test(`${name} aborts the signal, lets run clean up, and ends with ${code}`, async () => {
    const wait =
      "await new Promise((_, reject) => { signal.addEventListener('abort', () => { progress.say('cleaned up'); reject(signal.reason) }); setInterval(() => {}, 1000)"
    const { exitCode, output } = await runCommand(`${wait}; process.kill(process.pid, '${name}') })`)
    assert.match(output, new RegExp(`${name}: stopping.*cleaned up\nInterrupted by ${name}`, 's'))
    assert.is(exitCode, code)
  })
}

test('runChild() ends what a file has started with it when the time is over, even what will not', async () => {
  const stubborn = 'trap : TERM; while :; do sleep 1; done'
  const source = `import { spawn } from 'node:child_process'
const child = spawn('sh', ['-c', '${stubborn}'])
process.send({ pid: child.pid })
setInterval(() => {}, 1000)`
  const { timedOut, message } = await runSource(source, { timeoutMs: 1500 })
  assert.ok(timedOut)
  const { pid } = message as { pid: number }
  await waitFor('its end', async () => ((await isRunning(pid)) ? pending('it runs') : ready(true)), { timeoutMs: 3000, everyMs: 50 })
})

test("runChild() throws the signal's reason when that aborts", async () => {
  const abort = new AbortController()
  setTimeout(() => abort.abort(new Error('Interrupted by SIGINT')), 300)
  await assert.rejects(runSource('setInterval(() => {}, 1000)', { signal: abort.signal }), 'Interrupted by SIGINT')
})

test('what runChild() runs ends with the process that waits for it, even where that ends at once', async () => {
  using tree = createTree({
    'package.json': '{"type":"module"}',
    'child.ts': "console.log('pid', process.pid)\nsetInterval(() => {}, 1000)",
    'parent.ts': `import { runChild } from '${urlOf('scripts/kit/child.ts')}'
await runChild(import.meta.dirname + '/child.ts', { onLine: (line) => process.send({ pid: Number(line.split(' ')[1]) }, () => process.exit(0)) })`,
  })
  // What it leaves in its own group is ended with it; what it runs leads another one.
  const { message } = await runFile(join(tree.path, 'parent.ts'))
  const { pid } = message as { pid: number }
  await waitFor('its end', async () => ((await isRunning(pid)) ? pending('it runs') : ready(true)), { timeoutMs: 3000, everyMs: 50 })
})

test('runChild() ends a file whose line cannot be taken, and throws why', async () => {
  const take = (line: string) => {
    throw new RangeError(`cannot take ${line}`)
  }
  using tree = createTree({ 'package.json': '{"type":"module"}', 'it.ts': "console.log('one')\nsetInterval(() => {}, 1000)" })
  await assert.rejects(runChild(join(tree.path, 'it.ts'), { onLine: take }), 'cannot take one')
})

test.run()
