/** How many tests passed, failed and were skipped: what a process of tests reports to the one that started it. */

export interface Counts {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

/** A test file's result, with a line for each skip: a skip nobody reads is a test nobody runs. */
export interface Report extends Counts {
  readonly skips: readonly string[]
}

/** Whether what a process sent is its result. */
export function isCounts<C extends Counts>(message: unknown): message is C {
  const names = ['passed', 'failed', 'skipped'] as const
  return typeof message === 'object' && message !== null && names.every((name) => Number.isInteger((message as Partial<Counts>)[name]))
}

export function sumCounts(all: readonly Counts[]): Counts {
  const total = (name: keyof Counts) => all.reduce((sum, counts) => sum + counts[name], 0)
  return { passed: total('passed'), failed: total('failed'), skipped: total('skipped') }
}

/** `12 passed, 1 failed`, and how many were skipped where any was. */
export function formatCounts({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`
}

/** Nothing that passed is no success. */
export const isGreen = ({ passed, failed }: Counts) => failed === 0 && passed > 0
