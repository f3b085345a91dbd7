/** The commands that the documentation shows, as a plan: which are run, in which order, and why the others are not. Pure. */
import type { Fence, Page } from './markdown.ts'
import type { Job, ScriptStep } from './workflow.ts'
import type { JobResult } from './workflow-run.ts'

export interface ShownCommand {
  readonly command: string
  readonly path: string
  readonly line: number
  /**
   * `run` here, against the stack that runs; `rehearsed`, without an account, against what stands in for the cloud; `excepted`, with a
   * reason; or `repeated`: the same line stands further up.
   */
  readonly fate: 'run' | 'rehearsed' | 'excepted' | 'repeated'
  /** Of what is not run. */
  readonly reason?: string
}

export interface ShownOptions {
  /** Pages of the site, in the order of its menu. What comes before them is read first: README. */
  readonly order: readonly string[]
  /** Whether this machine has a program. */
  readonly has: (program: string) => boolean
  /** Whether `npm test` is run. @default true */
  readonly tests?: boolean
  /** Whether a stack ran before, which is not taken away at the end. @default false */
  readonly keepsStack?: boolean
  /** It goes on at the first page whose path contains this: what stands further up was run before. @default the first of all */
  readonly from?: string
}

const TESTS = 'npm test'
const DOWN = 'npm run local:down'
/** What is run after all else, in this order: the first takes as long as all other lines, the second takes away what they need. */
const LAST: readonly string[] = [TESTS, DOWN]

interface Exception {
  readonly matches: RegExp
  readonly reason: string
}

const EXCEPTIONS: readonly Exception[] = [
  { matches: /<[^>]+>|…/, reason: 'it has a placeholder' },
  { matches: /\b1a2b3c4\b|\bbefore\.html\b/, reason: 'it names something that an example made up' },
  { matches: /^(apt-get|brew|pip|npm (ci|install)|git clone|cd) /, reason: 'it installs something, or fetches what is already here' },
  { matches: /^npm (test|run test:(unit|config|contract|live|rehearsal))( -- --require \w+)?$/, reason: 'it is part of npm test' },
  { matches: /^npm run (test:(series|parity|kills)|bench:kind)\b/, reason: 'it has a run of its own, which takes up to hours' },
  { matches: /^npm run bench(?!\S)(?!.* --(list|table|dry-run)\b)/, reason: 'it has a run of its own, which takes up to hours' },
  { matches: /^npm run (image|move-digest) .*\b(ghcr|ecr)\b/, reason: 'it needs an account' },
  { matches: /^npm run test:docs/, reason: 'it is this command' },
  { matches: /^npm run service$|--(serve|watch|sync)\b/, reason: 'it runs until somebody stops it' },
  { matches: /^npm run local:down /, reason: 'it would take away more than these lines have made' },
  { matches: /^npm run local:\S+ -- .*--(name|nodes)\b/, reason: 'it would change the machine’s clusters for good' },
  { matches: /\bcloud:\S+ .*--env (staging|prod)\b/, reason: 'only dev is rehearsed' },
]

/** What needs a cloud, in the order in which an environment lives. */
const REHEARSED: readonly RegExp[] = [/cloud:plan\b/, /cloud:up\b/, /cloud:status\b/, /cloud:test\b|--name holdfast-dev\b/, /cloud:down\b/]

/** Every command of every block, in the order in which they would be run. */
export function planShown(pages: readonly Page[], options: ShownOptions): readonly ShownCommand[] {
  const seen = new Set<string>()
  const inOrder = pages.toSorted((a, b) => placeOf(a, options) - placeOf(b, options) || a.path.localeCompare(b.path))
  const ofPages = inOrder.map((page) => page.fences.flatMap((fence) => commandsIn(page, fence, { seen, ...options })))
  const first = inOrder.findIndex(({ path }) => path.includes(options.from ?? ''))
  const all = ofPages.slice(Math.max(first, 0)).flat()
  const [rehearsed, others] = [all.filter(({ fate }) => fate === 'rehearsed'), all.filter(({ fate }) => fate !== 'rehearsed')]
  return [...others.toSorted(byEnd), ...rehearsed.toSorted(byLife)]
}

const endOf = ({ command, fate }: ShownCommand) => (fate === 'run' ? LAST.indexOf(command) : -1)
const byEnd = (a: ShownCommand, b: ShownCommand) => endOf(a) - endOf(b)

/** Pages outside of the site come first, README before all. */
function placeOf({ path }: Page, { order }: ShownOptions): number {
  if (path === 'README.md') return -2
  if (!path.startsWith('docs/')) return -1
  const place = order.indexOf(path)
  return place === -1 ? order.length : place
}

