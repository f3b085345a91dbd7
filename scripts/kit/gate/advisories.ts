/** Known vulnerabilities, and what the policy file says of them. Pure: what a database answered goes in, problems come out. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parse } from 'yaml'
import { UserError } from '../errors.ts'

export const POLICY = '.gate/advisories.yaml'

const SEVERITIES = ['low', 'moderate', 'high', 'critical'] as const
export type Severity = (typeof SEVERITIES)[number]

export interface Advisory {
  /** `GHSA-…`, `GO-…`, `PYSEC-…`. */
  readonly id: string
  /** Its names elsewhere. */
  readonly aliases: readonly string[]
  readonly package: string
  readonly title: string
  /** Undefined where nobody has rated it: it then counts. */
  readonly severity: Severity | undefined
  readonly url: string
  /** The file that brings the package here. */
  readonly file: string
}

export interface Exception {
  readonly id: string
  readonly package: string
  readonly reason: string
  /** The last day on which it counts, as `2026-12-24`. */
  readonly until: string
}

export interface Policy {
  readonly from: Severity
  readonly exceptions: readonly Exception[]
}

const DAY_MS = 86_400_000
const LONGEST_DAYS = 90

/** @throws UserError for a file that says something else than it should */
export async function readPolicy(root: string): Promise<Policy> {
  const { from, exceptions = [] } = parse(await readFile(join(root, POLICY), 'utf8')) as Partial<Policy>
  if (from === undefined || !SEVERITIES.includes(from)) throw refused(`'from' is '${from}'`, `Write one of ${SEVERITIES.join(', ')}`)
  for (const { id = '', package: name = '', reason = '', until = '' } of exceptions) {
    if (id === '' || name === '') throw refused('an exception does not say which advisory of which package', 'Write its id and its package')
    if (reason.trim().length < 20) throw refused(`the exception ${id} has no reason`, 'Say why it does no harm here')
    if (Number.isNaN(Date.parse(until))) throw refused(`the exception ${id} has no day on which it ends`, 'Write until: as 2026-12-24')
  }
  return { from, exceptions }
}

function refused(why: string, next: string): UserError {
  return new UserError({ what: `Cannot use ${POLICY}`, why, next })
}

/** What counts, less what is excepted. */
export function judgeAdvisories(found: readonly Advisory[], policy: Policy, now = Date.now()): string[] {
  const valid = policy.exceptions.filter((exception) => !isOver(exception, now))
  return found
    .filter((advisory) => counts(advisory, policy) && !valid.some((exception) => isAbout(exception, advisory)))
    .map(({ id, package: name, title, severity = 'not rated', url, file }) => {
      const remedy = `take a version without it, or make an exception in ${POLICY} (${url})`
      return `${file}:1 — ${name}: ${title} (${id}, ${severity}) — ${remedy}`
    })
}

/** Whether the exceptions themselves are in order; no database is needed for it. */
export function judgeExceptions({ exceptions }: Policy, now = Date.now()): string[] {
  return exceptions.flatMap((exception) => {
    const { id, package: name, until } = exception
    if (isOver(exception, now)) return [`${POLICY}:1 — the exception of ${id} in ${name} ended on ${until} — take a version without it`]
    const days = (Date.parse(until) - now) / DAY_MS
    if (days <= LONGEST_DAYS) return []
    return [`${POLICY}:1 — the exception of ${id} in ${name} ends in ${Math.ceil(days)} days — look again within ${LONGEST_DAYS}`]
  })
}

/** An exception that nothing needs hides what comes next. @param asked the packages that the database was asked about */
export function unusedExceptions(found: readonly Advisory[], { exceptions }: Policy, asked: ReadonlySet<string>): string[] {
  return exceptions
    .filter((exception) => asked.has(exception.package) && !found.some((advisory) => isAbout(exception, advisory)))
    .map(({ id, package: name }) => `${POLICY}:1 — nothing has ${id} in ${name} any more — take the exception out`)
}

/** It counts to the end of its day, everywhere on earth. */
const isOver = ({ until }: Exception, now: number) => now > Date.parse(until) + 2 * DAY_MS
const counts = ({ severity }: Advisory, { from }: Policy) =>
  severity === undefined || SEVERITIES.indexOf(severity) >= SEVERITIES.indexOf(from)
const isAbout = (exception: Exception, { id, aliases, package: name }: Advisory) =>
  exception.package === name && [id, ...aliases].includes(exception.id)

/** What databases call it beside our own words. */
const ALSO: Readonly<Record<string, Severity>> = { medium: 'moderate', negligible: 'low', info: 'low' }

/** As databases write it: `HIGH`, `Moderate`, `Medium`. */
export function readSeverity(text = ''): Severity | undefined {
  const word = text.toLowerCase()
  return ALSO[word] ?? SEVERITIES.find((each) => each === word)
}
