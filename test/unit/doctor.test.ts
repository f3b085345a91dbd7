/** The doctor: every entry on what triggers it, the engine of the catalogue, and the command on this machine. */
import { createServer } from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { stripVTControlCharacters } from 'node:util'
import {
  bad,
  behindFailure,
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
import { whyNoRegistry } from '#kit/hub'
import { root } from '#kit/paths'
import { namesIn, pickNamed } from '#kit/pick'
import { checksOf, ENTRIES } from '../../local/doctor/catalogue.ts'
import { mountOf } from '../../local/doctor/files.ts'
import { isAtLeast } from '../../local/doctor/numbers.ts'
import { overlaps, routesIn, split, subnetOf } from '../../local/doctor/subnets.ts'
import { extraCa } from '../../local/node-container.ts'
import { assert, suite } from '../suite.ts'
import { ENGINE } from './doctor/engine.ts'
import { FAILURES } from './doctor/failures.ts'
import { MACHINE } from './doctor/machine.ts'
import { NETWORK } from './doctor/network.ts'
import { TOOLS } from './doctor/tools.ts'
import { createTree, runFile } from './tree-fixture.ts'

const test = suite('doctor')
const LONG = { timeoutMs: 60_000 }
const CHECKS = checksOf({ name: 'local' })
const FIXTURES = [...ENGINE, ...MACHINE, ...NETWORK, ...TOOLS]

const shown = (finding: Finding, fix: string) =>
  finding.level === 'unknown' ? finding.reason : `${finding.found}\n${('fix' in finding && finding.fix) || fix}`
const entryOf = (name: string) => ENTRIES.find((each) => each.name === name) ?? assert.unreachable(name)

// ── Entries ─────────────────────────────────────────────────────────────────────────────────────────────────────────

for (const { name, of, finding, level, says } of FIXTURES) {
  test(`${name}: ${of}: ${level}`, () => {
    assert.is(finding.level, level)
    assert.match(shown(finding, entryOf(name)?.fix ?? ''), says)
  })
}

for (const { name, minimum, why, fix } of ENTRIES) {
  test(`${name} is a whole entry: a fixture triggers it, another one does not`, () => {
    const levels = FIXTURES.filter((each) => each.name === name).map(({ level }) => level)
    assert.ok(levels.includes('warn') || levels.includes('bad'), 'one that triggers it')
    assert.ok(levels.includes('ok'), 'one that does not')
    assert.match(name, /^[a-z]+(-[a-z]+)*$/)
    for (const sentence of [minimum, why, fix]) assert.match(sentence, /\S.*[^.?!]$/)
    assert.match(why, /^\p{L}/u)
    assert.ok(minimum.length <= 50, 'a table has room for it')
  })
}

test('no two entries have one name', () => {
  assert.is(new Set(ENTRIES.map(({ name }) => name)).size, ENTRIES.length)
})

for (const [line, name] of FAILURES) {
  test(`a failure is explained by '${name}': ${line.slice(0, 60)}`, () => {
    assert.is(behindFailure(CHECKS, `Cannot start the node: 'docker run …' failed with exit code 125\n${line}`)?.name, name)
  })
}

test('every entry that knows how a failure reads has one that does', () => {
  const marked = ENTRIES.filter(({ symptoms }) => symptoms !== undefined).map(({ name }) => name)
  assert.equal(
    marked.filter((name) => !FAILURES.some(([, each]) => each === name)),
    [],
  )
})

test('a failure that no entry has seen is left alone', () => {
  assert.is(behindFailure(CHECKS, 'Waited 5 min for everything: Application dev/service: Progressing'), undefined)
})

test(
  'each entry reads this machine, and what is not of the engine is known',
  async () => {
    const examined = await examine(checksOf({ name: 'doctor-test' }), { limitMs: 20_000 })
    assert.equal(
      examined.map(({ check }) => check.name),
      ENTRIES.map(({ name }) => name),
    )
    for (const { check, finding } of examined)
      assert.not.match(finding.level === 'unknown' ? finding.reason : '', /a bug of this entry/, check.name)
    const known = [
      ...(process.platform === 'linux' ? ['memory'] : []),
      'disk',
      'project-files',
      'engine',
      'credentials',
      'ports',
      'ca',
      'registry',
      'build-base',
      'node',
      'npm',
      'git',
    ]
    for (const { check, finding } of examined.filter((each) => known.includes(each.check.name)))
      assert.is.not(finding.level, 'unknown', `${check.name}: ${finding.level === 'unknown' ? finding.reason : ''}`)
  },
  LONG,
)

// ── What entries are judged by ──────────────────────────────────────────────────────────────────────────────────────

test('isAtLeast() compares by as many numbers as the least has', () => {
  assert.equal(
    ['20.10.24+dfsg1', '20.9', '21', 'v20.10', 'go1.26.8', 'none'].map((version) => isAtLeast(version, '20.10')),
    [true, false, true, true, false, undefined],
  )
})

test('subnets overlap by their first and last addresses', () => {
  const [vpn, pods, services] = ['10.0.0.0/8', '10.42.7.9/16', '10.43.0.0/16'].map((text) => subnetOf(text) ?? assert.unreachable(text))
  if (vpn === undefined || pods === undefined || services === undefined) return assert.unreachable()
  assert.ok(overlaps(vpn, pods) && overlaps(pods, vpn))
  assert.not(overlaps(pods, services))
  assert.equal(['fd00::/8', '10.0.0.0', '300.0.0.0/8', '10.0.0.0/33'].map(subnetOf), [undefined, undefined, undefined, undefined])
  const halves = split(pods, 17).map(({ text }) => text)
  assert.equal(halves, ['10.42.0.0/17', '10.42.128.0/17'])
})

test('routesIn() reads the kernel’s table, its numbers the other way round', () => {
  const table =
    'Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\neth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\nbr-1\t000012AC\t00000000\t0001\t0\t0\t0\t0000FFFF\n'
  assert.equal(
    routesIn(table).map(({ device, to }) => [device, to.text]),
    [['br-1', '172.18.0.0/16']],
  )
})

test('mountOf() takes the deepest mount, and of two at one place the later one', () => {
  const table =
    '1 0 8:1 / / rw - ext4 a rw\n2 1 8:2 / /data rw shared:1 - xfs b rw\n3 1 0:9 / /data rw,noexec - nfs4 c rw\n4 1 0:8 / /database rw - tmpfs d rw'
  assert.is(mountOf('/data/docker', table)?.type, 'nfs4')
  assert.is(mountOf('/database', table)?.type, 'tmpfs')
  assert.is(mountOf('/home', table)?.type, 'ext4')
})

test('extraCa() gives the node what Node is given, and nothing where the file is not there', () => {
  using tree = createTree({ 'ca.pem': 'PEM', 'other.pem': 'other' })
  const [own, other] = [join(tree.path, 'ca.pem'), join(tree.path, 'other.pem')]
  const [file] = extraCa({ NODE_EXTRA_CA_CERTS: own, SSL_CERT_FILE: other })
  assert.equal([file?.content, file?.target], ['PEM', '/etc/ssl/certs/holdfast-extra-ca.pem'])
  assert.is(extraCa({ NODE_EXTRA_CA_CERTS: '', SSL_CERT_FILE: other })[0]?.content, 'other')
  assert.equal(extraCa({ NODE_EXTRA_CA_CERTS: join(tree.path, 'gone.pem') }), [])
  assert.equal(extraCa({}), [])
})

test('whyNoRegistry() asks through the proxy that the environment names', async () => {
  const asked: string[] = []
  const proxy = createServer()
  proxy.on('connect', (request, socket) => {
    asked.push(request.url ?? '')
    socket.end('HTTP/1.1 403 Forbidden\r\n\r\n')
  })
  await new Promise<void>((done) => proxy.listen(0, '127.0.0.1', done))
  const address = proxy.address()
  const before = process.env.https_proxy
  process.env.https_proxy = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
  try {
    assert.match((await whyNoRegistry()) ?? 'it answers', /403/)
    assert.equal(asked, ['registry-1.docker.io:443'])
  } finally {
    if (before === undefined) delete process.env.https_proxy
    else process.env.https_proxy = before
    await new Promise((done) => proxy.close(done))
  }
})

// ── The engine of the catalogue ─────────────────────────────────────────────────────────────────────────────────────

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

// ── The command ─────────────────────────────────────────────────────────────────────────────────────────────────────

const doctor = (args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
  runFile(join(root, 'scripts', 'doctor.ts'), { args, env })

test(
  '--list shows all without looking, as an array with a name each',
  async () => {
    const { exitCode, output } = await doctor(['--list', '--json'], { DOCKER_HOST: 'unix:///nowhere.sock' })
    assert.is(exitCode, 0)
    assert.equal(
      (JSON.parse(output) as { name: string }[]).map(({ name }) => name),
      ENTRIES.map(({ name }) => name),
    )
  },
  LONG,
)

test(
  'a name that there is not is bad input',
  async () => {
    const { exitCode, output } = await doctor(['--only', 'egnine'])
    assert.match(output, /^Cannot look at 'egnine': there is none of that name\. Did you mean 'engine'\?/)
    assert.is(exitCode, 2)
  },
  LONG,
)

test(
  '--list looks at nothing, so it cannot mend either',
  async () => {
    const { exitCode, output } = await doctor(['--list', '--fix'])
    assert.match(output, /'--list' cannot be used with option '--fix'/)
    assert.is(exitCode, 2)
  },
  LONG,
)

test(
  'without a daemon the engine is bad, what it alone knows is unknown, and the exit code is 1',
  async () => {
    const { exitCode, output } = await doctor(['--json', '--only', 'engine,cgroup,memory,git'], { DOCKER_HOST: 'unix:///nowhere.sock' })
    const levels = (JSON.parse(output) as { name: string; level: string }[]).map(({ name, level }) => `${name} ${level}`)
    assert.equal(
      levels.filter((each) => !each.startsWith('memory')),
      ['engine bad', 'cgroup unknown', 'git ok'],
    )
    assert.is(exitCode, 1)
  },
  LONG,
)

test(
  'an engine of another machine is bad',
  async () => {
    const { exitCode, output } = await doctor(['--only', 'engine-address'], { DOCKER_HOST: 'tcp://192.0.2.10:2376' })
    assert.match(stripVTControlCharacters(output), /^bad {2}engine-address {2}tcp:\/\/192\.0\.2\.10:2376/m)
    assert.is(exitCode, 1)
  },
  LONG,
)

test(
  'an engine that hangs holds up nobody',
  async () => {
    using tree = createTree()
    tree.write('docker', '#!/bin/sh\nexec sleep 60\n', 0o755)
    const { exitCode, output, ms } = await doctor(['--only', 'engine,clock,git'], { PATH: `${tree.path}:${process.env.PATH}` })
    const text = stripVTControlCharacters(output)
    assert.match(text, /^bad +engine +'docker version .*' was killed by \w+ after 4\.\d s/m)
    assert.match(text, /^unknown +clock +no engine answers/m)
    assert.match(text, /^ok +git/m)
    assert.is(exitCode, 1)
    assert.ok(ms < 15_000, `it took ${ms} ms`)
  },
  LONG,
)

test.run()
