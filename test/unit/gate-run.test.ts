/** How gates are run: what is red, what is skipped, and that neither is taken for clean. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { UserError } from '#kit/errors'
import { type ExecOptions, exec } from '#kit/exec'
import { type Absence, readAbsence, readAllowed } from '#kit/gate/absence'
import { type Check, type Gate, have, NothingYet, readProblem, Unavailable } from '#kit/gate/gate'
import { installHooks } from '#kit/gate/hook'
import { countsOf, renderGateJunit, renderSarif, renderTable } from '#kit/gate/report'
import { fixAll, runGates } from '#kit/gate/run'
import { readTests } from '#kit/gate/unit'
import { NoAnswer } from '#kit/http'
import { root } from '#kit/paths'
import { createProgress } from '#kit/progress'
import { gates } from '../../holdfast.config.ts'
import { assert, suite } from '../suite.ts'
import { createRepository, createTree, runFile } from './tree-fixture.ts'

const test = suite('gate run')

const LOCAL: Absence = { isCi: false, allowed: [], file: 'allowed.yaml' }
const CI: Absence = { ...LOCAL, isCi: true }

function check(tool: string, run: Check['run']): Check {
  return { tool, source: 'ours', pin: 'pins.json', about: 'nothing', version: async () => '1.2.3', run }
}

const clean = check('clean', async () => [])
const red = check('red', async () => ['a.ts:3 — is <bad> — mend it', 'b.ts:1 — is bad too — mend it'])
const absent = check('absent', () => have(() => Promise.reject(new Unavailable('no registry answers\nand more'))))
const broken = check('broken', () => Promise.reject(new Error('segmentation fault')))

const gateOf = (name: string, ...checks: readonly Check[]): Gate => ({ name, checks })

async function run(absence: Absence, ...all: readonly Gate[]) {
  const said: string[] = []
  const stream = { isTTY: false, write: (text: string) => said.push(text) } as unknown as NodeJS.WriteStream
  using progress = createProgress(stream)
  return { results: await runGates(all, { root, absence, progress }), said: said.join('') }
}

test('a result for each check, in the order of the gates, whatever ends first', async () => {
  const slow = check('slow', async () => {
    await sleep(50)
    return []
  })
  const { results, said } = await run(LOCAL, gateOf('one', slow, clean), gateOf('two', red))
  assert.equal(
    results.map(({ gate, tool, problems }) => [gate, tool, problems.length]),
    [
      ['one', 'slow', 0],
      ['one', 'clean', 0],
      ['two', 'red', 2],
    ],
  )
  assert.match(said, /✗ two: red .*\n {2}a\.ts:3 — is <bad> — mend it\n {2}b\.ts:1/)
})

test('a gate that wants the machine for itself begins when the others have ended', async () => {
  const seen: string[] = []
  const noting = (tool: string) =>
    check(tool, async () => {
      seen.push(`${tool} begins`)
      await sleep(10)
      seen.push(`${tool} ends`)
      return []
    })
  await run(LOCAL, { ...gateOf('alone', noting('alone')), isAlone: true }, gateOf('other', noting('a'), noting('b')))
  assert.equal(seen.slice(-2), ['alone begins', 'alone ends'])
})

test('a tool that cannot be had is skipped and counted on a person’s machine, and red in CI', async () => {
  const local = (await run(LOCAL, gateOf('g', clean, absent))).results
  assert.equal(countsOf(local), { passed: 1, failed: 0, skipped: 1 })
  assert.is(local[1]?.skipped, 'no registry answers')
  const inCi = (await run(CI, gateOf('g', clean, absent))).results
  assert.equal(countsOf(inCi), { passed: 1, failed: 1, skipped: 0 })
  assert.equal(inCi[1]?.problems, [
    'pins.json:1 — absent cannot be had: no registry answers — run it where it can, or name it in allowed.yaml with a reason',
  ])
})

test('in CI only a tool that the profile names may be absent; what it finds still counts', async () => {
  const allowed = ['absent', 'red'].map((tool) => ({ tool, reason: 'published as an image only' }))
  const { results } = await run({ ...CI, allowed }, gateOf('g', absent, red))
  assert.equal(countsOf(results), { passed: 0, failed: 1, skipped: 1 })
  assert.is(results[0]?.skipped, 'no registry answers (allowed: published as an image only)')
})

test('where there is nothing to look at yet, a check is skipped and counted, in CI too', async () => {
  const early = check('early', () => Promise.reject(new NothingYet('no image is stored')))
  for (const absence of [LOCAL, CI]) {
    const { results, said } = await run(absence, gateOf('g', clean, early))
    assert.equal(countsOf(results), { passed: 1, failed: 0, skipped: 1 })
    assert.match(said, /early skipped: no image is stored/)
  }
})

test('a tool that is missing for a fix ends neither the other fixes nor the checks', async () => {
  const mended: string[] = []
  const fixing = (tool: string, fix: () => Promise<void>): Check => ({ ...check(tool, async () => []), fix })
  const lacking = fixing('lacking', () => have(() => Promise.reject(new Error('lacking is not on the PATH\nand more'))))
  const there = fixing('there', async () => void mended.push('there'))
  const said: string[] = []
  const stream = { isTTY: false, write: (text: string) => said.push(text) } as unknown as NodeJS.WriteStream
  using progress = createProgress(stream)
  await fixAll([gateOf('g', lacking, clean, there)], { root, progress })
  assert.equal(mended, ['there'])
  assert.match(said.join(''), /g: lacking mended nothing: lacking is not on the PATH\n/)
  const interrupted = AbortSignal.abort(new Error('interrupted'))
  await assert.rejects(fixAll([gateOf('g', lacking)], { root, progress, signal: interrupted }), /interrupted/)
})

test('a tool that breaks has not looked, and is no skip', async () => {
  for (const absence of [LOCAL, { ...CI, allowed: [{ tool: 'broken', reason: 'published as an image only' }] }]) {
    const { results } = await run(absence, gateOf('g', broken))
    assert.equal(results[0]?.problems, ['pins.json:1 — broken could not look: segmentation fault — mend what it says'])
  }
})

test('the profile is refused on GitHub, and is not asked for elsewhere', async () => {
  await assert.rejects(readAbsence('no-registry', gates, { CI: 'true', GITHUB_ACTIONS: 'true' }), /GitHub reaches every registry/)
  assert.equal((await readAbsence(undefined, gates, { CI: 'true', GITHUB_ACTIONS: 'true' })).allowed, [])
  assert.is((await readAbsence(undefined, gates, {})).isCi, false)
  const { allowed, isCi } = await readAbsence('no-registry', gates, { CI: 'true' })
  assert.ok(isCi && allowed.length > 0)
})

test(
  'the command refuses the profile on GitHub with exit code 2',
  async () => {
    const env = { CI: 'true', GITHUB_ACTIONS: 'true' }
    const { exitCode, output } = await runFile(join(root, 'scripts', 'gate.ts'), {
      args: ['--only', 'types', '--profile', 'no-registry'],
      env,
    })
    assert.match(output, /^Cannot use the no-registry profile: GitHub reaches every registry and database\. Leave --profile out/)
    assert.is(exitCode, 2)
  },
  { timeoutMs: 30_000 },
)

test('an entry of the profile needs a tool that there is, and a reason', () => {
  const read = (text: string) => () => readAllowed(text, ['trivy'])
  assert.equal(read('- { tool: trivy, reason: published as an image only }')(), [{ tool: 'trivy', reason: 'published as an image only' }])
  assert.throws(read('- { tool: trivi, reason: published as an image only }'), /names 'trivi', which no gate uses/)
  assert.throws(read('- { tool: trivy }'), /does not say why 'trivy' may be absent/)
  assert.equal(read('')(), [])
})

test('have() keeps an interrupt an interrupt', async () => {
  const interrupt = new Error('interrupted')
  await assert.rejects(
    have(() => Promise.reject(new Error('x')), AbortSignal.abort(interrupt)),
    /interrupted/,
  )
})

/** What `have` makes of what is thrown. */
const outcomeOf = (thrown: unknown) => have(() => Promise.reject(thrown)).catch((each: unknown) => each)
const ran = (program: string, args: readonly string[], options?: ExecOptions) => exec(program, args, options).catch((each: unknown) => each)

