/** Runs the steps of a GitHub job on a machine without GitHub, in a fresh clone, and says of each step what it was. */
import { spawn } from 'node:child_process'
import { rmSync } from 'node:fs'
import { mkdir, stat, writeFile } from 'node:fs/promises'
import { delimiter, join, relative, sep } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Failure } from './errors.ts'
import { ExecError, exec } from './exec.ts'
import { type GroupEnd, untilEnded } from './group.ts'
import { filesBelow } from './hash.ts'
import { formatMs, type Progress } from './progress.ts'
import { runStage } from './stage.ts'
import { type TemporaryFolder, temporaryFolder } from './temporary.ts'
import type { ActionStep, Condition, Job, ScriptStep, Step } from './workflow.ts'

/** What a job of GitHub is that this is not. */
export const LIMITS: readonly string[] = [
  'Steps run on this machine, with its system, tools, caches and Docker Engine. A runner of GitHub begins empty, and pulls its images.',
  'No action runs: each is replaced or checked as said above, and a cache that it would restore or save is not there.',
  'Workflows are read from the working tree; what is checked out is HEAD, on its branch, where GitHub tests a merge.',
  'Triggers, concurrency, permissions, runs-on and the condition of a job are read, and not in force. Jobs run one after the other.',
  'GITHUB_ACTIONS and the other variables of GitHub are not set, since this is not GitHub. CI is true, as there.',
  'What a step leaves on this machine stays (a stack, images, caches); a stack that ran before is used by the steps, and then runs HEAD.',
]

type Outcome = 'ran' | 'replaced' | 'checked' | 'left out' | 'skipped'

export interface StepPlan {
  readonly outcome: Exclude<Outcome, 'skipped'>
  /** What is done in its place, or what is run. */
  readonly what: string
}

export interface StepResult {
  readonly step: string
  readonly outcome: Outcome
  readonly ok: boolean
  readonly detail: string
}

export interface JobResult {
  readonly name: string
  readonly workflow: string
  readonly steps: readonly StepResult[]
}

export interface JobOptions {
  /** The repository that is cloned. */
  readonly root: string
  readonly progress: Progress
  readonly signal: AbortSignal
}

interface Place extends JobOptions {
  /** Where the job works; empty until a step checks out. */
  readonly workspace: string
  /** For the runner's own files. */
  readonly folder: string
  readonly timeoutMs: number
}

/** Does what can be done of an action. @returns what it was. @throws Failure where the action would fail. */
interface StandIn extends StepPlan {
  readonly work: (inputs: ActionStep['inputs'], place: Place) => Promise<string>
}

const STAND_INS: Readonly<Record<string, StandIn>> = {
  'actions/checkout': { outcome: 'replaced', what: 'a fresh git clone of HEAD', work: checkOut },
  'actions/setup-node': { outcome: 'replaced', what: 'the Node of this machine', work: useOwn('node', ['--version']) },
  'actions/setup-go': { outcome: 'replaced', what: 'the Go of this machine', work: useOwn('go', ['version']) },
  'hashicorp/setup-terraform': { outcome: 'replaced', what: 'the Terraform of this machine', work: useOwn('terraform', ['version']) },
  'actions/upload-artifact': { outcome: 'checked', what: 'that its paths hold something; nothing is uploaded', work: checkUpload },
}
const NO_STAND_IN: StandIn = {
  outcome: 'left out',
  what: 'nothing here stands in for it',
  work: async () => 'nothing here stands in for it',
}

const standInOf = ({ action }: ActionStep) => STAND_INS[action] ?? NO_STAND_IN

/** What becomes of a step that is reached. */
export function planStep(step: Step): StepPlan {
  if (step.kind === 'script') return { outcome: 'ran', what: step.script }
  const { outcome, what } = standInOf(step)
  return { outcome, what }
}

/** The jobs and what becomes of each step, as lines or as a JSON array. */
export function renderPlan(jobs: readonly Job[], asJson = false): string {
  const rows = jobs.map((job) => ({ ...job, steps: job.steps.map((step) => ({ name: step.title, if: step.if, ...planStep(step) })) }))
  if (asJson) return JSON.stringify(rows, undefined, 2)
  return rows
    .flatMap(({ name, workflow, steps, if: condition }) => [
      `${name} (${workflow}${condition === undefined ? '' : `; on GitHub only if ${condition}`})`,
      ...steps.map((step) => `  ${step.outcome.padEnd(8)}  ${step.name}: ${step.what}${step.if === 'success()' ? '' : ` (if ${step.if})`}`),
    ])
    .join('\n')
}

/** What each step was, and what the run was not. */
export function renderResults(results: readonly JobResult[], asJson = false): string {
  if (asJson) return JSON.stringify(results, undefined, 2)
  const lines = results.flatMap(({ name, workflow, steps }) => [
    `${name} (${workflow})`,
    ...steps.map(({ step, outcome, ok, detail }) => `  ${markOf(outcome, ok)} ${outcome.padEnd(8)}  ${step}: ${detail}`),
  ])
  return [...lines, 'What this run was not:', ...LIMITS.map((limit) => `  ${limit}`)].join('\n')
}

