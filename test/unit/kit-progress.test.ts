/** Steps as they are shown: plain lines in a log, redrawn on a terminal. */
import { stripVTControlCharacters } from 'node:util'
import { createProgress, formatMs, type Progress } from '#kit/progress'
import { runStage } from '#kit/stage'
import { assert, suite } from '../suite.ts'

const test = suite('progress')

function record(isTty: boolean): { progress: Progress; written: string[] } {
  const written: string[] = []
  const stream = { isTTY: isTty, columns: 40, write: (text: string) => written.push(text) > 0 }
  return { progress: createProgress(stream as unknown as NodeJS.WriteStream), written }
}

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
