/** GitHub workflows, written so that any machine can run their steps: read, and checked by the rules that keep them so. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { type Document, isMap, isNode, isScalar, parseDocument } from 'yaml'
import { UserError } from './errors.ts'
import { exec } from './exec.ts'
import { lineAt, readTexts, type TextFile } from './files.ts'
import { nearest } from './nearest.ts'
import { tool } from './tools.ts'

export interface Job {
  readonly name: string
  /** Path of its file. */
  readonly workflow: string
  /** When GitHub runs it; undefined where every trigger of the workflow does. */
  readonly if?: string
  readonly timeoutMs: number
  readonly steps: readonly Step[]
}

export type Step = ScriptStep | ActionStep

interface StepBase {
  readonly title: string
  readonly if: Condition
  readonly timeoutMs?: number
}

export interface ScriptStep extends StepBase {
  readonly kind: 'script'
  readonly script: string
  readonly env: Readonly<Record<string, string>>
}

export interface ActionStep extends StepBase {
  readonly kind: 'action'
  /** Without its version: `actions/checkout`. */
  readonly action: string
  readonly inputs: Readonly<Record<string, string>>
}

/** What has become of the job so far decides whether a step runs; a step that says nothing means `success()`. */
const CONDITIONS = ['success()', 'failure()', 'always()', 'cancelled()', '!cancelled()'] as const
export type Condition = (typeof CONDITIONS)[number]

/** What is executed off GitHub too. Any other key would make a job do there what nobody can try here. */
const KEYS = {
  workflow: ['name', 'on', 'permissions', 'concurrency', 'defaults', 'env', 'jobs'],
  job: ['name', 'if', 'needs', 'environment', 'permissions', 'runs-on', 'timeout-minutes', 'env', 'steps'],
  step: ['name', 'id', 'if', 'uses', 'with', 'run', 'env', 'timeout-minutes'],
}
const MINUTE_MS = 60_000
/** GitHub's own runners end every job after six hours. */
const LONGEST_MINUTES = 360

/** Every workflow of a repository, also one that Git does not track yet. */
export async function readWorkflows(root: string): Promise<TextFile[]> {
  return readTexts(root, (path) => /^\.github\/workflows\/[^/]+\.ya?ml$/.test(path))
}

/** The jobs of a workflow. @throws UserError where its text cannot be read. */
export function readJobs(file: TextFile): Job[] {
  const { data, error } = open(file)
  if (error !== undefined) throw new UserError({ what: 'Cannot read a workflow', why: error })
  return Object.entries(fieldsOf(data.jobs)).map(([name, value]) => {
    const job = fieldsOf(value)
    const env = { ...textsOf(data.env), ...textsOf(job.env) }
    return {
      name,
      workflow: file.path,
      ...(job.if === undefined ? {} : { if: String(job.if) }),
      timeoutMs: Number(job['timeout-minutes']) * MINUTE_MS,
      steps: listOf(job.steps).map((step) => readStep(fieldsOf(step), env)),
    }
  })
}

function readStep(step: Fields, env: Readonly<Record<string, string>>): Step {
  const { name, run = '', uses, 'timeout-minutes': minutes } = step
  const action = String(uses ?? '').replace(/@.*/, '')
  const script = String(run).trim()
  const base = {
    title: String(name ?? (action || script)),
    if: readCondition(step.if) ?? 'success()',
    ...(minutes === undefined ? {} : { timeoutMs: Number(minutes) * MINUTE_MS }),
  }
  if (uses === undefined) return { ...base, kind: 'script', script, env: { ...env, ...textsOf(step.env) } }
  return { ...base, kind: 'action', action, inputs: textsOf(step.with) }
}

/** Undefined for one that cannot be told off GitHub. */
function readCondition(value: unknown): Condition | undefined {
  const text = String(value ?? 'success()')
    .replace(/^\$\{\{(.*)\}\}$/s, '$1')
    .trim()
  return CONDITIONS.find((each) => each === text)
}

/** All that can be known without running anything: the rules of this house, and what actionlint sees. */
export async function checkWorkflows(root: string, files: readonly TextFile[], signal?: AbortSignal): Promise<string[]> {
  const scripts = await scriptsIn(root)
  return [...files.flatMap((file) => checkWorkflow(file, scripts)), ...(await lintWorkflows(root, files, signal))]
}

/** The names of the npm scripts of a project; none where it has no package.json. */
export async function scriptsIn(root: string): Promise<string[]> {
  const manifest = await readFile(join(root, 'package.json'), 'utf8').catch(() => '{}')
  return Object.keys((JSON.parse(manifest) as { scripts?: object }).scripts ?? {})
}

/** What actionlint sees. */
export async function lintWorkflows(root: string, files: readonly TextFile[], signal?: AbortSignal): Promise<string[]> {
  // Emptied, or it would also run what it finds on this machine's PATH, and judge differently on each.
  const others = ['-shellcheck=', '-pyflakes=']
  const args = [...others, '-format', '{{json .}}', ...files.map(({ path }) => path)]
  const { stdout } = await exec(await tool('actionlint', signal), args, {
    cwd: root,
    accept: [0, 1],
    signal,
  })
  const findings = JSON.parse(stdout) as { message: string; filepath: string; line: number; kind: string }[]
  return findings.map(({ message, filepath, line, kind }) => `${filepath}:${line} — ${message} — see actionlint (${kind})`)
}

