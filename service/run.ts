/** The life of one process: read the environment, listen, wait for a signal, drain, end. */
import type { EventEmitter } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { type App, createApp } from './app.ts'
import type { Route } from './http.ts'
import { createLog, errorFields, type Log } from './log.ts'
import { type RunningServer, type Served, type ServeOptions, serve } from './server.ts'
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

/** Scrapes in flight are cut then. */
const METRICS_STOP_MS = 500

/** @returns the exit code: 0 after a complete drain, 1 when it could not listen or had to cut requests, 2 on a malformed variable */
export async function run(options: RunOptions): Promise<number> {
  try {
    const settings = readSettings(options.env)
    const log = createLog(options.stdout, { pod: settings.pod, version: settings.version })
    const app = createApp({ ...settings, routes: options.routes ?? [], onError: reportTo(log) })
    const signalled = nextSignal(options.signals)
    const metrics = await listen(app.metrics, { host: settings.metricsHost, port: settings.metricsPort, log, portName: 'METRICS_PORT' })
    try {
      const server = await listen(app, { ...settings, log, portName: 'PORT' })
      app.start()
      log('info', 'listening', { url: server.url, metrics: metrics.url, environment: settings.environment })
      log('info', 'draining', { signal: await signalled, drainMs: settings.drainMs })
      return await drain({ app, server, settings, log })
    } finally {
      // Last, so that the drain itself is seen.
      await metrics.stop(METRICS_STOP_MS)
    }
  } catch (thrown) {
    options.stderr(`${sentenceOf(thrown)}\n`)
    return thrown instanceof SettingsError ? 2 : 1
  }
}

/** @throws StartError */
async function listen(handler: Served, { portName, ...options }: ServeOptions & { readonly portName: string }): Promise<RunningServer> {
  try {
    return await serve(handler, options)
  } catch (cause) {
    throw new StartError(cause, portName)
  }
}

/** A port that cannot be listened on: the message is one sentence for the person who set it. */
class StartError extends Error {
  constructor(cause: unknown, portName: string) {
    const { message, code } = cause as NodeJS.ErrnoException
    const next = code === 'EADDRINUSE' ? `. Set ${portName} to a free port` : ''
    super(`Cannot start the service: ${message}${next}`, { cause })
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
  if (thrown instanceof SettingsError || thrown instanceof StartError) return thrown.message
  return thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)
}
