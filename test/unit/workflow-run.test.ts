/** Jobs of GitHub workflows off GitHub: tiny ones that run for real, in clones of repositories made for them. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { messageOf } from '#kit/errors'
import { root } from '#kit/paths'
import type { Progress } from '#kit/progress'
import type { ActionStep, Condition, Job, ScriptStep, Step } from '#kit/workflow'
import { isDue, renderResults, runJob, type StepResult } from '#kit/workflow-run'
import { assert, suite } from '../suite.ts'
import { createRepository, createTree, isRunning, runSource, type Tree, urlOf } from './tree-fixture.ts'

const test = suite('jobs of workflows')
const PATH = '.github/workflows/ci.yml'

interface Ran {
  readonly steps: readonly StepResult[]
  readonly said: string
}

const step = (script: string, condition: Condition = 'success()'): ScriptStep => ({
  kind: 'script',
  title: script,
  if: condition,
  script,
  env: {},
})
const action = (name: string, inputs: Record<string, string> = {}): ActionStep => ({
  kind: 'action',
  title: name,
  if: 'success()',
  action: `actions/${name}`,
  inputs,
})

/** A repository with one commit for each of the texts of `a.txt`. */
function createHistory(...texts: readonly string[]): Tree {
  const tree = createRepository({ '.gitignore': 'ignored\n' })
  for (const text of texts) {
    tree.write('a.txt', text)
    execFileSync('git', ['-C', tree.path, 'add', '.'])
    execFileSync('git', ['-C', tree.path, '-c', 'user.name=Test', '-c', 'user.email=test@localhost', 'commit', '--quiet', '-m', text])
  }
  return tree
}

async function runSteps(steps: readonly Step[], { job = {}, at = root, signal = new AbortController().signal } = {}): Promise<Ran> {
  const said: string[] = []
  const round: Progress['round'] = () => Promise.reject(new TypeError('no rounds here'))
  const progress: Progress = {
    round,
    step: (_, work) => work(() => {}),
    say: (text) => said.push(text),
    timings: [],
    [Symbol.dispose]: () => {},
  }
  const whole: Job = { name: 'it', workflow: PATH, timeoutMs: 60_000, steps, ...job }
  return { steps: (await runJob(whole, { root: at, progress, signal })).steps, said: said.join('\n') }
}

const outcomes = ({ steps }: Ran) => steps.map(({ outcome, ok }) => `${outcome} ${ok ? 'ok' : 'red'}`)

test('a condition decides by what became of the job', () => {
  const due = (condition: Condition) => (['success', 'failure', 'cancelled'] as const).map((status) => isDue(condition, status))
  assert.equal(due('success()'), [true, false, false])
  assert.equal(due('failure()'), [false, true, false])
  assert.equal(due('cancelled()'), [false, false, true])
  assert.equal(due('always()'), [true, true, true])
  assert.equal(due('!cancelled()'), [true, true, false])
})

test('after a red step only what asks for it runs, and the job stays red', async () => {
  const ran = await runSteps([
    step('echo one'),
    step('exit 3'),
    step('echo two'),
    step('echo three', 'always()'),
    step('echo four', 'failure()'),
    step('x', 'cancelled()'),
  ])
  assert.equal(outcomes(ran), ['ran ok', 'ran red', 'skipped ok', 'ran ok', 'ran ok', 'skipped ok'])
  assert.is(ran.steps[1]?.detail, 'exit 3: ended with exit code 3')
  assert.is(ran.steps[2]?.detail, 'success() is false after failure')
  assert.match(ran.said, / {2}one\n.* {2}three\n.* {2}four/s)
  assert.not.match(ran.said, /two/)
})

test('the shell ends at the first error, also within a pipe', async () => {
  assert.equal(outcomes(await runSteps([step('false\necho on')])), ['ran red'])
  assert.equal(outcomes(await runSteps([step('false | cat')])), ['ran red'])
})

test('a red step is red however it ends: by a signal, by an unknown program', async () => {
  const ran = await runSteps([step('kill -9 $$'), step('no-such-program', 'always()')])
  assert.equal(outcomes(ran), ['ran red', 'ran red'])
  assert.match(ran.steps[0]?.detail ?? '', /ended with a signal/)
  assert.match(ran.steps[1]?.detail ?? '', /exit code 127/)
})

test('a step knows that it is CI, and nothing of the npm and the folder that started it', async () => {
  const bin = join(root, 'node_modules', '.bin')
  const set = { GITHUB_ACTIONS: 'true', npm_config_x: 'y', INIT_CWD: root, PATH: `${bin}${delimiter}${process.env.PATH}` }
  const before = Object.keys(set).map((name) => [name, process.env[name]] as const)
  try {
    Object.assign(process.env, set)
    const { said } = await runSteps([{ ...step('env'), env: { MINE: 'here' } }])
    assert.match(said, /^ {2}CI=true$/m)
    assert.match(said, /^ {2}MINE=here$/m)
    assert.not.match(said, /GITHUB_ACTIONS|npm_config_x|INIT_CWD/)
    assert.not.ok(said.includes(bin))
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name]
      else process.env[name] = value
    }
  }
})

