/** A question that stands before what cannot be taken back. */
import { createInterface } from 'node:readline/promises'
import { UserError } from './errors.ts'

export interface Question {
  /** What must be typed. */
  readonly answer: string
  /** What is asked, without a mark at its end. */
  readonly text: string
  /** What could not be done without an answer. */
  readonly what: string
  /** The flag that answers it. */
  readonly flag: string
  /** What that flag said already; then nobody is asked. */
  readonly given?: string | undefined
  readonly signal: AbortSignal
}

/** @throws UserError for any other answer, and where nobody is there to give one */
export async function confirm(question: Question): Promise<void> {
  const { answer, what, given = await ask(question) } = question
  if (given !== answer) throw new UserError({ what, why: `'${given}' is not '${answer}'`, next: 'Nothing was changed' })
}

async function ask({ answer, text, what, flag, signal }: Question): Promise<string> {
  if (!process.stdin.isTTY) throw new UserError({ what, why: 'nobody is there to confirm it', next: `Confirm it with ${flag}` })
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return (await terminal.question(`${text}; type '${answer}' to go on: `, { signal })).trim()
  } finally {
    terminal.close()
  }
}
