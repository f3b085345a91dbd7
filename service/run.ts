/** The life of one process: read the environment, listen, wait for a signal, drain, end. */
import type { EventEmitter } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { type App, createApp } from './app.ts'
import type { Route } from './http.ts'
import { createLog, errorFields, type Log } from './log.ts'
import { type RunningServer, serve } from './server.ts'
import { readSettings, type Settings, SettingsError } from './settings.ts'

export interface RunOptions {
  readonly env: Readonly<Record<string, string | undefined>>
  /** Where SIGTERM and SIGINT come from. */
  readonly signals: EventEmitter
  readonly stdout: (line: string) => void
  readonly stderr: (line: string) => void
  /** Routes beside the built-in ones. @default none */
  readonly routes?: readonly Route[]
}

/** @returns the exit code: 0 after a complete drain, 1 when it could not listen or had to cut requests, 2 on a malformed variable */
export async function run(options: RunOptions): Promise<number> {
  try {
    const settings = readSettings(options.env)
    const log = createLog(options.stdout, { pod: settings.pod, version: settings.version })
    const app = createApp({ ...settings, routes: options.routes ?? [], onError: reportTo(log) })
    const signalled = nextSignal(options.signals)
    const server = await serve(app, { ...settings, log })
    app.start()
    log('info', 'listening', { url: server.url, environment: settings.environment })
    log('info', 'draining', { signal: await signalled, drainMs: settings.drainMs })
    return await drain({ app, server, settings, log })
  } catch (thrown) {
    options.stderr(`${sentenceOf(thrown)}\n`)
    return thrown instanceof SettingsError ? 2 : 1
  }
}

interface Running {
  readonly app: App
  readonly server: RunningServer
  readonly settings: Settings
  readonly log: Log
}

async function drain({ app, server, settings, log }: Running): Promise<number> {
  app.drain()
  await sleep(settings.drainMs)
  const cut = await server.stop(settings.stopMs)
  if (cut === 0) log('info', 'stopped')
  else log('error', 'stopped at the limit: requests in flight were cut', { cut, stopMs: settings.stopMs })
  return cut === 0 ? 0 : 1
}

/** The first signal; later ones change nothing, since a drain is bounded. */
function nextSignal(signals: EventEmitter): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT']) signals.on(signal, () => resolve(signal))
  })
}

function reportTo(log: Log): (error: unknown, request: Request) => void {
  return (error, request) =>
    log('error', 'request failed', { method: request.method, path: new URL(request.url).pathname, ...errorFields(error) })
}

function sentenceOf(thrown: unknown): string {
  if (thrown instanceof SettingsError) return thrown.message
  if (!(thrown instanceof Error)) return String(thrown)
  if ('code' in thrown && thrown.code === 'EADDRINUSE') return `Cannot start the service: ${thrown.message}. Set PORT to a free port`
  return 'syscall' in thrown ? `Cannot start the service: ${thrown.message}` : (thrown.stack ?? thrown.message)
}