const lifeOf = ({ command }: ShownCommand) => REHEARSED.findIndex((pattern) => pattern.test(command))
const byLife = (a: ShownCommand, b: ShownCommand) => lifeOf(a) - lifeOf(b)

type Seen = ShownOptions & { readonly seen: Set<string> }

function commandsIn({ path }: Page, { commands, notRun }: Fence, { seen, ...options }: Seen): ShownCommand[] {
  return commands.map(({ text: command, line }) => {
    const place = { command, path, line }
    const reason = notRun ?? reasonNotToRun(command, options)
    if (reason !== undefined) return { ...place, fate: 'excepted', reason }
    if (seen.has(command)) return { ...place, fate: 'repeated', reason: 'the same line stands further up' }
    seen.add(command)
    return { ...place, fate: REHEARSED.some((pattern) => pattern.test(command)) ? 'rehearsed' : 'run' }
  })
}

function reasonNotToRun(command: string, { has, tests = true, keepsStack = false }: ShownOptions): string | undefined {
  if (command === TESTS) return tests ? undefined : '--no-tests leaves it out'
  if (command === DOWN && keepsStack) return 'the stack ran before, and stays'
  const exception = EXCEPTIONS.find(({ matches }) => matches.test(command))
  if (exception !== undefined) return exception.reason
  const missing = programsOf(command).find((program) => !has(program))
  return missing === undefined ? undefined : `${missing} is not on the PATH`
}

/** Every program that a block of these pages runs. */
export function programsIn(pages: readonly Page[]): readonly string[] {
  const commands = pages.flatMap(({ fences }) => fences.flatMap((fence) => fence.commands))
  return [...new Set(commands.flatMap(({ text }) => programsOf(text)))]
}

/** The first word of each command of a pipe; what stands in quotes is nobody's program. */
function programsOf(command: string): string[] {
  const bare = command.replaceAll(/'[^']*'|"[^"]*"/g, '')
  return bare.split(/\||&&|;/).map((each) => /^\s*(?:\w+=\S*\s+)*(\S+)/.exec(each)?.[1] ?? '')
}

const MINUTE_MS = 60_000
/** The longest command that is shown moves Kubernetes, with proofs before and after it. */
const LINE_TIMEOUT_MS = 30 * MINUTE_MS
/** npm test has the stack to itself, then a rehearsal of the cloud: the better part of an hour on two cores. */
const TESTS_TIMEOUT_MS = 90 * MINUTE_MS

/** What is run here as a job: a fresh clone, then every line; one that fails does not stop the next. */
export function jobOf(plan: readonly ShownCommand[]): Job {
  const lines = plan.filter(({ fate }) => fate === 'run')
  const steps = lines.map(({ command, path, line }): ScriptStep => {
    const title = `${path}:${line}: ${command}`
    const timeoutMs = command === TESTS ? TESTS_TIMEOUT_MS : LINE_TIMEOUT_MS
    return { kind: 'script', title, if: '!cancelled()', script: command, env: {}, timeoutMs }
  })
  const timeoutMs = steps.reduce((sum, step) => sum + (step.timeoutMs ?? 0), LINE_TIMEOUT_MS)
  const inputs = { 'fetch-depth': '0' }
  const clone = { kind: 'action', title: 'Clone', if: 'success()', action: 'actions/checkout', inputs } as const
  return { name: 'docs', workflow: 'README.md and docs', timeoutMs, steps: [clone, ...steps] }
}

/** What became of the lines that were run. */
export function renderRan({ steps }: JobResult): string {
  return steps.map(({ ok, step, detail }) => (ok ? `✓ ${step}` : `✗ ${step}\n    ${detail}`)).join('\n')
}

/** The plan for a person: every command with its place, and the counts. */
export function renderShown(plan: readonly ShownCommand[]): string {
  const lines = plan.map(({ fate, path, line, command, reason }) => {
    const why = reason === undefined || fate === 'repeated' ? '' : `  (${reason})`
    return `${fate.padEnd(9)}  ${path}:${line}  ${command}${why}`
  })
  return [...lines, '', countShown(plan)].join('\n')
}

/** How many of each fate, and of each reason for an exception. */
export function countShown(plan: readonly ShownCommand[]): string {
  const fates = Object.groupBy(plan, ({ fate }) => fate)
  const counts = (['run', 'rehearsed', 'repeated', 'excepted'] as const).map((fate) => `${fates[fate]?.length ?? 0} ${fate}`)
  const reasons = Object.entries(Object.groupBy(fates.excepted ?? [], ({ reason = '' }) => reason))
  return [counts.join(', '), ...reasons.map(([reason, of = []]) => `  ${of.length} excepted: ${reason}`)].join('\n')
}
