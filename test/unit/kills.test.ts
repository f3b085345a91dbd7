/** Kills by lot, and what is said of them. */
import { spawn } from 'node:child_process'
import { differencesOf, drawKills, type EndedRun, type Kill, type KillingPlace, playKill, renderKill, VICTIMS, WAYS } from '#core'
import { processesWith } from '#kit/process'
import { pending, ready, waitFor } from '#kit/wait'
import { assert, suite } from '../suite.ts'

const test = suite('kills')

test('the same seed draws the same, every pair of victim and way before any comes again', () => {
  const drawn = drawKills(7, 20)
  assert.equal(drawn, drawKills(7, 20))
  assert.equal(
    drawn.slice(0, 5),
    drawKills(7, 5).map((kill, i) => ({ ...kill, share: drawn[i]?.share })),
  )
  const pairs = drawn.slice(0, 15).map(({ victim, way }) => `${victim} ${way}`)
  assert.is(new Set(pairs).size, VICTIMS.length * WAYS.length)
  assert.equal(
    drawn.map(({ number }) => number),
    Array.from({ length: 20 }, (_, i) => i + 1),
  )
  for (const { share } of drawn) assert.ok(share >= 0 && share < 1)
  assert.not.equal(drawn, drawKills(8, 20))
})

const KILL: Kill = { number: 3, victim: 'prove', way: 'SIGKILL', share: 0.5 }
const fine: EndedRun = { exitCode: 0, ms: 1_000, last: 'done' }

interface Told {
  readonly killed: string[]
}

/** @param endsAfterMs of its own; @param usualMs as a rule. */
function placeOf(
  told: Told,
  given: Partial<Record<'endsAfterMs' | 'usualMs', number>> & Omit<Partial<KillingPlace>, 'usualMs'> & { ended?: EndedRun },
): KillingPlace {
  const { endsAfterMs = 10_000, usualMs = 20, ended = fine, ...own } = given
  return {
    ready: async () => {},
    start() {
      let end: (run: EndedRun) => void = () => {}
      const timer = setTimeout(() => end(fine), endsAfterMs)
      return {
        ended: new Promise((resolve) => (end = resolve)),
        async kill(way) {
          clearTimeout(timer)
          told.killed.push(way)
          end(ended)
        },
      }
    },
    usualMs: () => usualMs,
    next: async () => [fine, fine],
    differences: async () => [],
    ...own,
  }
}

test('a kill is well where the next run ends with 0 and nothing is left', async () => {
  const told: Told = { killed: [] }
  const result = await playKill(KILL, placeOf(told, {}))
  assert.equal(result, { ...KILL, atMs: 10, healedMs: 2_000 })
  assert.equal(told.killed, ['SIGKILL'])
  assert.is(renderKill(result, 20), '✓ 3/20 prove, SIGKILL after 10 ms: the next run took 2.0 s, nothing is left')
})

test('a next run that fails, and a thing that is left, are named', async () => {
  const red = await playKill(KILL, placeOf({ killed: [] }, { next: async () => [{ exitCode: 1, ms: 5, last: 'Cannot' }] }))
  assert.is(renderKill(red, 20), '✗ 3/20 prove, SIGKILL after 10 ms: the next run took 5 ms: the next run ended with 1: Cannot')
  const left = await playKill(KILL, placeOf({ killed: [] }, { differences: async () => ['left over: volume x', 'missing: file y'] }))
  assert.is(left.problem, 'left over: volume x; missing: file y')
})

test('Ctrl-C must end a command with 130, or let it end well', async () => {
  const problem = async (exitCode: number | undefined) =>
    (await playKill({ ...KILL, way: 'SIGINT' }, placeOf({ killed: [] }, { ended: { exitCode, ms: 1, last: 'x' } }))).problem
  assert.is(await problem(130), undefined)
  assert.is(await problem(0), undefined)
  assert.is(await problem(1), 'Ctrl-C ended it with 1: x')
  assert.is(await problem(undefined), 'Ctrl-C ended it with a signal: x')
})

test('one that had ended by then is tried again sooner, and in the end is no kill', async () => {
  const told: Told = { killed: [] }
  assert.is((await playKill(KILL, placeOf(told, { endsAfterMs: 70, usualMs: 200 }))).atMs, 60)
  const never = await playKill(KILL, placeOf(told, { endsAfterMs: 0, usualMs: 60 }))
  assert.is(never.atMs, undefined)
  assert.is(renderKill(never, 20), '- 3/20 prove, SIGKILL: it always had ended by then')
})

test('differencesOf() names what is in one of the two alone', () => {
  assert.equal(differencesOf(['a', 'b'], ['b', 'c']), ['left over: c', 'missing: a'])
  assert.equal(differencesOf(['a'], ['a']), [])
})

test('processesWith() finds what was started with a variable, and by whom it was', async ({ signal }) => {
  const mark = `HOLDFAST_TEST_MARK=${process.pid}-${Date.now()}`
  const [name = '', value] = mark.split('=')
  assert.equal(await processesWith(mark), [])
  const child = spawn('sh', ['-c', 'sleep 60 & wait'], { env: { ...process.env, [name]: value }, detached: true })
  const count = async () => ((await processesWith(mark)).length === 2 ? ready(undefined) : pending('not both'))
  await waitFor('both processes', count, { timeoutMs: 5_000, everyMs: 20, signal })
  process.kill(-(child.pid ?? 0), 'SIGKILL')
  const none = async () => ((await processesWith(mark)).length === 0 ? ready(undefined) : pending('some'))
  await waitFor('them to be gone', none, { timeoutMs: 5_000, everyMs: 20, signal })
})

test.run()
