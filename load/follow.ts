/** A pod's log as it grows, every line exactly once, also across broken connections. */
import { setTimeout as sleep } from 'node:timers/promises'

/** Where a log comes from; the API server, or a test. */
export interface LogSource {
  /**
   * The lines as they come, each behind its timestamp and a space, until the container or the connection ends.
   * @param since where to begin, to the second: lines before it may come again; undefined for the first line.
   */
  open(since: string | undefined, signal: AbortSignal): AsyncIterable<string>
  /** `ended`: nothing is written any more. `gone`: and nothing can be read. */
  state(): Promise<'running' | 'ended' | 'gone'>
}

const AGAIN_MS = 250
/** Under load there are lines every second, and every request is given up after five. */
const SILENCE_MS = 15_000

export interface FollowOptions {
  readonly signal: AbortSignal
  /** A connection without a line for so long is given up and made anew. @default 15_000 */
  readonly silenceMs?: number
}

/** Ends when all was read, or nothing can be read any more. @throws the signal's reason when it aborts. */
export async function* followLog(source: LogSource, options: FollowOptions): AsyncGenerator<string> {
  const { signal } = options
  const position = createPosition()
  while (true) {
    // Asked first: what had ended before it was read was read to its end.
    const state = await source.state().catch(() => 'running' as const)
    signal.throwIfAborted()
    if (state === 'gone') return
    const complete = yield* readOnce(source, position, options)
    if (complete && state === 'ended') return
    await sleep(AGAIN_MS, undefined, { signal }).catch(() => signal.throwIfAborted())
  }
}

/** @returns whether the stream came to an end of its own. */
async function* readOnce(
  source: LogSource,
  position: Position,
  { signal, silenceMs = SILENCE_MS }: FollowOptions,
): AsyncGenerator<string, boolean> {
  const silent = new AbortController()
  const timer = setTimeout(() => silent.abort(), silenceMs)
  try {
    for await (const line of source.open(position.resume(), AbortSignal.any([signal, silent.signal]))) {
      timer.refresh()
      const text = position.take(line)
      if (text !== undefined) yield text
    }
    return true
  } catch {
    signal.throwIfAborted()
    return false // the connection broke: what is missing is read by the next one
  } finally {
    clearTimeout(timer)
  }
}

interface Position {
  /** Begins anew. @returns the timestamp to begin at. */
  resume(): string | undefined
  /** The line without its timestamp, or undefined where it was taken before. */
  take(line: string): string | undefined
}

/** Timestamps have a fixed width, so that their order is that of their texts. Several lines may bear the same one. */
function createPosition(): Position {
  let last = { stamp: '', lines: 0 }
  let seen = last
  return {
    resume() {
      seen = last
      return last.stamp === '' ? undefined : last.stamp
    },
    take(line) {
      const end = line.indexOf(' ')
      const stamp = line.slice(0, end)
      if (stamp < seen.stamp) return undefined
      if (stamp === seen.stamp && seen.lines > 0) {
        seen = { stamp, lines: seen.lines - 1 }
        return undefined
      }
      if (stamp > seen.stamp) seen = { stamp: '', lines: 0 }
      last = { stamp, lines: stamp === last.stamp ? last.lines + 1 : 1 }
      return line.slice(end + 1)
    },
  }
}
