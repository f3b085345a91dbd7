/** The gates over dependencies and licences: the policy on answers as the databases give them, npm and the client of OSV against doubles. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Advisory, judgeAdvisories, judgeExceptions, type Policy, readPolicy, unusedExceptions } from '#kit/gate/advisories'
import { dependenciesGate, readAudit } from '#kit/gate/dependencies'
import { type Check, Unavailable } from '#kit/gate/gate'
import { isAllowed, judgeLicences, licences } from '#kit/gate/licences'
import { pinnedPackages } from '#kit/gate/packages'
import { assert, suite } from '../suite.ts'
import { createRepository } from './tree-fixture.ts'

const test = suite('gate dependencies')
const LONG = { timeoutMs: 60_000 }

const NOW = Date.parse('2026-11-26T12:00:00Z')
const GHSA = 'GHSA-35jh-r3h4-6jhm'
const URL_OF_IT = `https://github.com/advisories/${GHSA}`

/** As `npm audit --json` of npm 11 answers for a lock file with an old lodash. */
const ANSWER = JSON.stringify({
  auditReportVersion: 2,
  vulnerabilities: {
    lodash: {
      name: 'lodash',
      severity: 'high',
      isDirect: false,
      via: [
        { source: 1106913, name: 'lodash', dependency: 'lodash', title: 'Command Injection in lodash', url: URL_OF_IT, severity: 'high' },
        {
          source: 1106914,
          name: 'lodash',
          dependency: 'lodash',
          title: 'Slow',
          url: 'https://github.com/advisories/GHSA-low',
          severity: 'low',
        },
      ],
    },
    parent: { name: 'parent', severity: 'high', isDirect: true, via: ['lodash'] },
  },
  metadata: { vulnerabilities: { info: 0, low: 1, moderate: 0, high: 1, critical: 0, total: 2 } },
})

const policyOf = (until?: string, id = GHSA): Policy => ({
  from: 'high',
  exceptions: until === undefined ? [] : [{ id, package: 'lodash', reason: 'no template of ours comes from outside', until }],
})

test('a vulnerable package of a recorded answer is red once, and one that is rated low is not', () => {
  assert.equal(judgeAdvisories(readAudit(ANSWER), policyOf(), NOW), [
    `package-lock.json:1 — lodash: Command Injection in lodash (${GHSA}, high) — take a version without it, or make an exception in .gate/advisories.yaml (${URL_OF_IT})`,
  ])
  assert.is(judgeAdvisories(readAudit(ANSWER), { ...policyOf(), from: 'low' }, NOW).length, 2)
  assert.equal(readAudit(JSON.stringify({ auditReportVersion: 2, vulnerabilities: {} })), [])
})

test('one that nobody has rated counts', () => {
  const [first] = readAudit(ANSWER)
  assert.match(judgeAdvisories([{ ...(first as Advisory), severity: undefined }], policyOf(), NOW).join(), /not rated/)
})

test('an exception holds until its day is over everywhere, and is then red by itself', () => {
  const found = readAudit(ANSWER)
  for (const until of ['2026-11-26', '2026-12-24']) {
    assert.equal(judgeAdvisories(found, policyOf(until), NOW), [])
    assert.equal(judgeExceptions(policyOf(until), NOW), [])
  }
  const over = policyOf('2026-11-23')
  assert.is(judgeAdvisories(found, over, NOW).length, 1)
  assert.equal(judgeExceptions(over, NOW), [
    `.gate/advisories.yaml:1 — the exception of ${GHSA} in lodash ended on 2026-11-23 — take a version without it`,
  ])
})

test('an exception is of one advisory in one package, for 90 days at most, and goes when nothing needs it', () => {
  const found = readAudit(ANSWER)
  assert.is(judgeAdvisories(found, policyOf('2026-12-24', 'GHSA-other'), NOW).length, 1)
  assert.match(judgeExceptions(policyOf('2027-11-26'), NOW).join(), /ends in 365 days — look again within 90/)
  assert.equal(unusedExceptions(found, policyOf('2026-12-24'), new Set(['lodash'])), [])
  assert.match(unusedExceptions([], policyOf('2026-12-24'), new Set(['lodash'])).join(), /nothing has GHSA-35jh.* in lodash any more/)
  assert.equal(unusedExceptions([], policyOf('2026-12-24'), new Set(['other'])), [], 'what was not asked about is not known')
})

test('a policy without a reason, a day or a threshold is refused', async () => {
  const read = async (text: string) => {
    using tree = createRepository({ '.gate/advisories.yaml': text })
    return await readPolicy(tree.path)
  }
  const entry = (fields: string) => `from: high\nexceptions:\n  - { ${fields} }\n`
  await assert.rejects(read('exceptions: []'), /'from' is 'undefined'. Write one of low, moderate, high, critical/)
  await assert.rejects(read(entry('id: G, until: 2026-12-24')), /does not say which advisory of which package/)
  await assert.rejects(read(entry('id: G, package: p, until: 2026-12-24')), /the exception G has no reason/)
  await assert.rejects(read(entry('id: G, package: p, reason: nothing here calls what is broken')), /has no day on which it ends/)
  assert.equal(await read('from: high\n'), { from: 'high', exceptions: [] })
})

