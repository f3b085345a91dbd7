/** The lines that Terraform writes with `-json`: https://developer.hashicorp.com/terraform/internals/machine-readable-ui */
import { type Explanation, Failure, UserError } from '#kit/errors'
import { formatMs, type Note } from '#kit/progress'
import { lockIn } from './lock.ts'

export interface Diagnostic {
  readonly severity: 'error' | 'warning'
  readonly summary: string
  readonly detail?: string
  /** The resource that it is about. */
  readonly address?: string
  readonly range?: { readonly filename: string; readonly start: { readonly line: number } }
}

export interface TerraformEvent {
  readonly type: string
  readonly '@message': string
  readonly diagnostic?: Diagnostic
  readonly changes?: { readonly add: number; readonly change: number; readonly remove: number }
  readonly hook?: { readonly resource: { readonly addr: string }; readonly action?: string; readonly elapsed_seconds?: number }
}

/** @returns undefined for a line that is not one: a crash, or a wrapper that prints something of its own. */
export function parseEvent(line: string): TerraformEvent | undefined {
  if (!line.startsWith('{')) return undefined
  try {
    const event: unknown = JSON.parse(line)
    return isEvent(event) ? event : undefined
  } catch {
    return undefined
  }
}

const isEvent = (value: unknown): value is TerraformEvent =>
  typeof value === 'object' && value !== null && 'type' in value && '@message' in value

export const errorsIn = (events: readonly TerraformEvent[]): Diagnostic[] =>
  events.flatMap(({ diagnostic }) => (diagnostic?.severity === 'error' ? [diagnostic] : []))

/** How many resources a plan makes, changes and destroys; one that is replaced is two. */
export function stepsIn(events: readonly TerraformEvent[]): number {
  const { add = 0, change = 0, remove = 0 } = events.findLast(({ type }) => type === 'change_summary')?.changes ?? {}
  return add + change + remove
}

/** Shows on a step how many of the resources are done, and which are under way for how long. */
export function progressOf(note: Note, total: number): (event: TerraformEvent) => void {
  const running = new Map<string, number>()
  let done = 0
  const lines = () => [...running].map(([address, sinceMs]) => `${address} ${formatMs(performance.now() - sinceMs)}`)
  return ({ type, hook }) => {
    const address = hook?.resource.addr
    if (address === undefined) return
    if (type === 'apply_start') running.set(address, performance.now())
    else if (type === 'apply_complete' || type === 'apply_errored') running.delete(address)
    if (type === 'apply_complete') done++
    note(`${done} of ${total} resources`, lines)
  }
}

/** The error that says in Terraform's own words what went wrong. A value that a variable refuses is the user's to mend. */
export function explain(what: string, errors: readonly Diagnostic[], output: string): Failure | UserError {
  const [first] = errors
  if (first === undefined) return new Failure({ what, why: `terraform failed without a diagnostic: ${lastLines(output)}` })
  const lock = lockIn(first)
  if (lock !== undefined) return locked(what, lock)
  const explanation: Explanation = { what, why: errors.map(sentence).join('\n') }
  return errors.every(({ summary }) => summary === 'Invalid value for variable') ? new UserError(explanation) : new Failure(explanation)
}

/** Only what was begun here is ever unlocked here. */
function locked(what: string, { who, operation, since, path }: ReturnType<typeof lockIn> & object): UserError {
  const next = `Wait for them; if that run is gone for good: aws s3 rm s3://${path}.tflock`
  return new UserError({ what, why: `${who} has the state locked since ${since.slice(0, 19)} (${operation})`, next })
}

function sentence({ summary, detail = '', address, range }: Diagnostic): string {
  const place = address ?? (range === undefined ? undefined : `${range.filename}:${range.start.line}`)
  const told = detail.trim().split('\n\nThis was checked by the validation rule')[0] ?? ''
  return `${summary}${place === undefined ? '' : ` (${place})`}${told === '' ? '' : `: ${told}`}`
}

const lastLines = (text: string) => text.trim().split('\n').slice(-5).join('\n') || 'it printed nothing'
