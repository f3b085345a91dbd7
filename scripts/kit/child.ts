/** Runs a TypeScript file of ours in a Node process of its own, with a time limit that nothing in it can outlive. */
import { type ChildProcess, spawn } from 'node:child_process'
import { exitOf, feedLines, signalGroup } from './group.ts'

export interface ChildOptions {
  readonly args?: readonly string[]
  /** Added to the process's own environment. */
  readonly env?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal
  readonly timeoutMs?: number
  /** Called with each line of its output and errors as it comes. */
  readonly onLine?: (line: string) => void
}

export interface ChildResult {
  /** What it sent last with `process.send()`; undefined when it ended without a word. */
  readonly message: unknown
  /** Undefined when a signal ended it. */
  readonly exitCode: number | undefined
  readonly timedOut: boolean
  readonly ms: number
}

const GRACE_MS = 5000

/** @throws the signal's reason when it aborts; the process and all that it started have ended by then. */
export async function runChild(file: string, options: ChildOptions = {}): Promise<ChildResult> {
  const { args = [], env = {}, signal, timeoutMs, onLine } = options
  signal?.throwIfAborted()
  const started = performance.now()
  const child = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), file, ...args], {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    env: { ...process.env, ...env },
    // A group of its own, so that what it started can be ended with it.
    detached: true,
  })
  let message: unknown
  let timedOut = false
  child.on('message', (sent) => {
    message = sent
  })
  const stop = () => end(child)
  const onTimeout = () => {
    timedOut = true
    stop()
  }
  const timer = timeoutMs === undefined ? undefined : setTimeout(onTimeout, timeoutMs)
  signal?.addEventListener('abort', stop, { once: true })
  const lines = [child.stdout, child.stderr].map((stream) => feedLines(stream, onLine))
  const heard = new Promise((resolve) => child.once('disconnect', resolve))
  const exitCode = await exitOf(child)
  clearTimeout(timer)
  signal?.removeEventListener('abort', stop)
  signalGroup(child, 'SIGKILL') // what it left behind would hold its pipes open, and more
  if (child.connected) await heard // a message may arrive after its sender has ended
  await Promise.all(lines)
  signal?.throwIfAborted()
  return { message, exitCode, timedOut, ms: performance.now() - started }
}

function end(child: ChildProcess): void {
  signalGroup(child, 'SIGTERM')
  setTimeout(() => signalGroup(child, 'SIGKILL'), GRACE_MS).unref()
}
