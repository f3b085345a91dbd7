/** From single requests to the seconds of each stage, in order, each told once. */
import { type LoadSecond, percentile } from '#core'
import type { RequestLine } from './lines.ts'

/** How much later than its second a line may come: many users write to one stream. */
const LATE_MS = 500
const SECOND_MS = 1000

export interface Seconds {
  add(request: RequestLine): void
  /** Tells all that is held: nothing more is to come of it. */
  settle(): void
}

/**
 * Holds each second until a line shows that it is over. A line that comes even later counts in the first second that was not
 * told yet: none is lost, and none is told twice.
 * @param tell is given each second with its end, in milliseconds since the epoch.
 */
export function createSeconds(tell: (second: LoadSecond, atMs: number) => void): Seconds {
  const held = new Map<number, RequestLine[]>()
  let toldUpTo = 0
  const tellUntil = (second: number) => {
    const over = [...held.keys()].filter((each) => each < second).toSorted((a, b) => a - b)
    for (const each of over) {
      const byStage = Map.groupBy(held.get(each) ?? [], ({ stage }) => stage)
      held.delete(each)
      toldUpTo = each + 1
      for (const [stage, requests] of byStage) tell(summarise(stage, requests), toldUpTo * SECOND_MS)
    }
  }
  return {
    add(request) {
      const second = Math.max(Math.floor(request.atMs / SECOND_MS), toldUpTo)
      held.set(second, [...(held.get(second) ?? []), request])
      tellUntil(Math.floor((request.atMs - LATE_MS) / SECOND_MS))
    },
    settle: () => tellUntil(Number.POSITIVE_INFINITY),
  }
}

function summarise(stage: string, requests: readonly RequestLine[]): LoadSecond {
  const times = requests.map(({ tookMs }) => tookMs)
  const errors = countBy(requests.map(({ error }) => error))
  return {
    stage,
    requests: requests.length,
    failed: requests.filter(({ ok }) => !ok).length,
    byStatus: countBy(requests.map(({ status }) => String(status))),
    byPod: countBy(requests.map(({ pod }) => pod)),
    byVersion: countBy(requests.map(({ version }) => version)),
    ...(Object.keys(errors).length === 0 ? {} : { byError: errors }),
    p50Ms: percentile(times, 0.5) ?? 0,
    p95Ms: percentile(times, 0.95) ?? 0,
    maxMs: Math.max(...times),
  }
}

/** How often each word comes; the empty one is none. */
function countBy(words: readonly string[]): Record<string, number> {
  const counts = new Map<string, number>()
  for (const word of words) if (word !== '') counts.set(word, (counts.get(word) ?? 0) + 1)
  return Object.fromEntries(counts)
}
