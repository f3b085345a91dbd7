/** The life of one process: read the environment, listen, wait for a signal, drain, end. */
import type { EventEmitter } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { type App, createApp } from './app.ts'
import type { Route } from './http.ts'
import { createLog, errorFields, type Log } from './log.ts'
import { PostgresStore } from './postgres-store.ts'
import { type RunningProbes, startProbes } from './probes.ts'
import { createReports, openSpans } from './reports.ts'
import { type RunningServer, type Served, type ServeOptions, serve } from './server.ts'
import { readSettings, type Settings, SettingsError } from './settings.ts'
import { createMemoryStore, type Store } from './store.ts'

export interface RunOptions {
  readonly env: Readonly<Record<string, string | undefined>>
  /** Where SIGTERM and SIGINT come from. */
  readonly signals: EventEmitter
  readonly stdout: (line: string) => void
  readonly stderr: (line: string) => void
  /** Routes beside the built-in ones. @default none */
  readonly routes?: readonly Route[]
}

/** Scrapes in flight are cut then, and spans that are not sent are lost. The chart counts with a second for all that comes last. */
const LAST_STOP_MS = 500

/** @returns the exit code: 0 after a complete drain, 1 when it could not listen or had to cut requests, 2 on a malformed variable */
export async function run(options: RunOptions): Promise<number> {
  try {
    return await live(readSettings(options.env), options)
  } catch (thrown) {
    options.stderr(`${sentenceOf(thrown)}\n`)
    return thrown instanceof SettingsError ? 2 : 1
  }
}

function openStore({ databaseUrl }: Settings, log: Log): Store {
  return databaseUrl === undefined ? createMemoryStore() : new PostgresStore({ url: databaseUrl, log })
}

async function live(settings: Settings, { stdout, signals, routes = [] }: RunOptions): Promise<number> {
  const log = createLog(stdout, { pod: settings.pod, version: settings.version })
  const spans = await openSpans(settings, log)
  const store = openStore(settings, log)
  const app = createApp({ ...settings, store, routes, isSampled: spans !== undefined, ...createReports(log, settings, spans) })
  const signalled = nextSignal(signals)
  const probes = await openProbes(app, settings, log)
  try {
    const metrics = await listen(app.metrics, { host: settings.metricsHost, port: settings.metricsPort, log, portName: 'METRICS_PORT' })
    try {
      const server = await listen(app, { ...settings, log, portName: 'PORT' })
      app.start()
      probes.beat()
      log('info', 'listening', { url: server.url, metrics: metrics.url, probes: probes.url, environment: settings.environment })
      log('info', 'draining', { signal: await signalled, drainMs: settings.drainMs })
      return await drain({ app, probes, server, settings, log })
    } finally {
      // So late that the drain itself is seen.
      const [, isSent = true] = await Promise.all([metrics.stop(LAST_STOP_MS), spans?.stop(LAST_STOP_MS), store.close()])
      if (!isSent) log('warn', 'spans were lost at the end')
    }
  } finally {
    await probes.stop()
  }
}

/** @throws StartError */
function listen(handler: Served, { portName, ...options }: ServeOptions & { readonly portName: string }): Promise<RunningServer> {
  return orStartError(serve(handler, options), portName)
}

/** @throws StartError */
function openProbes(app: App, settings: Settings, log: Log): Promise<RunningProbes> {
  const { probesHost: host, probesPort: port } = settings
  const onError = (error: Error) => log('error', 'the probes ended', errorFields(error))
  return orStartError(startProbes({ ...settings, host, port, phase: () => app.phase, onError }), 'PROBES_PORT')
}

async function orStartError<T>(listening: Promise<T>, portName: string): Promise<T> {
  try {
    return await listening
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
  readonly probes: RunningProbes
  readonly server: RunningServer
  readonly settings: Settings
  readonly log: Log
}

async function drain({ app, probes, server, settings, log }: Running): Promise<number> {
  app.drain()
  probes.beat()
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

function sentenceOf(thrown: unknown): string {
  if (thrown instanceof SettingsError || thrown instanceof StartError) return thrown.message
  return thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)
}