function markOf(outcome: Outcome, ok: boolean): string {
  if (outcome === 'skipped') return '-'
  return ok ? '✓' : '✗'
}

type JobStatus = 'success' | 'failure' | 'cancelled'

/** Whether a step runs, after what became of the steps before it. */
export function isDue(condition: Condition, status: JobStatus): boolean {
  if (condition === 'always()') return true
  if (condition === '!cancelled()') return status !== 'cancelled'
  return condition === { success: 'success()', failure: 'failure()', cancelled: 'cancelled()' }[status]
}

/** What GitHub gives the last steps of a job whose time is up. */
const LAST_STEPS_MS = 5 * 60_000

/** Runs the steps in order, none of them twice; the clone is removed at the end. @throws the signal's reason when it aborts. */
export async function runJob(job: Job, options: JobOptions): Promise<JobResult> {
  await using folder = await jobFolder()
  const workspace = join(folder.path, 'workspace')
  await mkdir(workspace)
  const results: StepResult[] = []
  let status: JobStatus = 'success'
  let endsAtMs = performance.now() + job.timeoutMs
  for (const step of job.steps) {
    const timeoutMs = Math.max(0, Math.min(step.timeoutMs ?? job.timeoutMs, endsAtMs - performance.now()))
    const place = { ...options, workspace, folder: folder.path, timeoutMs }
    const result = isDue(step.if, status) ? await runStep(step, place) : skip(step, status)
    const isOver = performance.now() >= endsAtMs
    results.push(isOver ? { ...result, ok: false, detail: `${result.detail} (the time of the job is up)` } : result)
    status = statusAfter(result, status)
    if (!isOver) continue
    options.progress.say(`The job took longer than ${formatMs(job.timeoutMs)}: what is left is cancelled`)
    status = 'cancelled'
    endsAtMs = performance.now() + LAST_STEPS_MS
  }
  return { name: job.name, workflow: job.workflow, steps: results }
}

function statusAfter({ ok }: StepResult, status: JobStatus): JobStatus {
  return !ok && status === 'success' ? 'failure' : status
}

function skip({ title, if: condition }: Step, status: JobStatus): StepResult {
  return { step: title, outcome: 'skipped', ok: true, detail: `${condition} is false after ${status}` }
}

/** Removed also where the process ends at once, as on a second Ctrl-C. */
async function jobFolder(): Promise<TemporaryFolder> {
  const { path, [Symbol.asyncDispose]: dispose } = await temporaryFolder('workflow')
  const remove = () => rmSync(path, { recursive: true, force: true })
  process.once('exit', remove)
  return {
    path,
    [Symbol.asyncDispose]: async () => {
      process.removeListener('exit', remove)
      await dispose()
    },
  }
}

async function runStep(step: Step, place: Place): Promise<StepResult> {
  const { outcome } = planStep(step)
  const work = async (): Promise<StepResult> => {
    try {
      const detail = await (step.kind === 'script' ? runScript(step, place) : standInOf(step).work(step.inputs, place))
      return { step: step.title, outcome, ok: true, detail }
    } catch (thrown) {
      place.signal.throwIfAborted()
      if (thrown instanceof Failure || thrown instanceof ExecError) return { step: step.title, outcome, ok: false, detail: thrown.message }
      throw thrown
    }
  }
  const result = await runStage(step.title, work, { progress: place.progress, isGood: ({ ok }) => ok })
  place.progress.say(`  ${outcome}: ${result.detail}`)
  return result
}

// ── Scripts ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** As GitHub's runners start the shell that a workflow names `bash`. */
const BASH_FLAGS = ['--noprofile', '--norc', '-eo', 'pipefail']
/** GitHub kills after 10 s and throws the machine away; on this one a stack that a step brought up must have time to go down. */
const STOP_MS = 2 * 60_000

async function runScript({ script, env }: ScriptStep, { workspace, folder, timeoutMs, signal, progress }: Place): Promise<string> {
  const file = join(folder, 'step.sh')
  await writeFile(file, script)
  const onLine = (line: string) => progress.say(`  ${line}`)
  const { exitCode, timedOut } = await runBash(file, { cwd: workspace, env: stepEnv(env), timeoutMs, signal, onLine })
  signal.throwIfAborted()
  if (timedOut) throw new Failure({ what: script, why: `took longer than ${formatMs(timeoutMs)} and was ended` })
  if (exitCode !== 0)
    throw new Failure({ what: script, why: `ended with ${exitCode === undefined ? 'a signal' : `exit code ${exitCode}`}` })
  return `${script}: exit code 0`
}

interface BashOptions extends Pick<Place, 'timeoutMs' | 'signal'> {
  readonly cwd: string
  readonly env: NodeJS.ProcessEnv
  readonly onLine: (line: string) => void
}

