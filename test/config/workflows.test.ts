/** What the workflows of this repository hold beside the rules of the house: what each job needs, keeps, and may. Read, not run. */
import { join } from 'node:path'
import { parse } from 'yaml'
import { chooseMeasures, FIRST_ENVIRONMENT } from '#core'
import { root } from '#kit/paths'
import { type ActionStep, type Job, readJobs, readWorkflows, type ScriptStep } from '#kit/workflow'
import { cloud } from '../../holdfast.config.ts'
import { assert, suite } from '../suite.ts'
import { runFile } from '../unit/tree-fixture.ts'

const test = suite('workflows of this repository')
/** The first use may build actionlint. */
const BUILD = { timeoutMs: 300_000 }

interface RawJob {
  readonly needs?: string | readonly string[]
  readonly permissions?: Readonly<Record<string, string>>
  readonly env?: Readonly<Record<string, string>>
}

const files = await readWorkflows(root)
const jobs = files.flatMap(readJobs)
const raw = (workflow: string, job: string): RawJob => {
  const file = files.find(({ path }) => path.endsWith(workflow))
  return (parse(file?.text ?? '') as { jobs: Readonly<Record<string, RawJob>> }).jobs[job] ?? {}
}

const nameOf = ({ workflow, name }: Job) => `${workflow.replace('.github/workflows/', '')} ${name}`
const isScript = (pattern: RegExp) => (step: Job['steps'][number]) => step.kind === 'script' && pattern.test((step as ScriptStep).script)
const runs = (pattern: RegExp) => jobs.filter(({ steps }) => steps.some(isScript(pattern)))
const actionsOf = ({ steps }: Job, name: string) =>
  steps.filter((step): step is ActionStep => step.kind === 'action' && step.action === name)

/** Calls of scripts that look at Terraform's code, or act by it. A call with an argument runs a part, which may need none. */
const BY_TERRAFORM = /^npm (test|run (gate|test:(config|rehearsal|parity|gates)|cloud:\w+ -- .+))$/

test('every job that calls for Terraform sets it up before, in one version and as it is', () => {
  const calling = runs(BY_TERRAFORM)
  for (const { steps, ...job } of calling) {
    const before = steps.slice(0, steps.findIndex(isScript(BY_TERRAFORM)))
    assert.is(actionsOf({ ...job, steps: before }, 'hashicorp/setup-terraform').length, 1, nameOf({ ...job, steps }))
  }
  const given = new Set(jobs.flatMap((job) => actionsOf(job, 'hashicorp/setup-terraform')).map(({ inputs }) => JSON.stringify(inputs)))
  assert.equal([...given], ['{"terraform_version":"1.11.4","terraform_wrapper":"false"}'])
  assert.equal(
    calling.map(nameOf).filter((name) => !name.startsWith('cloud.yml')),
    ['ci.yml integration', 'ci.yml integration-arm64', 'gate.yml gate', 'main.yml main-gate'],
  )
})

test('what can sign runs no gate and no test, and comes after both', () => {
  const signing = jobs.filter(({ workflow, name }) => raw(workflow, name).permissions?.['id-token'] === 'write')
  const testing = signing.filter(({ steps }) => steps.some(isScript(/^npm (test|run (gate|lint|types|test:\S+))\b/)))
  assert.equal(testing.map(nameOf), [])
  assert.ok(signing.some(({ name }) => name === 'image'))
  assert.is(raw('main.yml', 'image').needs, 'main-gate')
  assert.is(raw('main.yml', 'main-gate').permissions, undefined, 'as the workflow: to read the contents')
})

test('nothing that can sign or that says what may be signed reads what another run has left', () => {
  const main = jobs.filter(({ workflow }) => workflow.endsWith('main.yml'))
  assert.equal(main.filter((job) => actionsOf(job, 'actions/cache').length > 0).map(nameOf), [])
  const go = main.flatMap((job) => actionsOf(job, 'actions/setup-go'))
  assert.equal([...new Set(go.map(({ inputs }) => inputs.cache))], ['false'])
})