test('have() takes only for absent what this machine cannot have', async () => {
  const missing = await ran('holdfast-no-such-program', [])
  const offline = await ran('sh', [
    '-c',
    'echo "go: x@v1: Get https://proxy.golang.org/x: dial tcp: lookup proxy.golang.org: no such host" >&2; exit 1',
  ])
  const noEngine = await ran('sh', [
    '-c',
    'echo "Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?" >&2; exit 1',
  ])
  const noPython = new UserError({ what: 'Cannot run zizmor', why: 'python3 is not on the PATH' }, missing)
  const noAnswer = new NoAnswer({ what: 'Cannot ask', why: 'x answered 503' })
  for (const absent of [missing, offline, noEngine, noPython, noAnswer]) assert.instance(await outcomeOf(absent), Unavailable)
})

test('have() keeps what is broken as it is: a tool that does not compile, packages with another hash, a bug', async () => {
  const uncompiled = await ran('sh', ['-c', 'echo "x/main.go:3:1: syntax error: unexpected EOF" >&2; exit 1'])
  const otherHash = await ran('sh', ['-c', 'echo "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE" >&2; exit 1'])
  const notInstalled = new UserError({ what: 'Cannot run zizmor', why: 'its packages could not be installed' }, otherHash)
  for (const broken of [uncompiled, notInstalled, new TypeError('x is not a function')]) assert.is(await outcomeOf(broken), broken)
  const { results } = await run(
    LOCAL,
    gateOf(
      'one',
      check('it', () => have(() => Promise.reject(uncompiled))),
    ),
  )
  assert.match(results[0]?.problems[0] ?? 'skipped', /it could not look: .*syntax error/)
})

