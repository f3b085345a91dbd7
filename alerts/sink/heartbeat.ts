/** The Watchdog: an alert that always fires, so that its absence says that the way of alerts is broken. */
import { readFile } from 'node:fs/promises'
import { createQueue, replaceFile } from './files.ts'
import { isRecord, parseJson } from './json.ts'
import type { HeartbeatStatus } from './message.ts'

const WATCHDOG = 'Watchdog'

/** What a webhook body of Alertmanager means here. */
export type Beat =
  | 'beat'
  /** Alertmanager says that the Watchdog ended, as it does some minutes after Prometheus fell silent: no sign of life. */
  | 'ended'
  /** Another alert was sent here, or this is no webhook body. */
  | 'refused'

/** Version 4 of Alertmanager's generic webhook. */
export function readBeat(body: unknown): Beat {
  if (!isRecord(body) || body.version !== '4' || !Array.isArray(body.alerts)) return 'refused'
  const watchdogs = body.alerts.filter((alert) => isRecord(alert) && isRecord(alert.labels) && alert.labels.alertname === WATCHDOG)
  if (watchdogs.length === 0) return 'refused'
  return watchdogs.some(({ status }) => status === 'firing') ? 'beat' : 'ended'
}

interface Beats {
  readonly count: number
  readonly firstAtMs: number
  readonly lastAtMs: number
}

/** Counts the heartbeats; on the disk too, so that a restart of the sink hides no silence. */
export class Heartbeat {
  readonly #path: string
  readonly #serially = createQueue()
  #beats: Beats | undefined

  private constructor(path: string, beats: Beats | undefined) {
    this.#path = path
    this.#beats = beats
  }

  /** A file that is none of ours must not keep alerts out: it is told, and counting begins anew. @throws what the file system says */
  static async open(path: string, onTrouble: (what: string) => void): Promise<Heartbeat> {
    const content = await readFile(path, 'utf8').catch((thrown: NodeJS.ErrnoException) => {
      if (thrown.code === 'ENOENT') return undefined
      throw thrown
    })
    const beats = content === undefined ? undefined : readBeats(content)
    if (content !== undefined && beats === undefined) onTrouble('the file of heartbeats cannot be read: they are counted anew')
    return new Heartbeat(path, beats)
  }

  /** @returns once it is on the disk. @throws what the file system says; it is not counted then */
  beat(atMs: number): Promise<void> {
    return this.#serially(async () => {
      const beats = { count: (this.#beats?.count ?? 0) + 1, firstAtMs: this.#beats?.firstAtMs ?? atMs, lastAtMs: atMs }
      await replaceFile(this.#path, JSON.stringify(beats))
      this.#beats = beats
    })
  }

  status(nowMs: number): HeartbeatStatus {
    if (this.#beats === undefined) return { count: 0, firstAtMs: null, lastAtMs: null, ageMs: null }
    return { ...this.#beats, ageMs: Math.max(0, nowMs - this.#beats.lastAtMs) }
  }
}

function readBeats(content: string): Beats | undefined {
  const value = parseJson(content)
  const isOurs = isRecord(value) && [value.count, value.firstAtMs, value.lastAtMs].every(Number.isSafeInteger)
  return isOurs ? (value as unknown as Beats) : undefined
}
