/** Runs a TypeScript file of ours in a Node process of its own, with a time limit that nothing in it can outlive. */
import { spawn } from 'node:child_process'
import { type GroupEnd, untilEnded } from './group.ts'

export interface ChildOptions {
  readonly args?: readonly string[]
  /** Added to the process's own environment. */
  readonly env?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal | undefined
  readonly timeoutMs?: number
  /** Called with each line of its output and errors as it comes. */
  readonly onLine?: (line: string) => void
}

export interface ChildResult extends GroupEnd {
  /** What it sent last with `process.send()`; undefined when it ended without a word. */
  readonly message: unknown
  readonly ms: number
}

const GRACE_MS = 5000

/** @throws the signal's reason when it aborts; the process and all that it started have ended by then. */
export async function runChild(file: string, options: ChildOptions = {}): Promise<ChildResult> {
  const { args = [], env = {}, signal, timeoutMs, onLine } = options
  signal?.throwIfAborted()
  const started = performance.now()
  const child = spawn(process.execPath, [file, ...args], {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    env: { ...process.env, ...env },
    // A group of its own, so that what it started can be ended with it.
    detached: true,
  })
  let message: unknown
  child.on('message', (sent) => {
    message = sent
  })
  const heard = new Promise((resolve) => child.once('disconnect', resolve))
  const ended = await untilEnded(child, { signal, timeoutMs, onLine, stopBy: 'SIGTERM', graceMs: GRACE_MS })
  if (child.connected) await heard // a message may arrive after its sender has ended
  signal?.throwIfAborted()
  return { message, ...ended, ms: performance.now() - started }
}
