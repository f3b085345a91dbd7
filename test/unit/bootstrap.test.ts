/** The way in from a bare clone. */
import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync, symlinkSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { exec } from '#kit/exec'
import { signalGroup, untilEnded } from '#kit/group'
import { root } from '#kit/paths'
import { assert, suite } from '../suite.ts'
import { createTree, type Tree, urlOf } from './tree-fixture.ts'

const test = suite('bootstrap.mjs')
const LONG = { timeoutMs: 30_000 }

function bootstrap(...args: readonly string[]) {
  return exec(process.execPath, [join(root, 'scripts', 'bootstrap.mjs'), ...args], { accept: [0, 1, 2] })
}

test('an unknown command is answered with the nearest one, and exit code 2', async () => {
  const { exitCode, stderr } = await bootstrap('gaet')
  assert.match(stderr, /^Unknown command 'gaet': did you mean 'gate'\? Known: .*gate.*test/)
  assert.is(exitCode, 2)
})

test('no command is refused too, with those that there are', async () => {
  const { exitCode, stderr } = await bootstrap()
  assert.match(stderr, /^Unknown command ''.*gate/)
  assert.is(exitCode, 2)
})

test('every script of package.json names a command that there is', async () => {
  const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { scripts: Record<string, string> }
  const started = Object.values(manifest.scripts).flatMap((script) => /bootstrap\.mjs (\S+)/.exec(script)?.[1] ?? [])
  const { stderr } = await bootstrap('?')
  const known = /Known: (.*)/.exec(stderr)?.[1]?.split(', ') ?? []
  assert.ok(started.length > 0)
  assert.equal(
    started.filter((name) => !known.includes(name)),
    [],
  )
})

/** A clone of ours with one command, which says when it is ready and when it has cleaned up. */
function createClone(run: string): Tree {
  const tree = createTree({
    'package.json': '{"type":"module"}',
    'package-lock.json': readFileSync(join(root, 'package-lock.json'), 'utf8'),
    'scripts/bootstrap.mjs': readFileSync(join(root, 'scripts', 'bootstrap.mjs'), 'utf8'),
    'scripts/it.ts': `import { setTimeout } from 'node:timers/promises'
import { main } from '${urlOf('scripts/kit/main.ts')}'
await main({ name: 'it', summary: 'Try it', example: 'npm run it', run: async ({ signal, progress }) => { ${run} } })`,
  })
  symlinkSync(join(root, 'node_modules'), join(tree.path, 'node_modules'))
  return tree
}

const UNTIL_STOPPED = `const stopped = new Promise((resolve) => signal.addEventListener('abort', resolve))
progress.say('ready')
const timer = setInterval(() => {}, 1000)
await stopped
await setTimeout(500)
progress.say('cleaned up')
clearInterval(timer)
signal.throwIfAborted()`

/** Runs the command, as the leader of a group, and does `act` to it once it is ready. */
async function runClone(run: string, act: (bootstrap: ChildProcess) => void): Promise<{ exitCode: number | undefined; output: string }> {
  using tree = createClone(run)
  const lines: string[] = []
  const child = spawn(process.execPath, [join(tree.path, 'scripts', 'bootstrap.mjs'), 'it'], { detached: true })
  const onLine = (line: string) => {
    lines.push(line)
    if (line === 'ready') act(child)
  }
  const { exitCode } = await untilEnded(child, { onLine, stopBy: 'SIGKILL', graceMs: 0, timeoutMs: 20_000 })
  return { exitCode, output: lines.join('\n') }
}

for (const [name, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 143],
] as const) {
  test(
    `${name} to it alone is passed on, and the command cleans up`,
    async () => {
      const { exitCode, output } = await runClone(UNTIL_STOPPED, (bootstrap) => bootstrap.kill(name))
      assert.match(output, new RegExp(`${name}: stopping.*cleaned up`, 's'))
      assert.is(exitCode, code)
    },
    LONG,
  )

  test(
    `${name} to its whole group, and to it once more as npm does, is one to the command`,
    async () => {
      const { exitCode, output } = await runClone(UNTIL_STOPPED, (bootstrap) => {
        signalGroup(bootstrap, name)
        setTimeout(() => bootstrap.kill(name), 100)
      })
      assert.match(output, new RegExp(`${name}: stopping.*cleaned up`, 's'))
      assert.is(exitCode, code)
    },
    LONG,
  )
}

test(
  'what Node compiles is kept beside the packages',
  async () => {
    const { output } = await runClone('progress.say(String(process.env.NODE_COMPILE_CACHE))', () => {})
    assert.match(output, /\/node_modules\/\.cache\/node$/)
  },
  LONG,
)

test(
  'a second signal to the whole group ends the command at once',
  async () => {
    const { exitCode, output } = await runClone(UNTIL_STOPPED, (bootstrap) => {
      signalGroup(bootstrap, 'SIGINT')
      setTimeout(() => signalGroup(bootstrap, 'SIGINT'), 100)
    })
    assert.not.match(output, /cleaned up/)
    assert.is(exitCode, 130)
  },
  LONG,
)

test(
  'it ends as a command does that a signal has ended',
  async () => {
    const { exitCode } = await runClone("process.kill(process.pid, 'SIGKILL'); await setTimeout(5000)", () => {})
    assert.is(exitCode, 137)
  },
  LONG,
)

test.run()