/**
 * The rules of this house: least permissions, actions pinned by commit, time limits, and steps that call npm scripts only.
 * @param scripts names of the scripts of package.json.
 * @returns problems that read `file:line — what — how to mend it`.
 */
export function checkWorkflow(file: TextFile, scripts: readonly string[]): string[] {
  const source = open(file)
  if (source.error !== undefined) return [source.error]
  const jobs = Object.keys(fieldsOf(source.data.jobs)).map((name) => ['jobs', name])
  const steps = jobs.flatMap((job) => listOf(source.fields(job).steps).map((_, i) => [...job, 'steps', i]))
  return [
    ...checkHead(source),
    ...jobs.flatMap((keys) => checkJob(source, keys)),
    ...steps.flatMap((keys) => checkStep(source, keys)),
    ...steps.filter((keys) => 'run' in source.fields(keys)).flatMap((keys) => checkRun(source, [...keys, 'run'], scripts)),
  ]
}

function checkHead(source: Source): string[] {
  const { permissions, defaults, jobs } = source.data
  const granted =
    permissions === undefined ? 'has no permissions: each job gets the default of the repository' : 'permits more than to read the contents'
  const isLeast = ['{}', '{"contents":"read"}'].includes(JSON.stringify(permissions) ?? '')
  const isBash = fieldsOf(fieldsOf(defaults).run).shell === 'bash'
  return [
    ...checkFields(source, [], KEYS.workflow),
    ...when(!isLeast, source.problem(['permissions'], granted, "write 'permissions: contents: read'")),
    ...when(
      !isBash,
      source.problem(['defaults'], 'names no shell: a failure within a pipe would pass', "write 'defaults: run: shell: bash'"),
    ),
    ...when(Object.keys(fieldsOf(jobs)).length === 0, source.problem(['jobs'], 'has no job', 'give it one')),
  ]
}

/** What a job may have beyond reading. Nothing of it can be tried off GitHub. */
const JOB_PERMISSIONS: readonly Readonly<Record<string, string>>[] = [
  // A token of GitHub's that somebody else takes for a key.
  { contents: 'read', 'id-token': 'write' },
  // The same, and an image to read.
  { contents: 'read', packages: 'read', 'id-token': 'write' },
  // An image, and who made it.
  { contents: 'read', packages: 'write', 'id-token': 'write' },
  // A branch, and a pull request that asks to take it.
  { contents: 'write', packages: 'read', 'pull-requests': 'write' },
]
/** All that is tried here runs without a condition, and nobody waits for an approval here. */
const ON_GITHUB = ['needs', 'environment', 'permissions']

function checkJob(source: Source, keys: Keys): string[] {
  const job = source.fields(keys)
  const limit = [...keys, 'timeout-minutes']
  const { permissions } = job
  const isLeast = permissions === undefined || JOB_PERMISSIONS.some((each) => isDeepStrictEqual(each, permissions))
  const remedy = `write one of ${JOB_PERMISSIONS.map((each) => JSON.stringify(each).replaceAll('"', '')).join(', ')}`
  const hidden = job.if === undefined ? ON_GITHUB.filter((key) => key in job && (key !== 'permissions' || isLeast)) : []
  return [
    ...checkFields(source, keys, KEYS.job),
    ...when(!isLeast, source.problem([...keys, 'permissions'], 'permits a job what none may have here', remedy)),
    ...hidden.map((key) => source.problem([...keys, key], `'${key}' is not executed off GitHub`, 'give the job a condition')),
    ...when(!isTimeLimit(job['timeout-minutes']), source.problem(limit, 'has no time limit', `write timeout-minutes, ${LIMITS}`)),
    ...when(listOf(job.steps).length === 0, source.problem([...keys, 'steps'], 'has no step', 'give it one')),
  ]
}

function checkStep(source: Source, keys: Keys): string[] {
  const step = source.fields(keys)
  const { 'timeout-minutes': minutes = 1 } = step
  const unknown = `'${step.if}' cannot be told off GitHub`
  return [
    ...checkFields(source, keys, KEYS.step),
    ...when(readCondition(step.if) === undefined, source.problem([...keys, 'if'], unknown, `use one of ${CONDITIONS.join(', ')}`)),
    ...when(!isTimeLimit(minutes), source.problem([...keys, 'timeout-minutes'], 'is no time limit', `write ${LIMITS}`)),
    ...('uses' in step ? checkUses(source, [...keys, 'uses']) : []),
    ...when(!('uses' in step || 'run' in step), source.problem(keys, 'does nothing', "give the step 'run' or 'uses'")),
  ]
}

