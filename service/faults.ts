/** Faults that a request asks for by its header `x-fault`, such as `delay=250;cpu=40;status=503`. */
import { setTimeout as sleep } from 'node:timers/promises'
import { createBurner } from './burn.ts'
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
