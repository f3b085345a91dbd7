/** Steps as they are shown: plain lines in a log, redrawn on a terminal. */
import { PassThrough } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { stripVTControlCharacters } from 'node:util'
import { createProgress, formatMs, type Progress, type ProgressOptions, timingsJson } from '#kit/progress'
import { runStage } from '#kit/stage'
import { assert, suite } from '../suite.ts'
import { ESC, screenOf } from './screen-fixture.ts'

const test = suite('progress')

function record(isTty: boolean, options: ProgressOptions = {}): { progress: Progress; written: string[]; stream: Screen } {
  const written: string[] = []
  const stream: Screen = Object.assign(new PassThrough(), { isTTY: isTty, columns: 40, rows: 24 })
  stream.write = (text: string) => written.push(text) > 0
  return { progress: createProgress(stream as unknown as NodeJS.WriteStream, options), written, stream }
}

type Screen = PassThrough & { isTTY: boolean; columns: number; rows: number }

test('without a terminal each start and end is a plain line', async () => {
  const { progress, written } = record(false)
  assert.is(await progress.step('build', async () => 42), 42)
  await assert.rejects(
    progress.step('push', () => Promise.reject(new Error('boom'))),
    'boom',
  )
  progress.say('done')
  const shown = written.join('').replace(/\(\d+ ms\)/g, '(N ms)')
  assert.is(shown, '▸ build\n✓ build (N ms)\n▸ push\n✗ push (N ms)\ndone\n')
  assert.not.match(shown, '\x1b')
  assert.equal(
    progress.timings.map(({ step, outcome }) => [step, outcome]),
    [
      ['build', 'ok'],
      ['push', 'failed'],
    ],
  )
})

test('timings are one line of JSON, in whole milliseconds, the failed steps among them', async () => {
  const { progress } = record(false)
  await progress.step('it’s "done"', async () => {})
  await progress.step('push', () => Promise.reject(new Error('boom'))).catch(() => {})
  const line = timingsJson(progress, 12.7)
  assert.match(line, /^[^\n]+\n$/)
  const { elapsedMs, steps } = JSON.parse(line)
  assert.is(elapsedMs, 13)
  assert.equal(
    steps.map(({ step, outcome }: { step: string; outcome: string }) => [step, outcome]),
    [
      ['it’s "done"', 'ok'],
      ['push', 'failed'],
    ],
  )
  assert.ok(steps.every(({ ms }: { ms: number }) => Number.isInteger(ms)))
})

test('on a terminal a running step is redrawn, cut to the width', async () => {
  const { progress, written } = record(true)
  await progress.step('wait', async (note) => {
    note('x'.repeat(100))
    progress.say('a line above')
  })
  progress[Symbol.dispose]()
  const lines = written.join('').split('\n')
  assert.ok(lines.includes('\x1b[1A\x1b[0Ja line above'), 'the step is erased before a line is printed')
  assert.ok(
    lines.every((line) => stripVTControlCharacters(line).length < 40),
    'no line wraps',
  )
})

test('what a step shows below itself is asked for at each frame, coloured, and gone at its end', async () => {
  const { progress, written } = record(true)
  let asked = 0
  await progress.step('watch', async (note) => {
    note('waiting', (paint) => [paint('red', `asked ${++asked}`), 'y'.repeat(100)])
    await sleep(500)
    const shown = screenOf(written.join(''))
    assert.match(shown[0] ?? '', /^▸ watch \d+ ms waiting$/)
    assert.is(shown[1], `    asked ${asked}`)
    assert.ok((shown[2] ?? '').length < 40 && shown[2]?.endsWith('…'))
  })
  progress[Symbol.dispose]()
  assert.ok(asked >= 2)
  const last = screenOf(written.join(''))
  assert.match(last[0] ?? '', /^✓ watch/)
  assert.equal(last.slice(1), [''])
})

test('a terminal that became narrower and lower is drawn anew, with nothing left of what was there', async () => {
  const { progress, written, stream } = record(true)
  await progress.step('x'.repeat(30), async (note) => {
    note('', () => ['one', 'two', 'three'])
    await sleep(250)
    written.length = 0
    Object.assign(stream, { columns: 20, rows: 3 })
    stream.emit('resize')
    // Of four lines the first, 38 wide, has become two.
    assert.is(written[0]?.startsWith(`${ESC}[5A${ESC}[0J`), true, JSON.stringify(written[0]))
    assert.is(written[0]?.split('\n').length, 3)
  })
  progress[Symbol.dispose]()
  assert.is(stream.listenerCount('resize'), 0)
})

test('without a terminal a step that shows more says so now and then, without colour', async () => {
  const { progress, written } = record(false, { plainMs: 50 })
  await progress.step('quiet', () => sleep(120))
  await progress.step('watch', async (note) => {
    note('waiting', (paint) => [paint('red', 'load 5 req/s'), 'pods 2 ready'])
    await sleep(130)
  })
  progress[Symbol.dispose]()
  const said = written.join('').split('\n')
  assert.match(said[3] ?? '', /^ {2}watch \d+ ms waiting \| load 5 req\/s \| pods 2 ready$/)
  assert.ok(said.length >= 6, said.join('\n'))
})

test('runStage() marks a bad value as failed and returns it', async () => {
  const { progress, written } = record(false)
  const isGood = (problems: readonly string[]) => problems.length === 0
  assert.equal(await runStage('lint', async () => ['a'], { progress, isGood }), ['a'])
  assert.equal(await runStage('types', async () => [], { progress, isGood }), [])
  await assert.rejects(
    runStage('secrets', () => Promise.reject<string[]>(new Error('boom')), { progress, isGood }),
    'boom',
  )
  assert.match(written.join(''), /✗ lint.*✓ types.*✗ secrets/s)
})

test('formatMs() uses the unit that one would say', () => {
  const said = [0, 849.6, 999, 1000, 4249, 59_949, 60_000, 185_000, 3_600_000].map(formatMs)
  assert.equal(said, ['0 ms', '850 ms', '999 ms', '1.0 s', '4.2 s', '59.9 s', '1 min 00 s', '3 min 05 s', '60 min 00 s'])
})

test('formatMs() rounds into the next unit', () => {
  assert.equal([999.7, 59_960, 119_700].map(formatMs), ['1.0 s', '1 min 00 s', '2 min 00 s'])
})

test.run()
