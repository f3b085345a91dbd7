/** Running a program: what its error says, and what it must not say. */
import { exec } from '#kit/exec'
import { assert, suite } from '../suite.ts'
import { isRunning } from './tree-fixture.ts'

const test = suite('exec()')
const node = process.execPath

test('it returns what the program printed', async () => {
  const { stdout, stderr, exitCode } = await exec(node, ['-e', "console.log('out'); console.error('err')"])
  assert.equal([stdout, stderr, exitCode], ['out\n', 'err\n', 0])
})

test('it passes arguments on as they are', async () => {
  const odd = ['a b', "it's", '$HOME', '`id`', '', '*']
  const { stdout } = await exec(node, ['-p', 'JSON.stringify(process.argv.slice(1))', ...odd])
  assert.equal(JSON.parse(stdout), odd)
})

test('its error says what ran, how it ended, and what it said last', async () => {
  const script = 'for (let i = 0; i < 100; i++) console.error("line " + i); process.exitCode = 7'
  const error = await assert.rejects(
    exec('node', ['-e', script, 'third', 'fourth']),
    /^'node -e .* …' failed with exit code 7 after \d+(\.\d)? m?s\nline 80\n/,
  )
  assert.match(error.message, /line 99$/)
  assert.not.match(error.message, 'line 79')
  assert.not.match(error.message, 'fourth')
})

test('its error shows what was printed where nothing went to stderr', async () => {
  await assert.rejects(exec(node, ['-e', 'console.log("only out"); process.exitCode = 1']), /failed with exit code 1 after .*\nonly out$/s)
})

test('its error says when a signal ended the program, and when the time was over', async () => {
  await assert.rejects(exec(node, ['-e', 'process.kill(process.pid, "SIGKILL")']), /was killed by SIGKILL|failed with exit code 137/)
  const started = performance.now()
  await assert.rejects(exec(node, ['-e', 'setInterval(() => {}, 1000)'], { timeoutMs: 300 }), /^'.*' timed out after \d/)
  assert.ok(performance.now() - started < 8000)
})

test('a program that is not there is an error', async () => {
  await assert.rejects(exec('holdfast-no-such-program', []), /failed with exit code 127/)
})

test('exit codes that are an answer are accepted', async () => {
  assert.is((await exec(node, ['-e', 'process.exitCode = 3'], { accept: [0, 3] })).exitCode, 3)
  await assert.rejects(exec(node, ['-e', 'process.exitCode = 2'], { accept: [0, 3] }), /exit code 2/)
})

test("it throws the signal's reason when that aborts", async () => {
  const abort = new AbortController()
  setTimeout(() => abort.abort(new Error('Interrupted by SIGINT')), 200)
  await assert.rejects(exec(node, ['-e', 'setInterval(() => {}, 1000)'], { signal: abort.signal }), 'Interrupted by SIGINT')
})

test('a secret in the environment reaches the program and no error', async () => {
  const secret = ['hunter', '2'].join('')
  const print = await exec(node, ['-p', 'process.env.TOKEN'], { env: { TOKEN: secret } })
  assert.is(print.stdout, `${secret}\n`)
  const error = await assert.rejects(exec(node, ['-e', 'process.exitCode = 1'], { env: { TOKEN: secret } }), /exit code 1/)
  assert.not.match(`${error.message}${error.stack}${JSON.stringify(error)}`, secret)
})

test('it feeds input, and lines as they come', async () => {
  const lines: string[] = []
  await exec(node, ['-e', 'process.stdin.pipe(process.stdout)'], { input: 'one\ntwo\n', onLine: (line) => lines.push(line) })
  assert.equal(lines, ['one', 'two'])
})

test('lines of a program that fails are fed before its error', async () => {
  const lines: string[] = []
  const running = exec(node, ['-e', 'console.log("one"); process.exitCode = 1'], { onLine: (line) => lines.push(line) })
  await assert.rejects(running, /exit code 1/)
  assert.equal(lines, ['one'])
})

test('a program that ends well because its time is over has failed', async () => {
  const script = "process.on('SIGTERM', () => process.exit(0)); console.log('ready'); setInterval(() => {}, 1000)"
  await assert.rejects(exec(node, ['-e', script], { timeoutMs: 1000 }), /timed out after \d.*\nready$/s)
})

test('onLine is told of errors too: progress is printed there', async () => {
  const lines: string[] = []
  await exec(node, ['-e', 'console.error("step"); console.log("result")'], { onLine: (line) => lines.push(line) })
  assert.equal(lines.toSorted(), ['result', 'step'])
})

test('what onLine throws is what exec() throws, and the program has ended by then', async () => {
  const refuse = (line: string) => {
    throw new RangeError(`cannot take ${line}`)
  }
  const script = 'console.log(process.pid); setInterval(() => {}, 1000)'
  const error = await assert.rejects(exec(node, ['-e', script], { onLine: refuse }), /^cannot take \d+$/)
  assert.instance(error, RangeError)
  assert.not.ok(await isRunning(Number(error.message.split(' ').at(-1))))
})

test.run()