/** Only what is executed off GitHub too, and no value that only GitHub can fill in. */
function checkFields(source: Source, keys: Keys, known: readonly string[]): string[] {
  const fields = source.fields(keys)
  const unknown = Object.keys(fields).filter((key) => !known.includes(key))
  const isToken = (name: string, value: string) => isOnGitHub(source, keys) && name === 'GITHUB_TOKEN' && value === TOKEN
  const filled = Object.entries(textsOf(fields.env)).filter(([name, value]) => value.includes('${{') && !isToken(name, value))
  return [
    ...unknown.map((key) =>
      source.problem([...keys, key], `'${key}' is not executed off GitHub`, `leave it out; known: ${known.join(', ')}`),
    ),
    ...filled.map(([name]) =>
      source.problem([...keys, 'env', name], `'${name}' has a value that only GitHub knows`, 'write the value itself'),
    ),
  ]
}

/** The token of the run: a step of a job that nobody runs elsewhere may be given it. */
const TOKEN = `\${{ github.token }}`
const isOnGitHub = (source: Source, keys: Keys) => keys[2] === 'steps' && source.fields(keys.slice(0, 2)).if !== undefined

/** A tag can be moved to other code; a commit cannot, and the comment says which version it is. */
function checkUses({ problem, textAt, commentAt }: Source, keys: Keys): string[] {
  const uses = textAt(keys)
  const remedy = 'write owner/name@<40 hex digits of the commit> # v1.2.3'
  if (!/^[\w.-]+(\/[\w.-]+)+@[0-9a-f]{40}$/.test(uses)) return [problem(keys, `'${uses}' is not pinned by a commit`, remedy)]
  const isNamed = /^\s*v\d+\.\d+\.\d+$/.test(commentAt(keys))
  return when(!isNamed, problem(keys, `'${uses}' does not say which version it is`, remedy))
}

/** Words and flags, nothing that a shell would act on. */
const NPM_LINE = /^npm (?:run (?<script>[\w:-]+)|(?<test>test))(?: --(?: [\w.,:=/-]+)+)?$/

function checkRun({ problem, textAt }: Source, keys: Keys, scripts: readonly string[]): string[] {
  const lines = textAt(keys).trim().split('\n')
  return lines.flatMap((line) => {
    const called = NPM_LINE.exec(line)?.groups
    const name = called?.script ?? called?.test
    if (name === undefined)
      return [problem(keys, `'${line}' is not a call of an npm script`, 'make it a command, and write npm run <name>')]
    const near = nearest(name, scripts)
    const remedy = near === undefined ? 'package.json has none' : `did you mean '${near}'?`
    return when(!scripts.includes(name), problem(keys, `there is no npm script '${name}'`, remedy))
  })
}

const LIMITS = `a whole number from 1 to ${LONGEST_MINUTES}`
const isTimeLimit = (value: unknown) => Number.isInteger(value) && Number(value) >= 1 && Number(value) <= LONGEST_MINUTES
const when = (isWrong: boolean, problem: string) => (isWrong ? [problem] : [])

// ── The text ────────────────────────────────────────────────────────────────────────────────────────────────────────

type Fields = Readonly<Record<string, unknown>>
/** The path to a value. */
type Keys = readonly (string | number)[]

/** A workflow's values, with the places where they stand. */
interface Source {
  /** Why it cannot be read; what the parser says after that follows from it. */
  readonly error: string | undefined
  readonly data: Fields
  fields(keys: Keys): Fields
  textAt(keys: Keys): string
  /** The comment behind a value. */
  commentAt(keys: Keys): string
  /** What is missing is told at the place where it would be. */
  problem(keys: Keys, what: string, remedy: string): string
}

function open({ path, text }: TextFile): Source {
  const doc = parseDocument(text)
  const [broken] = doc.errors
  const data = broken === undefined ? fieldsOf(doc.toJS()) : {}
  const scalarAt = (keys: Keys) => [doc.getIn(keys, true)].find(isScalar)
  return {
    error: broken && `${path}:${lineAt(text, broken.pos[0])} — ${broken.message.split('\n')[0]} — mend the YAML`,
    data,
    fields: (keys) => keys.reduce<Fields>((parent, key) => fieldsOf(parent[key]), data),
    textAt: (keys) => String(scalarAt(keys)?.value ?? ''),
    commentAt: (keys) => scalarAt(keys)?.comment ?? '',
    problem: (keys, what, remedy) => `${path}:${lineAt(text, offsetOf(doc, keys))} — ${what} — ${remedy}`,
  }
}

/** Where a key or an item begins, else its parent. */
function offsetOf(doc: Document, keys: Keys): number {
  const [parents, last] = [keys.slice(0, -1), keys.at(-1)]
  if (last === undefined) return doc.contents?.range?.[0] ?? 0
  const parent = doc.getIn(parents, true)
  const place = isMap(parent) ? parent.items.find(({ key }) => isScalar(key) && key.value === last)?.key : doc.getIn(keys, true)
  return isNode(place) && place.range ? place.range[0] : offsetOf(doc, parents)
}

function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Fields) : {}
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

function textsOf(value: unknown): Record<string, string> {
  return Object.fromEntries(Object.entries(fieldsOf(value)).map(([key, each]) => [key, String(each)]))
}