test('a registry without the database is no clean answer, and neither is one that npm cannot read', () => {
  const refused = JSON.stringify({ message: '405 Method Not Allowed - POST https://r.example/', uri: 'https://r.example/', error: {} })
  const away = JSON.stringify({ message: 'request failed', error: { code: 'ENOTFOUND', summary: 'request failed' } })
  for (const answer of [refused, away])
    assert.throws(
      () => readAudit(answer),
      (thrown: unknown) => thrown instanceof Unavailable,
    )
  assert.throws(
    () => readAudit(JSON.stringify({ error: { code: 'ENOLOCK', summary: 'This command requires an existing lockfile.' } })),
    (thrown: unknown) => !(thrown instanceof Unavailable),
  )
})

type Answers = Readonly<Record<string, unknown>>

/** Answers JSON by method and path; a function makes it of what was asked. */
async function serve(answers: Answers): Promise<AsyncDisposable & { readonly url: string; readonly asked: string[] }> {
  const asked: string[] = []
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    const key = `${request.method} ${request.url}`
    asked.push(`${key} ${body}`.trim())
    const answer = answers[key]
    const said = typeof answer === 'function' ? answer(JSON.parse(body)) : (answer ?? {})
    response.writeHead(key in answers ? 200 : 404, { 'content-type': 'application/json' }).end(JSON.stringify(said))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    url,
    asked,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((done) => server.close(done))
    },
  }
}

const LOCK = JSON.stringify({
  name: 'planted',
  lockfileVersion: 3,
  requires: true,
  packages: {
    '': { name: 'planted', version: '1.0.0', dependencies: { lodash: '4.17.20' } },
    'node_modules/lodash': { version: '4.17.20', resolved: 'https://r.example/lodash-4.17.20.tgz', license: 'MIT' },
  },
})
const PLANTED = {
  'package.json': '{ "name": "planted", "version": "1.0.0", "dependencies": { "lodash": "4.17.20" } }',
  'package-lock.json': LOCK,
  '.gate/advisories.yaml': 'from: high\n',
}

function checkOf(tool: string, osv?: string): Check {
  const check = dependenciesGate(osv).checks.find((each) => each.tool === tool)
  if (check === undefined) throw new Error(`no check has the tool ${tool}`)
  return check
}

/** Whether a run did not look. */
const isUnavailable = (run: Promise<unknown>) =>
  run.then(
    () => false,
    (thrown: unknown) => thrown instanceof Unavailable,
  )

test(
  'npm itself, asked through a registry that knows the advisory, is red; through one that knows none it is green',
  async () => {
    const advisory = {
      id: 1106913,
      url: URL_OF_IT,
      title: 'Command Injection in lodash',
      severity: 'high',
      vulnerable_versions: '<4.17.21',
    }
    const packument = {
      name: 'lodash',
      'dist-tags': { latest: '4.17.20' },
      versions: { '4.17.20': { name: 'lodash', version: '4.17.20' } },
    }
    const bulk = 'POST /-/npm/v1/security/advisories/bulk'
    const audit = async (answers: Answers) => {
      await using registry = await serve(answers)
      using tree = createRepository({ ...PLANTED, '.npmrc': `registry=${registry.url}/\n` })
      return await checkOf('npm audit').run({ root: tree.path })
    }
    assert.match((await audit({ [bulk]: { lodash: [advisory] }, 'GET /lodash': packument })).join(), new RegExp(`lodash: .*${GHSA}, high`))
    assert.equal(await audit({ [bulk]: {} }), [])
    assert.ok(await isUnavailable(audit({})))
  },
  LONG,
)

test('OSV is asked about every pinned package, and what it knows is judged by the policy', async () => {
  const found = { results: [{ vulns: [{ id: GHSA }, { id: 'OSV-1' }] }, {}, {}] }
  const details = { id: GHSA, aliases: ['CVE-2021-23337', 'OSV-1'], summary: 'Command injection', database_specific: { severity: 'HIGH' } }
  await using osv = await serve({
    'POST /v1/querybatch': found,
    [`GET /v1/vulns/${GHSA}`]: details,
    'GET /v1/vulns/OSV-1': { id: 'OSV-1', aliases: [GHSA] },
  })
  using tree = createRepository({
    ...PLANTED,
    'tools/go.mod': 'module a\n\nrequire example.org/b v1.2.3\n',
    'tools/c.txt': 'cee==4.5.6 \\\n    --hash=sha256:00\n',
  })
  const problems = await checkOf('osv', osv.url).run({ root: tree.path })
  assert.equal(problems.length, 1, problems.join('\n'))
  assert.match(problems[0] ?? '', `package-lock.json:1 — lodash: 4.17.20: Command injection (${GHSA}, high)`)
  const queries = [
    { package: { ecosystem: 'npm', name: 'lodash' }, version: '4.17.20' },
    { package: { ecosystem: 'PyPI', name: 'cee' }, version: '4.5.6' },
    { package: { ecosystem: 'Go', name: 'example.org/b' }, version: '1.2.3' },
  ]
  assert.is(osv.asked[0], `POST /v1/querybatch ${JSON.stringify({ queries })}`)
  tree.write('.gate/advisories.yaml', 'from: critical\n')
  assert.equal(await checkOf('osv', osv.url).run({ root: tree.path }), [])
})

