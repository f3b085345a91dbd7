/** The service as a whole: in this process, as its source, and as the bundle that the image runs. */
import { type ChildProcess, spawn } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bundled } from '#kit/images'
import type { Route } from '../../service/http.ts'
import { run } from '../../service/run.ts'

/** One line of the log. */
export interface Line {
  readonly level: string
  readonly message: string
  readonly [field: string]: unknown
}

const MAIN = fileURLToPath(new URL('../../service/main.ts', import.meta.url))
const FREE_PORTS = { PORT: '0', METRICS_PORT: '0', PROBES_PORT: '0' }

/** run() in this process, with signals of its own, on free ports, quiet about requests unless it is told otherwise. */
export function startRun(env: Record<string, string>, routes: readonly Route[] = []) {
  const signals = new EventEmitter()
  const lines = new EventEmitter()
  const log: Line[] = []
  const stderr: string[] = []
  const listening = once(lines, 'line')
  const keep = (line: string) => {
    log.push(JSON.parse(line))
    lines.emit('line')
  }
  const addressOf = async (name: 'url' | 'metrics' | 'probes') => {
    await listening
    return String(log[0]?.[name])
  }
  const given = { ...FREE_PORTS, LOG_REQUESTS: 'off', ...env }
  return {
    signals,
    log,
    stderr,
    code: run({ env: given, signals, routes, stdout: keep, stderr: (line) => stderr.push(line) }),
    messages: () => log.map((line) => line.message),
    url: () => addressOf('url'),
    metrics: () => addressOf('metrics'),
    probes: () => addressOf('probes'),
  }
}

export interface RunningMain {
  readonly child: ChildProcess
  /** Its first line. */
  readonly listening: Promise<Line>
  /** Its exit code and signal. */
  readonly ended: Promise<unknown[]>
  readonly output: () => string
}

export interface MainOptions {
  /** In the place of main.ts. */
  readonly bundle?: string
  /** Stand before it. */
  readonly nodeArgs?: readonly string[]
  readonly args?: readonly string[]
}

/** main.ts, or a bundle of it, in a process of its own on free ports. */
export function startMain(env: Record<string, string>, { bundle, nodeArgs = [], args = [] }: MainOptions = {}): RunningMain {
  const child = spawn(process.execPath, [...nodeArgs, bundle ?? MAIN, ...args], {
    env: { ...FREE_PORTS, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
  const listening = once(child.stdout, 'data').then(([chunk]) => JSON.parse(String(chunk).split('\n')[0] ?? ''))
  listening.catch(() => {}) // one that only says something is not waited for
  return { child, listening, ended: once(child, 'close'), output: () => output }
}

/** The one file that the image runs. */
export async function bundleMain(): Promise<{ file: string } & AsyncDisposable> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-service-'))
  const file = join(folder, 'server.mjs')
  await writeFile(file, await bundled('service/main.ts'))
  return { file, [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) }
}
