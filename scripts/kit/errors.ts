/** The two kinds of error that a person is shown as one sentence. Anything else is a bug and shows its stack. */

export interface Explanation {
  /** What could not be done: an action, in sentence case, without a period. */
  readonly what: string
  /** The cause, with the current value. */
  readonly why: string
  /** The next step for the person who reads it. */
  readonly next?: string
}

abstract class ExplainedError extends Error {
  abstract readonly exitCode: number
  constructor({ what, why, next }: Explanation, cause?: unknown) {
    const stop = /[.?!]$/.test(why) ? '' : '.'
    super(`${what}: ${why}${next === undefined ? '' : `${stop} ${next}`}`, { cause })
    this.name = new.target.name
  }
}

/** Bad input, or an action that is refused: exit code 2. */
export class UserError extends ExplainedError {
  readonly exitCode = 2
}

/** Something that should have worked did not: exit code 1. */
export class Failure extends ExplainedError {
  readonly exitCode = 1
}

/** Ctrl-C or SIGTERM: exit code 130 or 143. */
export class Interrupted extends Error {
  readonly exitCode: number
  constructor(signal: 'SIGINT' | 'SIGTERM') {
    super(`Interrupted by ${signal}`)
    this.exitCode = signal === 'SIGINT' ? 130 : 143
  }
}

/** Whether an error is for the person who reads it, and not a bug. */
export function hasExitCode(thrown: unknown): thrown is Error & { exitCode: number } {
  return thrown instanceof Error && 'exitCode' in thrown && typeof thrown.exitCode === 'number'
}

/** A mistake in a program; `fetch` reports an unreachable host as a TypeError too, with a cause. */
export function isBug(thrown: unknown): boolean {
  return thrown instanceof TypeError && thrown.cause === undefined
}

/** The message of anything that was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}
