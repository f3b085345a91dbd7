/** The lines that Terraform writes with `-json`: https://developer.hashicorp.com/terraform/internals/machine-readable-ui */
import { type Explanation, Failure, UserError } from '#kit/errors'
import { formatMs, type Note } from '#kit/progress'

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
  const explanation: Explanation = { what, why: errors.map(sentence).join('\n'), ...next(first) }
  return errors.every(({ summary }) => summary === 'Invalid value for variable') ? new UserError(explanation) : new Failure(explanation)
}

function sentence({ summary, detail = '', address, range }: Diagnostic): string {
  const place = address ?? (range === undefined ? undefined : `${range.filename}:${range.start.line}`)
  const told = detail.trim().split('\n\nThis was checked by the validation rule')[0] ?? ''
  return `${summary}${place === undefined ? '' : ` (${place})`}${told === '' ? '' : `: ${told}`}`
}

function next({ summary, detail = '' }: Diagnostic): Pick<Explanation, 'next'> {
  if (!/acquiring the state lock/i.test(summary)) return {}
  const id = /^\s*ID:\s*(\S+)/m.exec(detail)?.[1] ?? '<id>'
  return { next: `Wait for whoever holds it; if nobody is at work any more: terraform force-unlock ${id}` }
}

const lastLines = (text: string) => text.trim().split('\n').slice(-5).join('\n') || 'it printed nothing'
