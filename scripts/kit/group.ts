/** Processes that lead a group of their own, so that what they started can be ended with them. */
import type { ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'

/** @returns undefined when a signal ended it. @throws where it could not be started */
export function exitOf(child: ChildProcess): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => resolve(code ?? undefined))
  })
}

/** Tells the leader and all that it started; a group that has ended hears nothing. */
export function signalGroup(leader: ChildProcess, signal: NodeJS.Signals): void {
  try {
    if (leader.pid !== undefined) process.kill(-leader.pid, signal)
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ESRCH') throw thrown
  }
}

/** Calls `onLine` with each line until the stream ends. */
export async function feedLines(stream: Readable | null, onLine: ((line: string) => void) | undefined): Promise<void> {
  if (stream === null) return
  for await (const line of createInterface({ input: stream })) onLine?.(line)
}