test('dev is moved to what its own registry has: ECR, under the name that Terraform gives the repository', () => {
  assert.equal(raw('main.yml', 'move-dev').needs, ['image', 'ecr'])
  assert.is(raw('main.yml', 'ecr').env?.HOLDFAST_ECR_PREFIX, `${cloud.nameOf(FIRST_ENVIRONMENT)}/`)
})

test('a job is named once, so that --job means one', () => {
  assert.is(new Set(jobs.map(({ name }) => name)).size, jobs.length)
})

const REPORTS = '.holdfast/reports'

test('what was found is kept, also where it is red', () => {
  for (const job of runs(/^npm (test|run (gate|prove|chaos|bench|bench:kind))\b/)) {
    const uploads = actionsOf(job, 'actions/upload-artifact').filter(({ if: condition }) => condition === 'always()')
    const paths = uploads.map(({ inputs }) => inputs.path)
    assert.ok(paths.includes(job.name === 'budgets' ? 'docs/bench.json' : REPORTS), nameOf(job))
  }
  const names = jobs.flatMap((job) => actionsOf(job, 'actions/upload-artifact')).map(({ inputs }) => inputs.name)
  assert.is(new Set(names).size, names.length)
})

/** Those that begin with what was kept. bench:kind would compare images that are here with images that are not. */
const ON_STORE = runs(/^npm (test|run (local:up|bench))\b(?!:)/).filter(({ workflow }) => !workflow.endsWith('main.yml'))

test('every job that brings a cluster up begins with the images of an earlier run, and leaves them to the next', () => {
  for (const job of ON_STORE) {
    const scripts = job.steps.flatMap((step) => (step.kind === 'script' ? [step.script] : []))
    assert.equal([scripts[0], scripts.at(-1)], ['npm run store -- load', 'npm run store -- save'], nameOf(job))
  }
  assert.equal(ON_STORE.map(nameOf), [
    'ci.yml integration',
    'ci.yml integration-arm64',
    'ci.yml prove',
    'nightly.yml chaos',
    'nightly.yml budgets',
  ])
})

test('a cache is written anew where it has changed: by each run for images, by each job for programs, never one within the other', () => {
  const cached = jobs.filter((job) => actionsOf(job, 'actions/cache').length > 0)
  for (const job of cached) {
    const [programs, store] = actionsOf(job, 'actions/cache').map(({ inputs }) => inputs)
    assert.is(programs?.path, '~/.cache/holdfast/*\n!~/.cache/holdfast/store\n')
    assert.match(programs?.key ?? '', /^programs-.*github\.job/)
    assert.is(
      store !== undefined,
      ON_STORE.some(({ name }) => name === job.name),
      nameOf(job),
    )
    if (store === undefined) continue
    assert.is(store.path, '~/.cache/holdfast/store')
    assert.match(store.key ?? '', /^store-.*github\.run_id.*github\.job/)
    assert.ok((store.key ?? '').startsWith(store['restore-keys'] ?? 'none'), 'an earlier run is found by how its key begins')
  }
  assert.ok(cached.length > ON_STORE.length)
})

test('every night all that has a budget is measured, but the cold start', () => {
  const [job] = runs(/^npm run bench -- /)
  const script = job?.steps.find(isScript(/^npm run bench /)) as ScriptStep
  const names = /--only (\S+)$/.exec(script.script)?.[1]?.split(',') ?? []
  assert.equal(
    chooseMeasures({ only: names, cold: false }).map(({ name }) => name),
    names,
  )
  const left = chooseMeasures({ cold: false }).filter(({ name }) => !names.includes(name))
  assert.equal(
    left.map(({ name }) => name),
    ['growth'], // it has none
  )
})

test(
  '--dry-run shows every job of every workflow, also those with a condition, and runs nothing',
  async () => {
    const { exitCode, output } = await runFile(join(root, 'scripts/test-workflows.ts'), { args: ['--dry-run', '--json'] })
    assert.is(exitCode, 0, output)
    const shown = JSON.parse(output.slice(output.indexOf('[\n'))) as Job[]
    assert.equal(shown.map(nameOf), jobs.map(nameOf))
  },
  BUILD,
)

test.run()
