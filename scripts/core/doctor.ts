/** What a machine must have for a cluster: each thing is looked at by itself, judged, and said with its way out. */
import { isBug, messageOf, UserError } from '#kit/errors'
import { formatMs, type Paint } from '#kit/progress'
import { within } from '#kit/wait'
import type { Run } from './types.ts'

/**
 * `bad`: the platform cannot be brought up. `warn`: it can, though not as well as it could, or what is missing is mended on the way.
 * What could not be seen is `unknown`, with its reason, and never `ok`.
 */
export type Finding =
  | { readonly level: 'ok'; readonly found: string }
  /** `fix` where it is not the check's own. */
  | { readonly level: 'warn' | 'bad'; readonly found: string; readonly fix?: string }
  | { readonly level: 'unknown'; readonly reason: string }

export const fine = (found: string): Finding => ({ level: 'ok', found })
export const warn = (found: string, fix?: string): Finding => ({ level: 'warn', found, ...(fix === undefined ? {} : { fix }) })
export const bad = (found: string, fix?: string): Finding => ({ level: 'bad', found, ...(fix === undefined ? {} : { fix }) })
export const unknown = (reason: string): Finding => ({ level: 'unknown', reason })

/** One thing that a machine must have. */
export interface Check {
  readonly name: string
  /** The least that will do. */
  readonly minimum: string
  /** What goes wrong without it, and why: one sentence. */
  readonly why: string
  /** What to do about it: one sentence. */
  readonly fix: string
  /** How a failure reads that this is behind. */
  readonly symptoms?: RegExp
  /** Only asks, and changes nothing. @throws with the reason where it cannot tell */
  look(): Promise<Finding>
  /** Mends what `look` warned of, as far as this user may, and says what it does. Nothing that cannot be taken back. */
  mend?(run: Run): Promise<void>
}

/** A check with what it saw. */
export interface Examined {
  readonly check: Check
  readonly finding: Finding
  readonly ms: number
}

/** Above what each program and request that a look asks gets by itself, so that the nearer reason is told. */
const LIMIT_MS = 6_000

export interface ExamineOptions {
  readonly signal?: AbortSignal
  /** What each look gets. @default 6 s */
  readonly limitMs?: number
}

/** Looks at all of them side by side; one that does not end in time, or is broken, is unknown, and holds up no other. */
export async function examine(checks: readonly Check[], { signal, limitMs = LIMIT_MS }: ExamineOptions = {}): Promise<Examined[]> {
  const examined = await Promise.all(
    checks.map(async (check) => {
      const started = performance.now()
      const finding = (await within(limitMs, lookOnce(check), signal)) ?? unknown(`the look did not end within ${formatMs(limitMs)}`)
      return { check, finding, ms: Math.round(performance.now() - started) }
    }),
  )
  signal?.throwIfAborted()
  return examined
}

async function lookOnce(check: Check): Promise<Finding> {
  try {
    return await check.look()
  } catch (thrown) {
    const [reason = ''] = messageOf(thrown).split('\n')
    return unknown(isBug(thrown) ? `a bug of this entry, please report it: ${reason}` : reason)
  }
}

export const isBad = ({ finding }: Examined) => finding.level === 'bad'

/** Mends what can be, and looks at all of them again; what is bad needs a person. */
export async function mend(examined: readonly Examined[], run: Run & ExamineOptions): Promise<readonly Examined[]> {
  const mendable = examined.filter(isMendable)
  if (mendable.length === 0) return examined
  for (const { check } of mendable) await check.mend?.(run)
  const checks = examined.map(({ check }) => check)
  return examine(checks, run)
}

const isMendable = ({ check, finding }: Examined) => finding.level === 'warn' && check.mend !== undefined

/**
 * What must hold before anything is begun: mends what it can, and says what it could not.
 * @throws UserError naming all that is bad. What is unknown is no hindrance: what is begun will tell.
 */
export async function insist(checks: readonly Check[], run: Run & ExamineOptions): Promise<void> {
  const before = await examine(checks, run)
  refuse(before)
  const after = await mend(before, run)
  refuse(after)
  for (const each of after.filter(isMendable)) run.progress.say(`${each.check.name}: ${seen(each)}. ${adviceOf(each)}`)
}