test('the table, JUnit and SARIF say the same', async () => {
  const { results } = await run(LOCAL, gateOf('one', clean, absent), gateOf('two', red))
  assert.match(
    renderTable(results.map((each) => ({ ...each, ms: 1500 }))),
    /^gate {2}tool {4}version {2}result {6}time\none {3}clean {3}1\.2\.3 {4}clean {7}1\.5 s\none {3}absent {2}1\.2\.3 {4}skipped {5}1\.5 s\ntwo {3}red {5}1\.2\.3 {4}2 problems {2}1\.5 s$/,
  )
  const junit = renderGateJunit(results)
  assert.match(junit, /<testsuite name="gate" tests="3" failures="1" skipped="1">/)
  assert.match(junit, /<skipped message="no registry answers"\/>/)
  assert.match(junit, /name="red"[^>]*><failure message="a\.ts:3 — is &lt;bad&gt; — mend it">/)
  const sarif = JSON.parse(renderSarif(results))
  const found = sarif.runs.map((each: { tool: { driver: { name: string } }; results: unknown[] }) => [
    each.tool.driver.name,
    each.results.length,
  ])
  assert.equal(found, [
    ['one', 0],
    ['two', 2],
  ])
  assert.equal(sarif.runs[0].tool.driver.rules, [{ id: 'one/clean', properties: { version: '1.2.3' } }], 'what was skipped has not looked')
  assert.equal(sarif.runs[1].results[0], {
    ruleId: 'two/red',
    level: 'error',
    message: { text: 'is <bad> — mend it' },
    locations: [{ physicalLocation: { artifactLocation: { uri: 'a.ts' }, region: { startLine: 3 } } }],
  })
})

