/** The GitHub workflows: what the checks refuse, how a workflow is read, and what the command says. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, matchesGlob } from 'node:path'
import { parse } from 'yaml'
import { root } from '#kit/paths'
import { type ActionStep, checkWorkflow, readJobs, readWorkflows } from '#kit/workflow'
import { planStep, renderPlan } from '#kit/workflow-run'
import { assert, suite } from '../suite.ts'
import { createRepository, createTree, runFile } from './tree-fixture.ts'

const test = suite('workflows')
const SHA = '0123456789abcdef0123456789abcdef01234567'
const SCRIPTS = ['test', 'local:up', 'prove']
const PATH = '.github/workflows/ci.yml'

/** An expression of GitHub. */
const filled = (text: string) => `\${{ ${text} }}`

const GOOD = `name: CI
on: push
permissions:
  contents: read
defaults:
  run:
    shell: bash
jobs:
  one:
    runs-on: ubuntu-24.04
    timeout-minutes: 10
    steps:
      - uses: actions/checkout@${SHA} # v1.2.3
      - run: npm test
      - name: Keep
        if: always()
        uses: actions/upload-artifact@${SHA} # v4.5.6
        with:
          path: out
`

function problemsOf(text: string): string[] {
  return checkWorkflow({ path: PATH, text }, SCRIPTS)
}

/** What is replaced in the good workflow, by what, and what must be said, at which line. */
const FAULTS: readonly (readonly [what: string, from: string, to: string, says: RegExp])[] = [
  ['an action by a tag', `checkout@${SHA}`, 'checkout@v4', /:13 — 'actions\/checkout@v4' is not pinned by a commit — write owner/],
  ['an action by a short commit', `checkout@${SHA}`, 'checkout@0123456', /:13 — .*not pinned/],
  ['an action of the own folder', `actions/checkout@${SHA}`, './mine', /:13 — '\.\/mine' is not pinned/],
  ['an image as an action', `actions/checkout@${SHA}`, 'docker://alpine:3', /:13 — .*not pinned/],
  ['a commit without its version', ' # v1.2.3', '', /:13 — .* does not say which version it is/],
  ['a comment that is no version', '# v1.2.3', '# main', /:13 — .* does not say which version it is/],
  ['a shell command', 'npm test', 'echo hi', /:14 — 'echo hi' is not a call of an npm script/],
  ['a command behind npm', 'npm test', 'npm test && curl x', /:14 — 'npm test && curl x' is not a call/],
  ['a command within npm’s flags', 'npm test', 'npm test -- $(id)', /:14 — .* is not a call/],
  ['a pipe', 'npm test', 'npm test | tee log', /:14 — .* is not a call/],
  ['what GitHub would fill in', 'npm test', `npm test -- ${filled('github.head_ref')}`, /:14 — .* is not a call/],
  ['a second line', 'npm test', '|\n          npm test\n          rm -rf x', /:14 — 'rm -rf x' is not a call/],
  ['npm itself', 'npm test', 'npm install left-pad', /:14 — .* is not a call/],
  ['an unknown script', 'npm test', 'npm run tset', /:14 — there is no npm script 'tset' — did you mean 'test'\?/],
  ['no permissions', 'permissions:\n  contents: read\n', '', /:1 — has no permissions.*write 'permissions: contents: read'/],
  ['permission to write', 'contents: read', 'contents: write', /:3 — permits more than to read/],
  ['one permission more', 'contents: read', 'contents: read\n  packages: read', /:3 — permits more/],
  ['all permissions', 'permissions:\n  contents: read', 'permissions: read-all', /:3 — permits more/],
  [
    'permissions of a job',
    '    timeout-minutes: 10\n',
    '    timeout-minutes: 10\n    permissions: write-all\n',
    /:12 — permits a job what none may have here — write one of \{contents:read,id-token:write\}, /,
  ],
  [
    'a token for who runs it off GitHub too',
    '    timeout-minutes: 10\n',
    '    timeout-minutes: 10\n    permissions: {contents: read, id-token: write}\n',
    /:12 — 'permissions' is not executed off GitHub — give the job a condition/,
  ],
  ['no time limit', '    timeout-minutes: 10\n', '', /:9 — has no time limit/],
  ['a time limit of nothing', 'timeout-minutes: 10', 'timeout-minutes: 0', /:11 — has no time limit/],
  ['a time limit beyond GitHub’s', 'timeout-minutes: 10', 'timeout-minutes: 361', /:11 — has no time limit/],
  ['a step’s wrong time limit', 'npm test', 'npm test\n        timeout-minutes: soon', /:15 — is no time limit/],
  ['a shell without pipefail', 'shell: bash', 'shell: sh', /:5 — names no shell/],
  ['a matrix', '    steps:', '    strategy:\n      matrix: {a: [1]}\n    steps:', /:12 — 'strategy' is not executed off GitHub/],
  ['a step that may fail', 'npm test', 'npm test\n        continue-on-error: true', /:15 — 'continue-on-error' is not executed/],
  ['another folder', 'npm test', 'npm test\n        working-directory: x', /:15 — 'working-directory' is not executed/],
  ['a condition of GitHub', 'always()', "github.actor == 'x'", /:16 — 'github.actor == 'x'' cannot be told off GitHub — use one of/],
  [
    'an environment of GitHub',
    'npm test',
    `npm test\n        env: { A: "${filled('secrets.A')}" }`,
    /:15 — 'A' has a value that only GitHub knows/,
  ],
  [
    'the token of the run where everybody runs it',
    'npm test',
    `npm test\n        env: { GITHUB_TOKEN: "${filled('github.token')}" }`,
    /:15 — 'GITHUB_TOKEN' has a value that only GitHub knows/,
  ],
  ['a step that does nothing', 'run: npm test', 'name: idle', /:14 — does nothing/],
  ['a job without steps', /steps:.*/s.exec(GOOD)?.[0] ?? '', 'steps: []\n', /:12 — has no step/],
  ['no job', /jobs:.*/s.exec(GOOD)?.[0] ?? '', 'jobs: {}\n', /:8 — has no job/],
  ['broken YAML', 'jobs:', 'jobs: [', /ci\.yml:\d+ — .* — mend the YAML/],
]