function refuse(examined: readonly Examined[]): void {
  const all = examined.filter(isBad)
  if (all.length === 0) return
  throw new UserError({
    what: 'Cannot start',
    why: all.map((each) => `${each.check.name}: ${seen(each)} (needed: ${each.check.minimum})`).join('; '),
    next: `${all.map(fixOf).join('. ')}. npm run doctor shows all of this machine`,
  })
}

const seen = ({ finding }: Examined) => (finding.level === 'unknown' ? finding.reason : finding.found)
const fixOf = ({ check, finding }: Examined) => ('fix' in finding ? finding.fix : undefined) ?? check.fix
const adviceOf = (each: Examined) => `${each.check.why}. ${fixOf(each)}`

/** The one whose marks the message of a failure has. */
export function behindFailure(checks: readonly Check[], message: string): Check | undefined {
  return checks.find(({ symptoms }) => symptoms?.test(message))
}

/** Lines for below the message of a failure: the one that it reads like, with what is seen of it now, and all else that is bad now. */
export async function explainFailure(checks: readonly Check[], message: string): Promise<string[]> {
  const behind = behindFailure(checks, message)
  const examined = await examine(checks)
  const told = examined.filter((each) => each.check === behind || isBad(each))
  if (told.length === 0) return []
  const lines = told.map((each) => {
    const { name } = each.check
    const mark = each.check === behind ? `That is how it reads where '${name}' is at fault` : `'${name}' is bad on this machine`
    return `${mark}. ${each.check.why}. Seen now: ${seen(each)} (needed: ${each.check.minimum}). ${fixOf(each)}`
  })
  return [...lines, 'npm run doctor shows all of this machine']
}

const COLOURS = { ok: 'green', warn: 'yellow', bad: 'red', unknown: 'cyan' } as const
const LEVELS = ['ok', 'warn', 'bad', 'unknown'] as const
/** A longer text pushes only its own line. */
const WIDEST = 44

/** A table for a terminal: what is, what must be, and below what is not well why that matters and its fix; at the end the count. */
export function renderExamined(examined: readonly Examined[], paint: Paint): string {
  const rows = examined.map((each) => [each.finding.level, each.check.name, seen(each), each.check.minimum] as const)
  const head = ['', 'what', 'found', 'needed'] as const
  const [levels, names, found] = [0, 1, 2].map((column) => widest([head, ...rows].map((row) => row[column] ?? '')))
  const line = ([level, name, was, minimum]: readonly string[]) =>
    [level?.padEnd(levels ?? 0), name?.padEnd(names ?? 0), was?.padEnd(found ?? 0), minimum].join('  ').trimEnd()
  const lines = examined.flatMap((each, i) => {
    const { level } = each.finding
    const row = line(rows[i] ?? head)
    const painted = `${paint(COLOURS[level], row.slice(0, level.length))}${row.slice(level.length)}`
    return level === 'warn' || level === 'bad'
      ? [painted, paint('dim', `         ${each.check.why}.`), `         → ${fixOf(each)}.`]
      : [painted]
  })
  return [paint('dim', line(head)), ...lines, countOf(examined)].join('\n')
}

const widest = (texts: readonly string[]) => Math.min(WIDEST, Math.max(...texts.map(({ length }) => length)))

function countOf(examined: readonly Examined[]): string {
  return LEVELS.map((level) => `${examined.filter(({ finding }) => finding.level === level).length} ${level}`).join(', ')
}

/** The same as objects; `found` is absent where nothing could be seen, and then there is a `reason`. */
export function examinedJson(examined: readonly Examined[]): object[] {
  return examined.map((each) => {
    const { name, minimum, why } = each.check
    const isWell = each.finding.level === 'ok'
    return { name, ...each.finding, minimum, why, ...(isWell ? {} : { fix: fixOf(each) }), ms: each.ms }
  })
}

/** What is looked at, without looking. */
export function listChecks(checks: readonly Check[]): { json: object[]; text: string } {
  const json = checks.map(({ name, minimum, why, fix, mend: mends }) => ({ name, minimum, why, fix, mends: mends !== undefined }))
  return { json, text: json.map(({ name, minimum, why }) => `${name} (${minimum})\n    ${why}.`).join('\n') }
}
