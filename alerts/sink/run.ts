/** The life of one process: read the environment and what is kept, listen, wait for a signal, end. */
import type { EventEmitter } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createApp, errorFields, type Log } from './app.ts'
import { Heartbeat } from './heartbeat.ts'
import { History } from './history.ts'
import { serve } from './server.ts'
import { readSettings, type Settings, SettingsError } from './settings.ts'

export interface RunOptions {
  readonly env: Readonly<Record<string, string | undefined>>
  /** Where SIGTERM and SIGINT come from. */
  readonly signals: EventEmitter
  readonly stdout: (line: string) => void
  readonly stderr: (line: string) => void
}

/** Enough for a write to a slow disk. */
const STOP_MS = 5_000

/** @returns the exit code: 0 after a signal, 1 when it could not start or had to cut requests, 2 on a malformed variable */
export async function run({ env, signals, stdout, stderr }: RunOptions): Promise<number> {
  const log: Log = (level, message, fields = {}) =>
    stdout(`${JSON.stringify({ time: new Date().toISOString(), level, message, ...fields })}\n`)
  try {
    const settings = readSettings(env)
    const signalled = nextSignal(signals)
    const app = createApp({ ...(await openData(settings, log)), now: Date.now, log })
    const server = await serve(app, settings)
    log('info', 'listening', { url: server.url, dataDir: settings.dataDir })
    log('info', 'stopping', { signal: await signalled })
    app.close()
    const cut = await server.stop(STOP_MS)
    log(cut === 0 ? 'info' : 'error', 'stopped', { cut })
    return cut === 0 ? 0 : 1
  } catch (thrown) {
    stderr(`${sentenceOf(thrown)}\n`)
    return thrown instanceof SettingsError ? 2 : 1
  }
}

async function openData({ dataDir, historyLimit }: Settings, log: Log): Promise<{ history: History; heartbeat: Heartbeat }> {
  await mkdir(dataDir, { recursive: true })
  const onTrouble = (what: string, thrown?: unknown) => log('error', what, thrown === undefined ? {} : errorFields(thrown))
  const history = await History.open({ path: join(dataDir, 'messages.jsonl'), limit: historyLimit, onTrouble })
  return { history, heartbeat: await Heartbeat.open(join(dataDir, 'heartbeat.json'), onTrouble) }
}

/** The first signal; later ones change nothing, since the end is bounded. */
function nextSignal(signals: EventEmitter): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT']) signals.on(signal, () => resolve(signal))
  })
}

function sentenceOf(thrown: unknown): string {
  if (thrown instanceof SettingsError) return thrown.message
  if (thrown instanceof Error && 'syscall' in thrown) return `Cannot start the alert sink: ${thrown.message}`
  return thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)
}
