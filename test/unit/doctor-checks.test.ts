/** What checks are to a command: looked at side by side, mended, insisted on, shown, and what explains a failure. */
import { setTimeout as sleep } from 'node:timers/promises'
import {
  bad,
  type Check,
  examine,
  examinedJson,
  explainFailure,
  type Finding,
  fine,
  insist,
  isBad,
  mend,
  type Run,
  renderExamined,
  unknown,
  warn,
} from '#core'
import { UserError } from '#kit/errors'
import { namesIn, pickNamed } from '#kit/pick'
import { assert, suite } from '../suite.ts'

const test = suite('doctor-checks')

const checkOf = (name: string, look: Check['look'], more: Partial<Check> = {}): Check => ({
  name,
  minimum: 'much',
  why: 'Nothing works without it',
  fix: `Mend ${name}`,
  look,
  ...more,
})

/** Remembers what is said. */
function runFor(signal: AbortSignal): { run: Run; said: string[] } {
  const said: string[] = []
  const progress = { say: (text: string) => void said.push(text), step: (_title: string, work: () => unknown) => work(), timings: [] }
  return { run: { signal, progress: progress as unknown as Run['progress'] }, said }
}

test('examine() looks side by side; one that hangs, or throws, is unknown and holds up no other', async () => {
  const started = performance.now()
  const slow = async () => sleep(60, fine('slow'))
  const examined = await examine(
    [
      checkOf('a', slow),
      checkOf('b', slow),
      checkOf('hangs', () => new Promise<Finding>(() => {})),
      checkOf('throws', async () => Promise.reject(new Error('no answer\nand more'))),
    ],
    { limitMs: 500 },
  )
  assert.ok(performance.now() - started < 2_000)
  assert.equal(
    examined.map(({ finding }) => finding),
    [fine('slow'), fine('slow'), unknown('the look did not end within 500 ms'), unknown('no answer')],
  )
})

test('examine() shows a bug as one and looks at the others all the same; it ends when the run does', async () => {
  const broken = checkOf('broken', async () => Promise.reject(new TypeError('x is undefined')))
  const examined = await examine([broken, checkOf('whole', async () => fine('here'))])
  assert.equal(
    examined.map(({ finding }) => finding),
    [unknown('a bug of this entry, please report it: x is undefined'), fine('here')],
  )
  const stopped = examine([checkOf('hangs', () => new Promise<Finding>(() => {}))], { signal: AbortSignal.timeout(20) })
  await assert.rejects(stopped, /timeout/i)
})

test('mend() mends what was warned of, and looks at all of them again', async ({ signal }) => {
  let level = 128
  let looks = 0
  const raise = async () => {
    level = 512
  }
  const limit = checkOf('limit', async () => (level < 512 ? warn(`${level}`) : fine(`${level}`)), { mend: raise })
  const other = checkOf('other', async () => fine(`look ${++looks}`), { mend: async () => assert.unreachable('it is well') })
  const { run } = runFor(signal)
  const before = await examine([limit, other])
  const after = await mend(before, run)
  assert.equal(
    after.map(({ finding }) => finding),
    [fine('512'), fine('look 2')],
  )
  assert.is(await mend(after, run), after)
})

test('insist() begins nothing where something is bad, and names all of it with what to do', async ({ signal }) => {
  const { run } = runFor(signal)
  const mends = checkOf('mends', async () => warn('off'), { mend: async () => assert.unreachable('nothing is begun') })
  const refused = insist(
    [mends, checkOf('disk', async () => bad('1 GB')), checkOf('memory', async () => bad('2 GB', 'Close something'))],
    run,
  )
  const thrown = await assert.rejects(
    refused,
    /^Cannot start: disk: 1 GB \(needed: much\); memory: 2 GB \(needed: much\)\. Mend disk\. Close something\. npm run doctor shows all of this machine$/,
  )
  assert.instance(thrown, UserError)
})

test('a failure is explained by what it reads like, as it is seen now, and by all else that is bad', async () => {
  const disk = checkOf('disk', async () => fine('20 GB'), { symptoms: /no space left/ })
  const memory = checkOf('memory', async () => bad('1 GB', 'Close something'))
  const dark = checkOf('dark', async () => unknown('no engine'))
  assert.equal(await explainFailure([disk, memory, dark], 'write: no space left on device'), [
    "That is how it reads where 'disk' is at fault. Nothing works without it. Seen now: 20 GB (needed: much). Mend disk",
    "'memory' is bad on this machine. Nothing works without it. Seen now: 1 GB (needed: much). Close something",
    'npm run doctor shows all of this machine',
  ])
  assert.equal(await explainFailure([disk, dark], 'Waited 5 min for everything'), [])
})

test('insist() goes on where nothing is bad, and says what it could not mend', async ({ signal }) => {
  const { run, said } = runFor(signal)
  const limit = checkOf('limit', async () => warn('128'), { mend: async () => {} })
  await insist([limit, checkOf('look', async () => warn('old')), checkOf('dark', async () => unknown('no engine'))], run)
  assert.equal(said, ['limit: 128. Nothing works without it. Mend limit'])
})

test('the table says what is, what must be, why and what to do; JSON is one array with a name each', async () => {
  const examined = await examine([
    checkOf('fits', async () => fine('here')),
    checkOf('lacks', async () => bad('nothing')),
    checkOf('dark', async () => unknown('no engine answers')),
  ])
  assert.equal(renderExamined(examined, (_colour, text) => text).split('\n'), [
    '         what   found              needed',
    'ok       fits   here               much',
    'bad      lacks  nothing            much',
    '         Nothing works without it.',
    '         → Mend lacks.',
    'unknown  dark   no engine answers  much',
    '1 ok, 0 warn, 1 bad, 1 unknown',
  ])
  const [fits, lacks, dark] = examinedJson(examined) as Record<string, unknown>[]
  assert.equal({ ...fits, ms: 0 }, { name: 'fits', level: 'ok', found: 'here', minimum: 'much', why: 'Nothing works without it', ms: 0 })
  assert.equal([lacks?.level, lacks?.fix], ['bad', 'Mend lacks'])
  assert.equal([dark?.level, dark?.reason, dark?.found], ['unknown', 'no engine answers', undefined])
  assert.equal(examined.map(isBad), [false, true, false])
})

test('names are picked in the order of the list, and a wrong one is answered with the nearest', () => {
  const all = [{ name: 'engine' }, { name: 'disk' }]
  assert.equal(pickNamed(all, namesIn(' disk , engine'), 'look at'), all)
  assert.equal(pickNamed(all, namesIn(''), 'look at'), all)
  assert.throws(() => pickNamed(all, ['dsik'], 'look at'), /^Cannot look at 'dsik': there is none of that name\. Did you mean 'disk'\?/)
})

test.run()
