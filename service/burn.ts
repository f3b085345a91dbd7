/** CPU that is burnt on purpose, in slices between which everything else has its turn. */
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'

const SLICE_MS = 5
const REST_MS = 10
/** What a throttled or busy process could not burn in time is forgiven beyond that: a fault that has ended is over. */
const MAX_OWED_MS = 100

/**
 * Burns CPU for one request after the other. An event loop that is busy until all of them are done fails its own
 * readiness probe, and the HPA takes no metric from pods that are not ready.
 */
export function createBurner(): (ms: number, signal: AbortSignal) => Promise<void> {
  let last: Promise<void> = Promise.resolve()
  return (ms, signal) => {
    last = last.then(() => burn(ms, signal))
    return last
  }
}

async function burn(ms: number, signal: AbortSignal): Promise<void> {
  for (let leftMs = ms; leftMs > 0 && !signal.aborted; await turn()) leftMs -= burnSlice(Math.min(leftMs, SLICE_MS))
}

/** Keeps burning that share of one core, 0 to 1. @returns once `signal` aborts */
export async function burnShare(share: number, signal: AbortSignal): Promise<void> {
  let owedMs = 0
  for (let sinceMs = performance.now(); !signal.aborted; ) {
    const nowMs = performance.now()
    owedMs = Math.min(owedMs + share * (nowMs - sinceMs), MAX_OWED_MS)
    sinceMs = nowMs
    if (owedMs < SLICE_MS) {
      await sleep(REST_MS, undefined, { ref: false })
    } else {
      owedMs -= burnSlice(SLICE_MS)
      await turn()
    }
  }
}

/** By CPU time: a pod that is throttled would burn next to nothing of a time by the clock. @returns the ms burnt */
function burnSlice(ms: number): number {
  const start = process.cpuUsage()
  for (;;) {
    const { user, system } = process.cpuUsage(start)
    const burntMs = (user + system) / 1000
    if (burntMs >= ms) return burntMs
  }
}