test('a workflow that keeps the rules has no problem', () => {
  assert.equal(problemsOf(GOOD), [])
  assert.equal(problemsOf(GOOD.replace('npm test', 'npm run prove -- --all hand-edit --repeat=2')), [])
  assert.equal(problemsOf(GOOD.replace('npm test', '|\n          npm run local:up\n          npm test')), [])
  assert.equal(problemsOf(GOOD.replace('  contents: read', '  {}')), [])
})

test('each planted fault is told at its line, and nothing else is', () => {
  for (const [what, from, to, says] of FAULTS) {
    const text = GOOD.replace(from, () => to)
    assert.not.equal(text, GOOD, `${what} was not planted`)
    const problems = problemsOf(text)
    assert.is(problems.length, 1, `${what}: ${problems.join('\n')}`)
    assert.match(problems[0] ?? '', says, what)
  }
})

test('a job that only GitHub runs may be given the token of the run, and permissions that are known', () => {
  const given = GOOD.replace(
    '    runs-on',
    '    if: github.ref == x\n    permissions: {contents: write, packages: read, pull-requests: write}\n    runs-on',
  )
  assert.equal(problemsOf(given.replace('npm test', `npm test\n        env: { GITHUB_TOKEN: "${filled('github.token')}" }`)), [])
  assert.match(problemsOf(given.replace('packages: read', 'packages: write')).join(), 'permits a job what none may have here')
  assert.match(problemsOf(given.replace('npm test', `npm test\n        env: { TOKEN: "${filled('github.token')}" }`)).join(), 'only GitHub')
})

test('the workflows of this repository keep the rules', async () => {
  const files = await readWorkflows(root)
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: Record<string, string> }
  assert.ok(files.length > 0)
  assert.equal(
    files.flatMap((file) => checkWorkflow(file, Object.keys(manifest.scripts))),
    [],
  )
})