test('a checkout is a clone of HEAD, in a folder of its own that is gone afterwards', async () => {
  using tree = createHistory('first', 'second')
  tree.write('a.txt', 'not committed')
  tree.write('b.txt', 'not committed')
  tree.write('ignored', 'x')
  const look = step('pwd; cat a.txt; echo; ls -A; git rev-list --count HEAD; git push --quiet || echo refused')
  const ran = await runSteps([step('ls -A | wc -l'), action('checkout'), look], { at: tree.path })
  assert.equal(outcomes(ran), ['ran ok', 'replaced ok', 'ran ok'])
  assert.match(ran.said, /^ {2}0$/m) // empty before
  assert.match(ran.steps[1]?.detail ?? '', /^git clone of HEAD, [0-9a-f]{12}, 1 deep; 2 uncommitted changes are left out$/)
  assert.match(ran.said, /^ {2}second\n {2}\.git\n {2}\.gitignore\n {2}a\.txt\n {2}1\n.*refused$/ms)
  const workspace = /^ {2}(\/.*workspace)$/m.exec(ran.said)?.[1] ?? ''
  assert.ok(workspace !== '' && !existsSync(workspace))
})

test('a checkout brings the whole history where that is asked for', async () => {
  using tree = createHistory('first', 'second', 'third')
  const { steps, said } = await runSteps([action('checkout', { 'fetch-depth': '0' }), step('git rev-list --count HEAD')], { at: tree.path })
  assert.match(said, /^ {2}3$/m)
  assert.match(steps[0]?.detail ?? '', /with its whole history; nothing is uncommitted$/)
})

test('a checkout of a repository without a commit is red', async () => {
  using tree = createRepository({ 'a.txt': 'x' })
  const ran = await runSteps([action('checkout'), step('echo on')], { at: tree.path })
  assert.equal(outcomes(ran), ['replaced red', 'skipped ok'])
  assert.match(ran.steps[0]?.detail ?? '', /rev-parse HEAD.* failed/)
})

test('the Node that is there is used, and said to be another where it is', async () => {
  // As a step sees it: npm puts the packages' own programs first, and one of ours is a Node.
  const folders = (process.env.PATH ?? '').split(delimiter).filter((each) => !each.endsWith(join('node_modules', '.bin')))
  const version = execFileSync('node', ['--version'], { encoding: 'utf8', env: { PATH: folders.join(delimiter) } })
    .trim()
    .slice(1)
  const [major = ''] = version.split('.')
  const { steps } = await runSteps([action('setup-node', { 'node-version': major }), action('setup-node', { 'node-version': '4' })])
  assert.equal(
    steps.map(({ outcome, ok, detail }) => [outcome, ok, detail]),
    [
      ['replaced', true, `node ${version} of this machine, as asked for`],
      ['replaced', true, `node ${version} of this machine, not the 4 that is asked for`],
    ],
  )
})

test('the Terraform that is there is used', async () => {
  using tree = createTree()
  tree.write('terraform', '#!/bin/sh\necho Terraform v1.2.3\necho on linux_amd64\n', 0o755)
  const before = process.env.PATH
  try {
    process.env.PATH = `${tree.path}${delimiter}${before}`
    const setUp = (version: string) => ({ ...action('', { terraform_version: version }), action: 'hashicorp/setup-terraform' })
    const { steps } = await runSteps([setUp('1.2.3'), setUp('1.11.4')])
    assert.equal(
      steps.map(({ outcome, detail }) => [outcome, detail]),
      [
        ['replaced', 'terraform 1.2.3 of this machine, as asked for'],
        ['replaced', 'terraform 1.2.3 of this machine, not the 1.11.4 that is asked for'],
      ],
    )
  } finally {
    process.env.PATH = before
  }
})

test('an action that nothing stands in for is left out, and said to be', async () => {
  const ran = await runSteps([action('cache'), step('true')])
  assert.equal(outcomes(ran), ['left out ok', 'ran ok'])
})

