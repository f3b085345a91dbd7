/** Runs a program through zx, with an error that says what ran, for how long, how it ended and what it said last. */
import { $, type Options, type ProcessOutput, type ProcessPromise } from 'zx'
import { feedLines } from './group.ts'
import { formatMs } from './progress.ts'

export interface ExecOptions {
  readonly cwd?: string
  /** Added to the process's own environment; secrets go here, never into `args`, which every user of the machine can list. */
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly input?: string | Buffer
  readonly signal?: AbortSignal | undefined
  readonly timeoutMs?: number
  /** Called with each line of output and errors as it comes. */
  readonly onLine?: (line: string) => void
  /** Exit codes that are an answer, not a failure. @default [0] */
  readonly accept?: readonly number[]
}

export interface ExecResult {
  readonly stdout: string
  readonly stderr: string
  readonly exitCode: number
}

const LAST_LINES = 20

export class ExecError extends Error {
  readonly exitCode = 1
  readonly stderr: string
  constructor(command: string, reason: string, output: string) {
    super(`${command} ${reason}${output === '' ? '' : `\n${lastLines(output)}`}`)
    this.name = 'ExecError'
    this.stderr = output
  }
}

/** @throws ExecError unless the program ends with an accepted exit code. */
export async function exec(program: string, args: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
  const { accept = [0], onLine, signal, timeoutMs } = options
  const started = performance.now()
  const running = $(shellOptions(options))`${program} ${[...args]}`
  // Without this each chunk of a pipe is decoded by itself, and a letter across two chunks is lost.
  running.stdout.setEncoding('utf8')
  running.stderr.setEncoding('utf8')
  let timedOut = false
  const onTimeout = () => {
    timedOut = true
    void stop(running)
  }
  const timer = timeoutMs === undefined ? undefined : setTimeout(onTimeout, timeoutMs)
  const lines = onLine === undefined ? undefined : hear(running, onLine)
  const [output] = await Promise.all([running, lines]).finally(() => clearTimeout(timer))
  signal?.throwIfAborted()
  const { stdout, stderr, exitCode } = output
  // One that ends well when it is told to has not done its work either.
  if (exitCode !== null && accept.includes(exitCode) && !timedOut) return { stdout, stderr, exitCode }
  const shown = [program, ...args.slice(0, 3)].join(' ')
  throw new ExecError(
    `'${shown}${args.length > 3 ? ' …' : ''}'`,
    `${timedOut ? 'timed out' : endOf(output)} after ${formatMs(performance.now() - started)}`,
    stderr || stdout,
  )
}

function shellOptions({ cwd, env, input, signal }: ExecOptions): Partial<Options> {
  return {
    quiet: true,
    nothrow: true,
    ...(cwd === undefined ? {} : { cwd }),
    ...(signal === undefined ? {} : { signal }),
    // zx takes an empty string for no input, and the program would wait for its end for ever.
    ...(input === undefined ? {} : { input: Buffer.from(input) }),
    env: { ...process.env, ...env },
  }
}

/** @throws what `onLine` throws; the program, which nobody listens to any more, has ended by then. */
async function hear(running: ProcessPromise, onLine: (line: string) => void): Promise<void> {
  try {
    await Promise.all([running.stdout, running.stderr].map((stream) => feedLines(stream, onLine)))
  } catch (thrown) {
    await stop(running)
    await running
    throw thrown
  }
}

async function stop(running: ProcessPromise): Promise<void> {
  if (running.stage === 'running') await running.kill()
}

function endOf({ exitCode, signal }: ProcessOutput): string {
  return exitCode === null ? `was killed by ${signal ?? 'a signal'}` : `failed with exit code ${exitCode}`
}

function lastLines(text: string): string {
  return text.trimEnd().split('\n').slice(-LAST_LINES).join('\n')
}