test('the tests run on pull requests and main, and their records are kept whatever the outcome', async () => {
  const file = (await readWorkflows(root)).find(({ path }) => path === PATH)
  const text = parse(file?.text ?? '') as { on: Record<string, unknown>; concurrency: Record<string, unknown> }
  const { branches } = text.on.push as Record<string, unknown>
  assert.ok('pull_request' in text.on)
  assert.equal(branches, ['main'])
  assert.is(text.concurrency['cancel-in-progress'], true)
  const jobs = file === undefined ? [] : readJobs(file)
  assert.equal(
    jobs.filter((job) => job.if === undefined).map(({ name }) => name),
    ['integration'],
  )
  assert.ok(jobs[0]?.steps.some((step) => step.kind === 'script' && step.script === 'npm test'))
  const uploads = jobs.flatMap(({ steps }) => steps).filter((step) => planStep(step).outcome === 'checked') as ActionStep[]
  assert.ok(uploads.length >= jobs.length)
  for (const { if: condition, inputs } of uploads) {
    assert.is(condition, 'always()')
    assert.equal([inputs.path, inputs['include-hidden-files'], inputs['if-no-files-found']], ['.holdfast/reports', 'true', 'error'])
  }
})

type Event = 'pull_request' | 'push'
interface Filter {
  readonly branches?: readonly string[]
  readonly paths?: readonly string[]
  readonly 'paths-ignore'?: readonly string[]
}

/** The workflows that GitHub begins for a change of these files, a push being one to main. */
async function begunBy(event: Event, ...changed: readonly string[]): Promise<string[]> {
  const isAny = (path: string, patterns: readonly string[]) => patterns.some((pattern) => matchesGlob(path, pattern))
  return (await readWorkflows(root)).flatMap(({ path, text }) => {
    const on = (parse(text) as { on: Readonly<Record<string, Filter | null>> }).on
    if (!(event in on)) return []
    const { paths, 'paths-ignore': ignored = [] } = on[event] ?? {}
    return changed.some((each) => (paths === undefined || isAny(each, paths)) && !isAny(each, ignored))
      ? [path.replace('.github/workflows/', '')]
      : []
  })
}

const DOCUMENTATION = [
  'README.md',
  'SECURITY.md',
  'docs/index.md',
  'docs/bench.json',
  'docs/diagrams/code.svg',
  'local/node/README.md',
  'mkdocs.yml',
]

test('a change of the documentation alone begins the cheap gates on a pull request, and deploys nothing on main', async () => {
  assert.equal(await begunBy('pull_request', ...DOCUMENTATION), ['gate.yml'])
  assert.equal(await begunBy('push', ...DOCUMENTATION), [])
  assert.equal(await begunBy('pull_request', ...DOCUMENTATION, 'chart/values.yaml'), ['ci.yml', 'gate.yml'])
  assert.equal(await begunBy('push', ...DOCUMENTATION, 'chart/values.yaml'), ['ci.yml', 'main.yml'])
})

test('a change of the tests, the workflows or Renovate’s file is tested, and deploys nothing', async () => {
  for (const path of ['test/unit/judge.test.ts', '.github/workflows/ci.yml', 'renovate.json'])
    assert.equal([path, await begunBy('pull_request', path), await begunBy('push', path)], [path, ['ci.yml', 'gate.yml'], ['ci.yml']])
})

test('a change of anything that runs is tested, and deployed', async () => {
  const folders = readdirSync(root, { withFileTypes: true }).filter(
    (each) => each.isDirectory() && !/^\.|^(?:docs|test|node_modules)$/.test(each.name),
  )
  for (const path of [...folders.map(({ name }) => `${name}/x`), 'holdfast.config.ts', 'package.json', 'package-lock.json']) {
    assert.ok((await begunBy('pull_request', path)).includes('ci.yml'), path)
    assert.equal([path, await begunBy('push', path)], [path, ['ci.yml', 'main.yml']])
  }
  assert.ok(folders.length > 6)
})

