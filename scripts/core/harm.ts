/** How much harm a run does, by what its load says: what its users noticed, and when it must end. Pure. */
import { formatMs } from '#kit/progress'
import { LOAD_SOURCE, total } from './evidence.ts'
import type { LoadSecond } from './load.ts'
import { type HarmLimit, isFrom, type Observation, type RecordedEvent } from './scenario.ts'

const SECOND_MS = 1_000

/** What whoever uses the service noticed. */
export interface Noticed {
  readonly requests: number
  /** Not answered, or not as expected. */
  readonly failed: number
  /** How long nobody was answered: the seconds, from the first to the last of the load, without a single good answer. */
  readonly outageMs: number
}

export function noticedBy(events: readonly RecordedEvent[]): Noticed {
  return { requests: total({ events }, 'requests'), failed: total({ events }, 'failed'), outageMs: outageMs(events) }
}

/** A second in which no request ended is not told: it is one without an answer. */
function outageMs(events: readonly RecordedEvent[]): number {
  const told = toldSeconds(events)
  const first = told[0]?.atMs ?? 0
  const indexOf = ({ atMs }: Observation) => Math.round((atMs - first) / SECOND_MS)
  const all = told.length === 0 ? 0 : Math.max(...told.map(indexOf)) + 1
  const good = new Set(told.filter(({ value }) => isGood(value)).map(indexOf))
  return (all - good.size) * SECOND_MS
}

const isGood = ({ requests, failed }: LoadSecond) => requests > failed

function toldSeconds(events: readonly RecordedEvent[]): readonly Observation[] {
  return events.filter((event) => isFrom(LOAD_SOURCE, event)).toSorted((a, b) => a.atMs - b.atMs)
}

/** Why a run must end at once: its users suffer more than it may do to them. Undefined while they do not. */
export function tooMuchHarm(events: readonly RecordedEvent[], { failedShare, forMs }: HarmLimit): string | undefined {
  const told = toldSeconds(events)
  const [first, last] = [told[0]?.atMs ?? 0, told.at(-1)?.atMs ?? 0]
  if (last - first < forMs) return undefined
  const { requests, failed } = noticedBy(told.filter(({ atMs }) => atMs > last - forMs))
  const share = failed / Math.max(1, requests)
  if (share <= failedShare) return undefined
  const percent = (value: number) => `${Math.round(100 * value)} %`
  return `Stopped: ${percent(share)} of the requests of the last ${formatMs(forMs)} failed, and it may do that to ${percent(failedShare)}`
}
