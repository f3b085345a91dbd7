/** The doctor: every entry on what triggers it, on this machine, and what they are judged by. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { behindFailure, type Examined, examine, type Finding, unknown } from '#core'
import { exec } from '#kit/exec'
import { readTexts } from '#kit/files'
import { type Reach, reachRegistries, whyNoRegistry } from '#kit/hub'
import { root } from '#kit/paths'
import { namesIn } from '#kit/pick'
import { checksOf, ENTRIES, registriesOf } from '../../local/doctor/catalogue.ts'
import { bind, type Entry } from '../../local/doctor/entry.ts'
import { createFacts } from '../../local/doctor/facts.ts'
import { mountOf } from '../../local/doctor/files.ts'
import { ports } from '../../local/doctor/network.ts'
import { isAtLeast } from '../../local/doctor/numbers.ts'
import { overlaps, routesIn, split, subnetOf } from '../../local/doctor/subnets.ts'
import { extraCa } from '../../local/node-config.ts'
import { defaultPortsFrom } from '../../local/ports.ts'
import { assert, suite } from '../suite.ts'
import { ENGINE } from './doctor/engine.ts'
import { FAILURES } from './doctor/failures.ts'
import { MACHINE } from './doctor/machine.ts'
import { NETWORK } from './doctor/network.ts'
import { TOOLS } from './doctor/tools.ts'
import { askedOfProxy, withProxy } from './proxy-fixture.ts'
import { createTree, runSource, urlOf } from './tree-fixture.ts'

const test = suite('doctor')
const LONG = { timeoutMs: 60_000 }
const CHECKS = checksOf({ name: 'local' }, [])
const FIXTURES = [...ENGINE, ...MACHINE, ...NETWORK, ...TOOLS]

const shown = (finding: Finding, fix: string) =>
  finding.level === 'unknown' ? finding.reason : `${finding.found}\n${('fix' in finding && finding.fix) || fix}`
/** A machine that runs tests is busy. */
function lookPatiently(entries: readonly Entry[], portsFrom?: number): Promise<Examined[]> {
  const place = { name: 'doctor-test', ...(portsFrom === undefined ? {} : { portsFrom }) }
  const facts = createFacts({ place, askMs: 40_000 })
  return examine(
    entries.map((entry) => bind(entry, facts)),
    { limitMs: 50_000 },
  )
}
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
    const examined = await lookPatiently(ENTRIES)
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

test(
  'ports looks at the block that is asked for, and says who holds one of it',
  async () => {
    const holder = createServer()
    await new Promise<void>((done) => holder.listen(0, '127.0.0.1', done))
    const address = holder.address()
    const port = typeof address === 'object' ? (address?.port ?? 0) : 0
    try {
      const [examined] = await lookPatiently([ports], port)
      assert.is(examined?.finding.level, 'bad')
      assert.match(
        shown(examined?.finding ?? unknown(''), ''),
        new RegExp(`\\b${port} held by (process '.+' \\(pid ${process.pid}\\)|another process)`),
      )
    } finally {
      await new Promise((done) => holder.close(done))
    }
  },
  LONG,
)

test('whoever is sent to the doctor is sent to entries that there are', async () => {
  const texts = await readTexts(root, (path) => /\.(ts|mjs|md)$/.test(path))
  const sent = texts.flatMap(({ text }) => [...text.matchAll(/npm run doctor -- --only ([a-z][\w,-]*)/g)].map(([, names = '']) => names))
  assert.ok(sent.length > 1, `only ${sent.length} found`)
  assert.equal(
    [...new Set(sent.flatMap(namesIn))].filter((name) => !ENTRIES.some((entry) => entry.name === name)),
    [],
  )
})

/** An engine whose registry of ours was made with a port, and is stopped. */
const STOPPED_REGISTRY = (port: number) => `#!/bin/sh
case "$*" in
  version*) echo '{"Version":"28.5.1"}' ;;
  *inspect*holdfast-registry) echo '[{"State":{"Running":false},"HostConfig":{"PortBindings":{"5000/tcp":[{"HostPort":"${port}"}]}}}]' ;;
  ps*) ;;
  *) echo "Error: No such object" >&2; exit 1 ;;
esac
`