test('the cheap gates begin no cluster, and look at the documentation', async () => {
  const file = (await readWorkflows(root)).find(({ path }) => path.endsWith('gate.yml'))
  const scripts = (file === undefined ? [] : readJobs(file)).flatMap(({ steps }) =>
    steps.flatMap((step) => (step.kind === 'script' ? [step.script] : [])),
  )
  assert.equal(scripts, ['npm run gate', 'npm run test:config -- docs --require mkdocs'])
})

test('a workflow is read into jobs and steps', () => {
  const text = GOOD.replace('on: push', 'on: push\nenv: {A: 1, B: 2}').replace(
    'npm test',
    'npm test\n        env: {B: 3}\n        timeout-minutes: 2',
  )
  const [job] = readJobs({ path: PATH, text })
  assert.equal(job, {
    name: 'one',
    workflow: PATH,
    timeoutMs: 600_000,
    steps: [
      { title: 'actions/checkout', if: 'success()', kind: 'action', action: 'actions/checkout', inputs: {} },
      { title: 'npm test', if: 'success()', timeoutMs: 120_000, kind: 'script', script: 'npm test', env: { A: '1', B: '3' } },
      { title: 'Keep', if: 'always()', kind: 'action', action: 'actions/upload-artifact', inputs: { path: 'out' } },
    ],
  })
  assert.is(readJobs({ path: PATH, text: GOOD.replace('always()', filled('!cancelled()')) })[0]?.steps[2]?.if, '!cancelled()')
  assert.throws(() => readJobs({ path: PATH, text: 'jobs: [' }), /^Cannot read a workflow: .*ci\.yml:1/)
})

test('the plan says of each step what becomes of it', () => {
  const jobs = readJobs({ path: PATH, text: GOOD.replace('    runs-on', '    if: github.event_name == x\n    runs-on') })
  const lines = renderPlan(jobs).split('\n')
  assert.is(lines[0], 'one (.github/workflows/ci.yml; on GitHub only if github.event_name == x)')
  assert.match(lines[1] ?? '', /^ {2}replaced .*: a fresh git clone of HEAD$/)
  assert.match(lines[2] ?? '', /^ {2}ran .*: npm test$/)
  assert.match(lines[3] ?? '', /^ {2}checked .*Keep: .* \(if always\(\)\)$/)
  const [row] = JSON.parse(renderPlan(jobs, true)) as { name: string; steps: unknown[] }[]
  assert.equal([row?.name, row?.steps.length], ['one', 3])
})

const runCommand = (args: readonly string[], env: Record<string, string> = {}) =>
  runFile(join(root, 'scripts', 'test-workflows.ts'), { args, env })

test('the command lists the jobs of another repository, and makes no clone for it', async () => {
  using tree = createRepository({ [PATH]: GOOD })
  using temporary = createTree()
  const { exitCode, output } = await runCommand(['--root', tree.path, '--list', '--json'], { TMPDIR: temporary.path })
  assert.is(exitCode, 0)
  assert.equal(
    (JSON.parse(output) as { name: string }[]).map(({ name }) => name),
    ['one'],
  )
  assert.not.ok(readdirSync(temporary.path).some((name) => name.startsWith('holdfast-')))
})

test('bad input is one sentence and exit code 2', async () => {
  using none = createRepository()
  using folder = createTree()
  using broken = createRepository({ [PATH]: 'jobs: [' })
  const refused = await Promise.all([
    runCommand(['--job', 'integratoin', '--list']),
    runCommand(['--root', none.path]),
    runCommand(['--root', folder.path]),
    runCommand(['--root', broken.path, '--list']),
  ])
  assert.equal(
    refused.map(({ exitCode }) => exitCode),
    [2, 2, 2, 2],
  )
  const sentences = [
    /^Cannot run the job 'integratoin': .*Did you mean 'integration'\?/,
    /has none in/,
    /is not a Git repository$/,
    /mend the YAML$/,
  ]
  for (const [i, sentence] of sentences.entries()) assert.match(refused[i]?.output ?? '', sentence)
  for (const { output } of refused) assert.is(output.trim().split('\n').length, 1)
})

test.run()
