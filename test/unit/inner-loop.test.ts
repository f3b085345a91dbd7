/** The inner loop: rounds one at a time, a line each, and bundles that are made anew only when their code has changed. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { eachChange, type SourceChange } from '#core'
import { Failure } from '#kit/errors'
import { bundle } from '#kit/images'
import { root } from '#kit/paths'
import { createProgress } from '#kit/progress'
import { assert, suite } from '../suite.ts'

const test = suite('inner loop')

/** Plain lines, as they are written. */
function recorded() {
  const written: string[] = []
  const stream = { isTTY: false, write: (text: string) => written.push(text) } as unknown as NodeJS.WriteStream
  return { written, progress: createProgress(stream) }
}

/** These changes, then the end. */
function changing(...changes: readonly (readonly string[])[]) {
  const abort = new AbortController()
  const left: SourceChange[] = changes.map((paths) => ({ paths, sinceMs: 0 }))
  const next = async () => {
    const change = left.shift()
    if (change === undefined) abort.abort()
    return change
  }
  return { watch: { next }, signal: abort.signal }
}

test('each change is one round and one plain line, whatever steps it has; a failing round is said, and the next one runs', async () => {
  const { written, progress } = recorded()
  const { watch, signal } = changing(['a'], ['b', 'c', 'd', 'e', 'f'], ['g'])
  await eachChange(watch, { progress, signal }, async ({ paths }, inner) => {
    await inner.step('a step', () => sleep(1))
    if (paths[0] === 'b') throw new Failure({ what: 'Cannot bundle', why: 'a brace is missing' })
    assert.equal(
      inner.timings.map(({ step }) => step),
      ['a step'],
      'of this round alone',
    )
    return 'live'
  })
  assert.equal(written, ['✓ a: live\n', '✗ b, c, d and 2 more: Cannot bundle: a brace is missing\n', '✓ g: live\n'])
  assert.equal(progress.timings, [], 'a round’s steps are its own')
})

test('a bug ends the loop', async () => {
  const { progress } = recorded()
  const { watch, signal } = changing(['a'], ['b'])
  const seen: string[] = []
  await assert.rejects(
    eachChange(watch, { progress, signal }, async ({ paths }) => {
      seen.push(...paths)
      throw new TypeError('no such function')
    }),
    /no such function/,
  )
  assert.equal(seen, ['a'])
})

test('a terminal shows which step a round is at, and keeps one line of it', async () => {
  const written: string[] = []
  const stream = { isTTY: true, columns: 80, rows: 24, write: (text: string) => written.push(text), on() {}, off() {} }
  using progress = createProgress(stream as unknown as NodeJS.WriteStream)
  await progress.round('a', async (inner) => {
    await inner.step('the step', () => sleep(300)) // longer than a frame
    return 'a: live'
  })
  assert.ok(written.some((text) => text.includes('▸ a') && text.includes('the step')))
  assert.match(written.at(-1) ?? '', /✓ a: live\n$/)
})

test('what was said before is not said again in a round, where only what is new counts', async () => {
  const { written, progress } = recorded()
  using _ = progress
  progress.say('no registry answers')
  for (const name of ['a', 'b'])
    await progress.round(name, async (inner) => {
      inner.say('no registry answers')
      inner.say('left out: grafana')
      return `${name}: live`
    })
  assert.is(written.join(''), 'no registry answers\nleft out: grafana\n✓ a: live\n✓ b: live\n')
})

test('a bundle is made anew when its code has changed, and names the line that cannot be read', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-bundle-'))
  try {
    mkdirSync(join(folder, 'service'))
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
    const write = (name: string, text: string) => writeFileSync(join(folder, 'service', name), text)
    write('main.ts', "import { word } from './word.ts'\nconsole.log(word)\n")
    write('word.ts', "export const word = 'one'\n")
    await sleep(20) // files that are as young as the build are read again
    const first = await bundle('service/main.ts', folder)
    assert.is(await bundle('service/main.ts', folder), first, 'nothing has changed')
    write('word.ts', "export const word = 'two'\n")
    assert.match((await bundle('service/main.ts', folder)).text, /"two"/)
    write('word.ts', "export const word = = 'three'\n")
    await assert.rejects(bundle('service/main.ts', folder), /^Cannot bundle service\/main\.ts: service\/word\.ts:1:21: Unexpected/)
    write('word.ts', "export const word = 'four'\n")
    assert.match((await bundle('service/main.ts', folder)).text, /"four"/)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

test.run()
