/** What the environment says, checked at the door: a typo must stop the process, not surprise it later. */

export interface Settings {
  readonly host: string
  readonly port: number
  /** Folder of the history and the heartbeats; made if it is missing. */
  readonly dataDir: string
  /** How many messages are kept. */
  readonly historyLimit: number
}

/** A malformed variable: the message is one sentence for the person who set it. */
export class SettingsError extends Error {
  override readonly name = 'SettingsError'
}

type Env = Readonly<Record<string, string | undefined>>

export function readSettings(env: Env): Settings {
  return {
    host: env.HOST || '127.0.0.1',
    port: wholeNumber(env, 'PORT', { fallback: 8080, min: 0, max: 65_535 }),
    dataDir: required(env, 'DATA_DIR'),
    historyLimit: wholeNumber(env, 'HISTORY_LIMIT', { fallback: 1_000, min: 1, max: 5_000 }),
  }
}

function required(env: Env, name: string): string {
  const text = env[name]
  if (text) return text
  throw new SettingsError(`Cannot start the alert sink: ${name} is not set, expected the folder that keeps what arrives`)
}

function wholeNumber(env: Env, name: string, { fallback, min, max }: Record<'fallback' | 'min' | 'max', number>): number {
  const text = env[name] || String(fallback)
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
  if (value >= min && value <= max) return value
  throw new SettingsError(`Cannot start the alert sink: ${name} is ${JSON.stringify(text)}, expected a whole number from ${min} to ${max}`)
}
