/** What a person follows while a scenario runs, from kept records, and on a real terminal. */
import { createLive, type RecordedEvent, type Round } from '#core'
import { exec } from '#kit/exec'
import { assert, suite } from '../suite.ts'
import { keptRecord } from './report-fixture.ts'
import { ESC, screenOf } from './screen-fixture.ts'
import { createTree, runSource, urlOf } from './tree-fixture.ts'

const test = suite('live')

const COLOUR = new RegExp(`${ESC}\\[\\d+m`)

const plain = (_colour: string, text: string) => text

/** The lines when a round of a kept record had run for so long. */
function linesAt(name: string, afterMs: number): string[] {
  const round = keptRecord(name).rounds[0] as Round
  const nowMs = round.startedAtMs + afterMs
  const live = createLive(() => nowMs)
  for (const event of round.events.filter(({ atMs }) => atMs <= nowMs)) live.see(event)
  return live.lines(plain)
}

test('before anything is known nothing is shown', () => {
  assert.equal(createLive().lines(plain), [])
})

test('load and pods: a hung pod leaves the traffic and comes back', () => {
  const hung = linesAt('process-hangs', 20_000)
  assert.match(hung[0] ?? '', /^load {4}\d+ req\/s {2}\d+ of \d+ failed {2}p95 \d+ ms {2}[▁-█]{10,24}$/)
  assert.is(hung[1], 'pods    1 ready, 1 starting')
  assert.is(linesAt('process-hangs', 60_000)[1], 'pods    2 ready')
})

test('an alert with the time that it has been so, and its last message', () => {
  assert.match(linesAt('alert-fires', 10_000).join('\n'), /^alerts {2}HighErrorRate pending \d\.\d s$/m)
  assert.match(
    linesAt('alert-fires', 18_000).join('\n'),
    /^alerts {2}HighErrorRate firing \d\.\d s, last message \[FIRING:1\] HighErrorRate$/m,
  )
  assert.match(linesAt('alert-fires', 50_000).join('\n'), /^alerts {2}HighErrorRate inactive, last message \[RESOLVED\] HighErrorRate$/m)
})

test('a source that cannot be asked is said, and forgotten once it answers again', () => {
  const at = (atMs: number) => {
    const live = createLive(() => atMs)
    live.see({ type: 'UNOBSERVED', source: 'messages at the sink', value: 'other side closed\n', atMs: 1_000 })
    return live.lines(plain)
  }
  assert.equal(at(2_000), ['blind   other side closed'])
  assert.equal(at(10_000), [])
})

test('what is not as it should be of everything else is named', () => {
  const lines = linesAt('good-canary-promoted', 15_000)
  assert.is(lines.at(-1), 'cluster Rollout service Progressing, AnalysisRun service-544989965-4-1 Running')
})

test('what it cannot read leaves the run alone', () => {
  const live = createLive()
  live.see({ type: 'ADDED', object: { kind: 'Pod' }, atMs: 0 } as RecordedEvent)
  assert.equal(live.lines(plain), [])
})

test('text from a cluster does not steer the terminal', () => {
  const live = createLive(() => 0)
  const value = { title: '\x1b[2J\u009b31mboo', channel: '#x', state: 'firing' }
  live.see({ type: 'OBSERVED', source: 'messages', value, atMs: 0 } satisfies RecordedEvent)
  assert.equal(live.lines(plain), ['alerts  last message [2J31mboo'])
})

// ── On a terminal ───────────────────────────────────────────────────────────────────────────────────────────────────

/** A run of 1.5 s whose live view is fed from a kept record; it ends by itself unless it is told to stop. */
const SOURCE = `import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
const { createLive } = await import('${urlOf('scripts/core/live.ts')}')
const { main } = await import('${urlOf('scripts/kit/main.ts')}')
const { events } = JSON.parse(readFileSync('${urlOf('test/unit/records/process-hangs.json').replace('file://', '')}', 'utf8')).rounds[0]
await main({ name: 'it', summary: 'Try it', example: 'it', run: ({ progress, signal }) => progress.step('process-hangs', async (note) => {
  const live = createLive(() => events.at(-1).atMs)
  note('its container is started anew', live.lines)
  for (const event of events) live.see(event)
  if (process.env.INTERRUPT) setTimeout(() => process.kill(process.pid, 'SIGINT'), 700)
  await sleep(1500, undefined, { signal })
}) })`

/** In a pseudo-terminal of util-linux's script. */
async function onTerminal(env: Readonly<Record<string, string>> = {}): Promise<{ output: string; exitCode: number }> {
  using tree = createTree({ 'package.json': '{"type":"module"}', 'it.ts': SOURCE })
  // Where CI is set, Node takes a terminal for one without colours.
  const command = `unset CI; stty cols 60 rows 20; exec '${process.execPath}' '${tree.path}/it.ts'`
  const { stdout, exitCode } = await exec('script', ['--quiet', '--return', '--command', command, '/dev/null'], {
    env: { TERM: 'xterm-256color', ...env },
    accept: [0, 130],
    timeoutMs: 25_000,
  })
  return { output: stdout, exitCode }
}

const TERMINAL_TESTS: Readonly<Record<string, () => Promise<void>>> = {
  'on a terminal the view is drawn in colour, and leaves one line': async () => {
    const { output, exitCode } = await onTerminal()
    assert.is(exitCode, 0)
    assert.match(output, /▸ process-hangs \d+ ms its container is started anew/)
    assert.ok(output.includes(`${ESC}[31m64 of 751 failed${ESC}[39m`))
    assert.ok(output.includes(`${ESC}[32m2 ready${ESC}[39m`))
    assert.match(screenOf(output).join('\n'), /^✓ process-hangs \(\d+\.\d s\)\n$/)
    assert.is(output.includes(`${ESC}[?`), false, 'no mode of the terminal is changed')
  },

  'NO_COLOR keeps the view, and no colour': async () => {
    const { output } = await onTerminal({ NO_COLOR: '1' })
    assert.match(output, / 64 of 751 failed/)
    assert.is(COLOUR.test(output), false)
  },

  'an interrupt leaves the terminal clean': async () => {
    const { output, exitCode } = await onTerminal({ INTERRUPT: '1' })
    assert.is(exitCode, 130)
    assert.match(screenOf(output).join('\n'), /^SIGINT: stopping .*\n✗ process-hangs \(.*\)\nInterrupted by SIGINT\n$/)
  },
}

const hasScript = await exec('script', ['--version']).then(
  ({ stdout }) => stdout.includes('util-linux'),
  () => false,
)
for (const [name, body] of Object.entries(TERMINAL_TESTS)) {
  if (hasScript) test(name, body, { timeoutMs: 30_000 })
  else test.skip(name, 'script of util-linux, which makes a terminal, is not installed')
}

test('without a terminal there is no control sequence at all', async () => {
  const { output } = await runSource(SOURCE)
  assert.is(output.includes(ESC), false)
  assert.match(output, /^▸ process-hangs\n✓ process-hangs \(\d+\.\d s\)$/)
})

test.run()