test('what OSV cuts is asked for until nothing is left, and a short answer is none', async () => {
  const asked: unknown[] = []
  const page = ({ queries }: { queries: { page_token?: string }[] }) => {
    asked.push(queries.map(({ page_token: token }) => token))
    const pages: Record<string, object> = {
      first: { vulns: [{ id: 'LOW-1' }], next_page_token: 'second' },
      second: { vulns: [{ id: GHSA }] },
    }
    return { results: queries.map(({ page_token: token = 'first' }) => pages[token]) }
  }
  const known = (id: string, severity: string) => ({ id, summary: 'bad', database_specific: { severity } })
  const details = { [`GET /v1/vulns/${GHSA}`]: known(GHSA, 'HIGH'), 'GET /v1/vulns/LOW-1': known('LOW-1', 'LOW') }
  using tree = createRepository(PLANTED)
  await using osv = await serve({ 'POST /v1/querybatch': page, ...details })
  assert.match(
    (await checkOf('osv', osv.url).run({ root: tree.path })).join(),
    new RegExp(`^package-lock.json:1 — lodash: .*${GHSA}, high`),
  )
  assert.equal(asked, [[undefined], ['second']])
  await using short = await serve({ 'POST /v1/querybatch': { results: [] } })
  await assert.rejects(checkOf('osv', short.url).run({ root: tree.path }), /OSV gave 0 answers to 1 questions/)
})

test('an OSV that does not answer, or with an error, is not a clean one', async () => {
  using tree = createRepository(PLANTED)
  await using osv = await serve({})
  for (const url of [osv.url, 'http://127.0.0.1:1']) assert.ok(await isUnavailable(checkOf('osv', url).run({ root: tree.path })), url)
})

test('a package that several files pin is asked about once', async () => {
  using tree = createRepository({
    'a/go.mod': 'require example.org/b v1.2.3\n',
    'c/go.mod': 'require (\n\texample.org/b v1.2.3 // indirect\n)\n',
  })
  assert.equal(await pinnedPackages(tree.path), [{ ecosystem: 'Go', name: 'example.org/b', version: '1.2.3', file: 'a/go.mod' }])
})

const ALLOWED = ['MIT', 'Apache-2.0', 'ISC']

for (const [expression, holds] of [
  ['MIT', true],
  ['GPL-3.0-only', false],
  ['MIT OR GPL-3.0-only', true],
  ['MIT AND GPL-3.0-only', false],
  ['(GPL-2.0 OR Apache-2.0) AND ISC', true],
  ['(GPL-2.0 OR LGPL-2.1) AND ISC', false],
  ['Apache-2.0 WITH LLVM-exception', true],
  ['MIT OR', false],
  ['(MIT', false],
  ['SEE LICENSE IN LICENSE.txt', false],
  ['', false],
] as const)
  test(`the licence '${expression}' is ${holds ? 'allowed' : 'not allowed'}`, () => assert.is(isAllowed(expression, ALLOWED), holds))

test('a package under the GPL is red, and so is one that names none', async () => {
  const lock = (license?: string) =>
    JSON.stringify({ packages: { '': {}, 'node_modules/a': { version: '1.0.0', ...(license ? { license } : {}) } } })
  const run = async (text: string) => {
    using tree = createRepository({ 'package-lock.json': text, '.gate/licences.yaml': 'allowed: [MIT]\nexceptions: []\n' })
    return (await licences.checks[0]?.run({ root: tree.path })) ?? []
  }
  const remedy = 'use another package, or make an exception in .gate/licences.yaml'
  assert.equal(await run(lock('MIT')), [])
  assert.equal(await run(lock('GPL-3.0-only')), [`package-lock.json:1 — a@1.0.0 is under GPL-3.0-only — ${remedy}`])
  assert.equal(await run(lock()), [`package-lock.json:1 — a@1.0.0 is under no licence that it names — ${remedy}`])
  await assert.rejects(run('{}'), /holds no package/)
})

test('an exception of a licence has a reason and a package', () => {
  const packages = [{ name: 'a', version: '1.0.0', licence: 'MPL-2.0' }]
  const policy = (name: string, reason: string) => ({ allowed: ['MIT'], exceptions: [{ package: name, licence: 'MPL-2.0', reason }] })
  assert.equal(judgeLicences(packages, policy('a', 'run by a test, and never shipped')), [])
  assert.match(judgeLicences(packages, policy('a', '')).join(), /the exception of a has no reason/)
  assert.match(
    judgeLicences(packages, policy('b', 'run by a test, and never shipped')).join(),
    /a@1\.0\.0 is under MPL.*nothing is b under MPL/,
  )
})

test.run()
