/** Structured logs: one JSON object a line. */

export type Level = 'info' | 'warn' | 'error'
export type Log = (level: Level, message: string, fields?: Readonly<Record<string, unknown>>) => void

/** A log that writes each line with `write`, under fixed fields. */
export function createLog(write: (line: string) => void, fixed: Readonly<Record<string, unknown>> = {}): Log {
  return (level, message, fields = {}) =>
    write(`${JSON.stringify({ time: new Date().toISOString(), level, message, ...fixed, ...fields })}\n`)
}

/** An error as log fields. */
export function errorFields(error: unknown): Readonly<Record<string, unknown>> {
  return error instanceof Error ? { error: error.message, stack: error.stack } : { error: String(error) }
}
