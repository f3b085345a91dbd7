/** The way in from a bare clone. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { exec } from '#kit/exec'
import { root } from '#kit/paths'
import { assert, suite } from '../suite.ts'

const test = suite('bootstrap.mjs')

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

test.run()