/** The script and all that it started have ended when this returns. */
async function runBash(file: string, { cwd, env, ...options }: BashOptions): Promise<GroupEnd> {
  options.signal.throwIfAborted()
  // A group of its own: it hears of a Ctrl-C once, from here, and can be ended with all that it started.
  const child = spawn('bash', [...BASH_FLAGS, file], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
  return untilEnded(child, { ...options, stopBy: 'SIGINT', graceMs: STOP_MS }).catch(withoutBash)
}

function withoutBash(thrown: NodeJS.ErrnoException): never {
  if (thrown.code !== 'ENOENT') throw thrown
  throw new Failure({ what: 'Cannot run a step', why: thrown.message, next: 'Put bash on the PATH' }, thrown)
}

/** What npm tells the command that it runs, and what GitHub would tell a job. */
const NOT_HANDED_ON = /^(npm_|GITHUB_|RUNNER_|ACTIONS_|INIT_CWD$)/

/** This machine's environment, without what would lead from the clone back to the folder that it was made from. */
function stepEnv(own: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !NOT_HANDED_ON.test(name))
  const folders = (process.env.PATH ?? '').split(delimiter).filter((each) => !each.endsWith(join('node_modules', '.bin')))
  return { ...Object.fromEntries(kept), PATH: folders.join(delimiter), CI: 'true', ...own }
}

// ── What stands in for actions ──────────────────────────────────────────────────────────────────────────────────────

async function checkOut(inputs: ActionStep['inputs'], { root, workspace, signal }: Place): Promise<string> {
  const depth = Number(inputs['fetch-depth'] ?? 1)
  const history = depth === 0 ? [] : [`--depth=${depth}`]
  const git = async (...args: readonly string[]) => (await exec('git', args, { cwd: root, signal })).stdout.trim()
  const head = await git('rev-parse', 'HEAD')
  // As a URL, since Git ignores the depth of a clone of a path.
  await git('clone', '--quiet', ...history, pathToFileURL(root).href, workspace)
  await git('-C', workspace, 'remote', 'set-url', '--push', 'origin', 'nowhere')
  const changed = (await git('status', '--porcelain')).split('\n').filter((line) => line !== '').length
  const left = changed === 0 ? 'nothing is uncommitted' : `${changed} uncommitted ${changed === 1 ? 'change is' : 'changes are'} left out`
  return `git clone of HEAD, ${head.slice(0, 12)}, ${depth === 0 ? 'with its whole history' : `${depth} deep`}; ${left}`
}

function useOwn(program: 'node' | 'go' | 'terraform', args: readonly string[]): StandIn['work'] {
  return async (inputs, { workspace, signal }) => {
    const { stdout } = await exec(program, args, { cwd: workspace, env: stepEnv({}), signal })
    const found = /\d+(\.\d+)*/.exec(stdout)?.[0] ?? stdout.trim()
    const asked = inputs[`${program}-version`] ?? inputs[`${program}_version`]
    if (asked === undefined) return `${program} ${found} of this machine`
    const isAsked = found === asked || found.startsWith(`${asked}.`)
    return `${program} ${found} of this machine, ${isAsked ? 'as asked for' : `not the ${asked} that is asked for`}`
  }
}

/** Stricter than the action, which only warns unless it is told otherwise. */
async function checkUpload(inputs: ActionStep['inputs'], { workspace }: Place): Promise<string> {
  const paths = (inputs.path ?? '').split('\n').flatMap((line) => line.trim() || [])
  if (paths.length === 0) throw new Failure({ what: 'Cannot upload', why: 'the step names no path' })
  const withHidden = inputs['include-hidden-files'] === 'true'
  const seen = await Promise.all(paths.map((path) => weigh(path, { workspace, withHidden })))
  return seen.map(({ path, files, bytes }) => `${path} holds ${files} ${files === 1 ? 'file' : 'files'}, ${bytes} bytes`).join('; ')
}

async function weigh(path: string, { workspace, withHidden }: { workspace: string; withHidden: boolean }) {
  const what = `Cannot upload '${path}'`
  if (/[*?[!~]|^\/|\.\./.test(path)) throw new Failure({ what, why: 'only a plain path within the clone can be checked here' })
  const all = await filesBelow(join(workspace, path)).catch(() => [])
  const files = all.filter((file) => withHidden || !relative(workspace, file).split(sep).some(isHidden))
  const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size))
  const bytes = sizes.reduce((sum, size) => sum + size, 0)
  if (all.length === 0) throw new Failure({ what, why: 'no file is there' })
  if (files.length === 0) throw new Failure({ what, why: 'only hidden files are there', next: 'Set include-hidden-files: true' })
  if (bytes === 0) throw new Failure({ what, why: 'all its files are empty' })
  return { path, files: files.length, bytes }
}

const isHidden = (name: string) => name.startsWith('.')