test('an upload is green only where there is something to upload', async () => {
  const make = step('mkdir -p out/deep .hidden/out empty none && echo text > out/deep/a && : > empty/a && echo text > .hidden/out/a')
  const upload = async (inputs: Record<string, string>) => {
    const { steps } = await runSteps([make, action('upload-artifact', inputs)])
    return `${steps[1]?.ok ? 'ok' : 'red'} ${steps[1]?.detail}`
  }
  assert.is(await upload({ path: 'out' }), 'ok out holds 1 file, 5 bytes')
  assert.is(await upload({ path: 'out/deep/a\nout' }), 'ok out/deep/a holds 1 file, 5 bytes; out holds 1 file, 5 bytes')
  assert.match(await upload({ path: 'out\nmissing' }), /^red Cannot upload 'missing': no file is there/)
  assert.match(await upload({ path: 'none' }), /^red .*no file is there/)
  assert.match(await upload({ path: 'empty' }), /^red .*all its files are empty/)
  assert.match(await upload({ path: '.hidden/out' }), /^red .*only hidden files.*include-hidden-files: true/)
  assert.is(await upload({ path: '.hidden/out', 'include-hidden-files': 'true' }), 'ok .hidden/out holds 1 file, 5 bytes')
  assert.match(await upload({ path: 'out/*' }), /^red .*only a plain path/)
  assert.match(await upload({ path: '../x' }), /^red .*only a plain path/)
  assert.match(await upload({}), /^red .*names no path/)
})

test('a step that takes too long is ended and red', async () => {
  const slow: Step = { ...step('sleep 30'), timeoutMs: 300 }
  const ran = await runSteps([slow, step('echo on'), step('echo last', 'always()')])
  assert.equal(outcomes(ran), ['ran red', 'skipped ok', 'ran ok'])
  assert.is(ran.steps[0]?.detail, 'sleep 30: took longer than 300 ms and was ended')
})

test('a job that takes too long is cancelled: only always() and cancelled() still run', async () => {
  const after = (['success()', 'failure()', '!cancelled()', 'always()', 'cancelled()'] as const).map((each) => step('true', each))
  const ran = await runSteps([step('sleep 30'), ...after], { job: { timeoutMs: 300 } })
  assert.equal(outcomes(ran), ['ran red', 'skipped ok', 'skipped ok', 'skipped ok', 'ran ok', 'ran ok'])
  assert.match(ran.said, /The job took longer than 300 ms/)
})

test('a job whose time is up is red, also where its last step did what it should', async () => {
  const ran = await runSteps([action('setup-node')], { job: { timeoutMs: 1 } })
  assert.equal(outcomes(ran), ['replaced red'])
  assert.match(ran.steps[0]?.detail ?? '', /^node .* \(the time of the job is up\)$/)
})

test('what a step leaves running ends with it', async () => {
  const { said } = await runSteps([step('sleep 60 & echo pid $!')])
  const pid = Number(/pid (\d+)/.exec(said)?.[1])
  assert.ok(pid > 0 && !(await isRunning(pid)))
})

for (const [what, after] of [
  ['and runs nothing more', (log: string) => [step(`echo on >> ${log}`, 'always()')]],
  ['also when the step then ends well', () => []],
] as const) {
  test(`an interrupt reaches the step once, waits for its end, removes the clone, ${what}`, async ({ signal }) => {
    using tree = createTree()
    const log = join(tree.path, 'log')
    const abort = new AbortController()
    const trapped = `trap 'echo INT >> ${log}; sleep 0.3; echo down >> ${log}; exit 0' INT; pwd >> ${log}; while :; do sleep 0.05; done`
    const running = runSteps([step(trapped), ...after(log)], { signal: abort.signal }).catch(messageOf)
    while (!existsSync(log)) await setTimeout(20, undefined, { signal })
    abort.abort(new Error('interrupted'))
    assert.is(await running, 'interrupted')
    const [workspace = '', ...rest] = readFileSync(log, 'utf8').trim().split('\n')
    assert.equal(rest, ['INT', 'down'])
    assert.not.ok(existsSync(workspace))
  })
}

test('nothing outlives a process that ends at once', async () => {
  const job = JSON.stringify({ name: 'it', workflow: PATH, timeoutMs: 60_000, steps: [step('echo pid $$ in $PWD; sleep 60')] })
  const progress = '{ step: (_, work) => work(() => {}), say: (text) => { console.log(text); process.exit(0) } }'
  const { output } = await runSource(
    `import { runJob } from '${urlOf('scripts/kit/workflow-run.ts')}'\nawait runJob(${job}, { root: '.', progress: ${progress}, signal: new AbortController().signal })`,
  )
  const [, pid, workspace = ''] = /pid (\d+) in (.+workspace)/.exec(output) ?? []
  assert.ok(workspace !== '' && !existsSync(workspace))
  assert.not.ok(await isRunning(Number(pid)))
})

test('the report says what each step was and what the run was not', async () => {
  const { steps } = await runSteps([step('true'), step('false')])
  const results = [{ name: 'it', workflow: PATH, steps }]
  const text = renderResults(results)
  assert.match(
    text,
    /^it \(\.github\/workflows\/ci\.yml\)\n {2}✓ ran .*true: exit code 0\n {2}✗ ran .*exit code 1\nWhat this run was not:\n {2}\S/,
  )
  assert.equal(JSON.parse(renderResults(results, true)), results)
})

test.run()