test('SARIF has fewer runs than GitHub takes of one file, and each finding has its rule', async () => {
  const everyCheckRed = gates.map(({ name, checks }) => gateOf(name, ...checks.map(({ tool }) => ({ ...red, tool }))))
  const { runs } = JSON.parse(renderSarif((await run(LOCAL, ...everyCheckRed)).results))
  assert.ok(runs.length > 0 && runs.length <= 20, `${runs.length} runs`)
  for (const { tool, results } of runs) {
    const rules = tool.driver.rules.map(({ id }: { id: string }) => id)
    assert.ok(results.length === 2 * rules.length && results.every(({ ruleId }: { ruleId: string }) => rules.includes(ruleId)))
    assert.is(new Set(rules).size, rules.length)
  }
})

test('readProblem() keeps what is written in another way', () => {
  assert.equal(readProblem('a/b.ts:7 — is bad — mend it'), { file: 'a/b.ts', line: 7, what: 'is bad', remedy: 'mend it' })
  assert.equal(readProblem('a.ts:1 — is bad'), { file: 'a.ts', line: 1, what: 'is bad', remedy: '' })
  assert.equal(readProblem('everything is bad'), { file: '.', line: 1, what: 'everything is bad', remedy: '' })
})

test('a run of tests is red by each file that failed, and by nothing that passed', () => {
  const counts = (passed: number, failed: number) => ({ passed, failed, skipped: 0 })
  const lines = ['✓ unit/git: 3 passed, 0 failed (1 s)', '✗ unit/gate-run: 2 passed, 1 failed (2 s)']
  assert.equal(readTests(lines, { message: counts(5, 1), exitCode: 1 }), [
    'test/unit/gate-run.test.ts:1 — 2 passed, 1 failed (2 s) — npm run test:unit -- gate-run',
  ])
  assert.equal(readTests([], { message: counts(5, 0), exitCode: 0 }), [])
  assert.match(readTests([], { message: counts(0, 0), exitCode: 0 }).join(), /0 passed, 0 failed/)
  assert.match(readTests([], { message: undefined, exitCode: 1 }).join(), /ended with exit code 1 and no result/)
  assert.match(readTests([], { message: counts(5, 0), exitCode: 1 }).join(), /5 passed/)
})

test('the hooks are installed once and again, and never over somebody else’s', async () => {
  using tree = createRepository()
  const pathOf = () => readFileSync(join(tree.path, '.git', 'config'), 'utf8').match(/hooksPath = (.*)/)?.[1]
  for (const _ of ['once', 'again']) await installHooks(tree.path)
  assert.is(pathOf(), '.githooks')
  tree.write('.git/config', '[core]\n\thooksPath = .husky\n')
  await assert.rejects(installHooks(tree.path), /core\.hooksPath is '\.husky'/)
  assert.is(pathOf(), '.husky')
})

test(
  'nothing is pushed when a gate is red',
  async () => {
    const hook = (name: string) => readFileSync(join(root, '.githooks', name), 'utf8')
    using remote = createTree()
    using tree = createRepository({ 'a.txt': 'a' })
    for (const name of ['pre-commit', 'pre-push']) tree.write(`.githooks/${name}`, hook(name), 0o755)
    const gate = (script: string) => tree.write('package.json', JSON.stringify({ scripts: { gate: script } }))
    const git = (...args: readonly string[]) =>
      exec('git', ['-c', 'user.name=test', '-c', 'user.email=test@example.invalid', ...args], { cwd: tree.path, accept: [0, 1] })
    await exec('git', ['init', '--quiet', '--bare', remote.path])
    gate('node -e "process.exit(0)" --')
    await installHooks(tree.path)
    await git('add', '--all')
    assert.is((await git('commit', '--quiet', '--message', 'green')).exitCode, 0)
    gate('node -e "process.exit(1)" --')
    assert.is((await git('push', '--quiet', remote.path, 'HEAD:refs/heads/main')).exitCode, 1)
    assert.is((await git('commit', '--quiet', '--all', '--message', 'red')).exitCode, 1)
    assert.is((await exec('git', ['for-each-ref'], { cwd: remote.path })).stdout, '')
    gate('node -e "process.exit(0)" --')
    assert.is((await git('push', '--quiet', remote.path, 'HEAD:refs/heads/main')).exitCode, 0)
  },
  { timeoutMs: 60_000 },
)

test.run()
