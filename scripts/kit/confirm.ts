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
  readonly signal: AbortSignal
}

/** @throws UserError for any other answer, and where nobody is there to give one */
export async function confirm({ answer, text, what, flag, signal }: Question): Promise<void> {
  if (!process.stdin.isTTY) throw new UserError({ what, why: 'nobody is there to confirm it', next: `Confirm it with ${flag}` })
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const given = await terminal.question(`${text}; type '${answer}' to go on: `, { signal })
    if (given.trim() !== answer) throw new UserError({ what, why: `'${given.trim()}' is not '${answer}'`, next: 'Nothing was changed' })
  } finally {
    terminal.close()
  }
}
