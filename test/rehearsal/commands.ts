/** Our commands as a person runs them, each in a process of its own, with the environment of a rehearsal. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { exitOf, feedLines, signalGroup } from '#kit/group'
import { root } from '#kit/paths'

export interface Ended {
  readonly exitCode: number | undefined
  readonly stdout: string
  readonly stderr: string
  readonly ms: number
}

export interface CommandOptions {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly signal?: AbortSignal
  /** Called with each line of its progress. @default nobody */
  readonly onLine?: (line: string) => void
}

/** @param name of the file in `scripts`. */
export async function command(name: string, args: readonly string[], { env, signal, onLine }: CommandOptions): Promise<Ended> {
  const started = performance.now()
  const child = spawn(process.execPath, [join(root, 'scripts', `${name}.ts`), ...args], {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  const stop = () => signalGroup(child, 'SIGINT')
  signal?.addEventListener('abort', stop, { once: true })
  const [stdout, stderr]: [string[], string[]] = [[], []]
  const told = (line: string) => {
    stderr.push(line)
    onLine?.(line)
  }
  const lines = [feedLines(child.stdout, (line) => void stdout.push(line)), feedLines(child.stderr, told)]
  const exitCode = await exitOf(child).finally(() => signal?.removeEventListener('abort', stop))
  await Promise.all(lines)
  return { exitCode, stdout: stdout.join('\n'), stderr: stderr.join('\n'), ms: performance.now() - started }
}