test(
  'ports looks at the registry’s own, which was fixed when it was made, and says how to give it another',
  async () => {
    const holder = createServer()
    await new Promise<void>((done) => holder.listen(0, '127.0.0.1', done))
    const { port } = holder.address() as AddressInfo
    using tree = createTree()
    tree.write('docker', STOPPED_REGISTRY(port), 0o755)
    const before = process.env.PATH
    process.env.PATH = `${tree.path}:${before}`
    try {
      const [examined] = await lookPatiently([ports], await defaultPortsFrom('doctor-test'))
      const finding = examined?.finding ?? unknown('')
      assert.match(shown(finding, ''), new RegExp(`^${port} held by .*\\(pid ${process.pid}\\)\\n.*docker rm holdfast-registry$`))
    } finally {
      process.env.PATH = before
      await new Promise((done) => holder.close(done))
    }
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

test('a proxy whose address is none is why nothing answers', async () => {
  await withProxy('no address', async () => assert.match((await whyNoRegistry()) ?? 'it answers', /invalid url/i))
})

test('reachRegistries() asks each, and says of each why it does not answer', async () => {
  const asked = await askedOfProxy(async () => {
    const reached = await reachRegistries(['docker.io', 'quay.io', 'ghcr.io'])
    assert.equal(
      reached.map(({ host }) => host),
      ['docker.io', 'quay.io', 'ghcr.io'],
    )
    for (const { why } of reached) assert.match(why ?? 'it answers', /403/)
  })
  assert.equal(asked.toSorted(), ['ghcr.io:443', 'quay.io:443', 'registry-1.docker.io:443'])
})

/** Answers as a registry does, with a wrong time, and asks itself. */
const LATE_REGISTRY = `import { createServer } from 'node:https'
import { readFileSync } from 'node:fs'
import { reachRegistries } from '${urlOf('scripts/kit/hub.ts')}'
const [key, cert] = ['key', 'cert'].map((name) => readFileSync(process.env.HERE + '/' + name))
const server = createServer({ key, cert }, (request, response) => {
  response.writeHead(401, { date: 'Mon, 01 Jun 2026 12:00:00 GMT' }).end(request.url)
})
await new Promise((done) => server.listen(0, '127.0.0.1', done))
const [reached] = await reachRegistries(['127.0.0.1:' + server.address().port])
console.log(JSON.stringify({ ...reached, host: '' }))
process.exit()
`

test('reachRegistries() keeps the time that a registry tells, which need not let us in, and when it was asked', async ({ signal }) => {
  using tree = createTree()
  const [key, cert] = [join(tree.path, 'key'), join(tree.path, 'cert')]
  const made = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=registry']
  await exec('openssl', [...made, '-keyout', key, '-out', cert])
  const beforeMs = Date.now()
  const env = { HERE: tree.path, NODE_TLS_REJECT_UNAUTHORIZED: '0', NODE_NO_WARNINGS: '1', NO_PROXY: '127.0.0.1' }
  const { output } = await runSource(LATE_REGISTRY, { env, signal })
  const { why, clock } = JSON.parse(output.split('\n').find((line) => line.startsWith('{')) ?? output) as Reach
  assert.equal([why, clock?.time], [undefined, 'Mon, 01 Jun 2026 12:00:00 GMT'])
  const { beforeMs: asked = 0, afterMs: told = 0 } = clock ?? {}
  assert.ok(beforeMs <= asked && asked <= told && told <= Date.now())
})

test('registriesOf() names each host that images, or what they are built upon, are pulled from, once', () => {
  const from = (ref: string) => ({ name: ref, tag: '1', upstream: { ref } })
  const built = { name: 'built', tag: '1', build: { context: '', base: from('quay.io/x/base:1') } }
  assert.equal(registriesOf([from('ghcr.io/a/b:1'), from('ghcr.io/a/c:1'), built]), ['ghcr.io', 'quay.io'])
  assert.equal(registriesOf([]), [])
})

test.run()
