/** Faults that a request asks for by its header `x-fault`, such as `delay=250;cpu=40;status=503`. */
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import { HttpError, type Route } from './http.ts'

interface Faults {
  /** Answered instead of the route's own response. */
  readonly status?: number
  /** Milliseconds of waiting. */
  readonly delay?: number
  /** Milliseconds of CPU. */
  readonly cpu?: number
}

const HEADER = 'x-fault'
const PART = /^(status|delay|cpu)=(\d{1,5})$/
const LIMITS = { status: { min: 400, max: 599 }, delay: { min: 0, max: 10_000 }, cpu: { min: 0, max: 1_000 } }
const EXPECTED = Object.entries(LIMITS).map(([name, { min, max }]) => `${name}=${min}..${max}`)
const SLICE_MS = 5

/** The same routes, carrying out the faults that a request asks for before they answer. Probes stay as they are. */
export function withFaults(routes: readonly Route[]): Route[] {
  const burn = createBurner()
  return routes.map((route) => {
    if (route.isProbe) return route
    const handle: Route['handle'] = async (request, url) => {
      const { delay = 0, cpu = 0, status } = parseFaults(request.headers.get(HEADER))
      // A client that has gone ends its faults, not the request.
      if (delay > 0) await sleep(delay, undefined, { signal: request.signal }).catch(() => {})
      if (cpu > 0) await burn(cpu, request.signal)
      if (status !== undefined) throw new HttpError(status, `Status ${status} was asked for by ${HEADER}`)
      return route.handle(request, url)
    }
    return { ...route, handle }
  })
}

function parseFaults(header: string | null): Faults {
  if (header === null) return {}
  const pairs = header.split(';').map((part): [string, number] => {
    const [, name = '', value] = PART.exec(part.trim()) ?? []
    return [name, Number(value)]
  })
  const faults = Object.fromEntries(pairs)
  if (pairs.every(isAllowed) && Object.keys(faults).length === pairs.length) return faults
  throw new HttpError(400, `Header ${HEADER} must be one or more of ${EXPECTED.join(', ')}, joined by ';'`)
}

function isAllowed([name, value]: readonly [string, number]): boolean {
  const limit = LIMITS[name as keyof typeof LIMITS]
  return limit !== undefined && value >= limit.min && value <= limit.max
}

/**
 * Burns CPU for one request after the other, in slices between which everything else has its turn. An event loop that is
 * busy until all of them are done fails its own readiness probe, and the HPA takes no metric from pods that are not ready.
 */
function createBurner(): (ms: number, signal: AbortSignal) => Promise<void> {
  let last: Promise<void> = Promise.resolve()
  return (ms, signal) => {
    last = last.then(() => burn(ms, signal))
    return last
  }
}

async function burn(ms: number, signal: AbortSignal): Promise<void> {
  for (let leftMs = ms; leftMs > 0 && !signal.aborted; await turn()) leftMs -= burnSlice(Math.min(leftMs, SLICE_MS))
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
