/** Processes that lead a group of their own, so that what they started can be ended with them. */
import type { ChildProcess } from 'node:child_process'
import { open } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { signalIfThere } from './process.ts'

/** @returns undefined when a signal ended it. @throws where it could not be started */
export function exitOf(child: ChildProcess): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => resolve(code ?? undefined))
  })
}

/** Tells the leader and all that it started; a group that has ended hears nothing. */
export function signalGroup(leader: ChildProcess, signal: NodeJS.Signals): void {
  if (leader.pid !== undefined) signalIfThere(-leader.pid, signal)
}

/** Calls `onLine` with each line until the stream ends. */
export async function feedLines(stream: Readable | null, onLine: ((line: string) => void) | undefined): Promise<void> {
  if (stream === null) return
  for await (const line of createInterface({ input: stream })) onLine?.(line)
}

export interface GroupOptions {
  readonly signal?: AbortSignal | undefined
  readonly timeoutMs?: number | undefined
  /** Called with each line of the leader's output and errors as it comes. */
  readonly onLine?: ((line: string) => void) | undefined
  /** How it is told to end, once, when `signal` aborts or its time is over. */
  readonly stopBy: NodeJS.Signals
  /** How long it then has before it is killed. */
  readonly graceMs: number
}

export interface GroupEnd {
  /** The leader's; undefined when a signal ended it. */
  readonly exitCode: number | undefined
  readonly timedOut: boolean
}

/**
 * Waits for a leader that was just started, which must be `detached`. It and all that it started have ended by then, and where our own
 * process ends before, with it. @throws where it could not be started, and what `onLine` throws
 */
export async function untilEnded(leader: ChildProcess, { signal, timeoutMs, onLine, stopBy, graceMs }: GroupOptions): Promise<GroupEnd> {
  const kill = () => signalGroup(leader, 'SIGKILL')
  let killer: NodeJS.Timeout | undefined
  const stop = () => {
    if (killer !== undefined) return
    signalGroup(leader, stopBy)
    killer = setTimeout(kill, graceMs)
  }
  let timedOut = false
  const onTimeout = () => {
    timedOut = true
    stop()
  }
  const timer = timeoutMs === undefined ? undefined : setTimeout(onTimeout, timeoutMs)
  signal?.addEventListener('abort', stop, { once: true })
  process.once('exit', kill)
  const lines = Promise.all([leader.stdout, leader.stderr].map((stream) => feedLines(stream, onLine)))
  lines.catch(stop) // nobody listens to it any more; it is thrown at the end
  try {
    return { exitCode: await exitOf(leader), timedOut }
  } finally {
    clearTimeout(timer)
    clearTimeout(killer)
    signal?.removeEventListener('abort', stop)
    process.removeListener('exit', kill)
    kill() // what it left behind would hold its pipes open, and more
    await lines
  }
}

const LOOK_EVERY_MS = 50

/**
 * What a process writes into a file, until it has ended. A pipe would be its end where we are killed: it would be told at its next line
 * that nobody reads.
 */
export async function* follow(path: string, hasEnded: () => boolean): AsyncGenerator<Buffer> {
  await using file = await open(path, 'r')
  const buffer = Buffer.alloc(65_536)
  for (;;) {
    const isLast = hasEnded()
    const { bytesRead } = await file.read(buffer, 0, buffer.length)
    if (bytesRead > 0) yield Buffer.from(buffer.subarray(0, bytesRead))
    else if (isLast) return
    else await sleep(LOOK_EVERY_MS)
  }
}
