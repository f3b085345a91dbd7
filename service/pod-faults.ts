/**
 * Faults of a whole pod, switched on its metrics port: `GET`, `PUT` and `DELETE /faults`. They end by themselves.
 * Whoever may reach that port may break the pod, so production has no such route.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { burnShare } from './burn.ts'
import { HttpError, json, type Route } from './http.ts'
import { leak } from './leak.ts'
import { FAULT_NAMES, type FaultName, type PodFaultSet, parsePodFaults } from './pod-fault-set.ts'

export interface PodFaults {
  /** For the metrics port. */
  readonly routes: readonly Route[]
  /** The same routes, failing and waiting as the pod's faults say. Probes stay as they are. */
  wrap(routes: readonly Route[]): Route[]
  /** Each fault, on or off. */
  active(): Readonly<Record<FaultName, boolean>>
}

export interface PodFaultState {
  /** The fields of the `PUT` that are on now; none after the end. */
  readonly active: Omit<PodFaultSet, 'forMs'>
  /** ISO 8601, or null while nothing is on. */
  readonly expiresAt: string | null
}

export interface PodFaultOptions {
  /** Told when faults begin and when they end. @default nobody */
  readonly onChange?: ((state: PodFaultState) => void) | undefined
}

interface Episode {
  readonly faults: Omit<PodFaultSet, 'forMs'>
  readonly endsAtMs: number
  /** Requests that have come since it began. */
  seen: number
  end(): void
}

/** sysexits' EX_SOFTWARE: unlike every code that the process ends with on its own. */
const CRASH_CODE = 70
/** A double that should be whole may be a hair below. */
const ROUNDING = 1e-9

/** A switchboard of one pod, with everything off. */
export function createPodFaults({ onChange = () => {} }: PodFaultOptions = {}): PodFaults {
  let episode: Episode | undefined

  function end(): void {
    if (episode === undefined) return
    episode.end()
    episode = undefined
    onChange(stateOf(episode))
  }

  /** By the clock: the timer of a busy event loop comes late. */
  function current(): Episode | undefined {
    if (episode !== undefined && Date.now() >= episode.endsAtMs) end()
    return episode
  }

  function begin(set: PodFaultSet): Episode {
    episode?.end()
    episode = startEpisode(set, end)
    onChange(stateOf(episode))
    return episode
  }

  return {
    routes: faultRoutes({ current, begin, end }),
    wrap: (routes) => routes.map((route) => (route.isProbe ? route : suffer(route, current))),
    active() {
      const faults = current()?.faults ?? {}
      return Object.fromEntries(FAULT_NAMES.map((name) => [name, name in faults])) as Record<FaultName, boolean>
    },
  }
}

interface Switchboard {
  current(): Episode | undefined
  begin(set: PodFaultSet): Episode
  end(): void
}

function faultRoutes({ current, begin, end }: Switchboard): readonly Route[] {
  const path = '/faults'
  return [
    { method: 'GET', path, handle: () => json(stateOf(current())) },
    {
      method: 'PUT',
      path,
      async handle(request) {
        const episode = begin(parsePodFaults(await request.text()))
        // The server aborts this signal once the response has been sent: nothing can be sent from a process that hangs.
        request.signal.addEventListener('abort', () => strike(episode))
        return json(stateOf(episode))
      },
    },
    {
      method: 'DELETE',
      path,
      handle() {
        end()
        return json(stateOf(undefined))
      },
    },
  ]
}

function startEpisode({ forMs, ...faults }: PodFaultSet, onExpiry: () => void): Episode {
  const stop = new AbortController()
  const timer = setTimeout(onExpiry, forMs).unref()
  stop.signal.addEventListener('abort', () => clearTimeout(timer))
  if (faults.cpuShare !== undefined) void burnShare(faults.cpuShare, stop.signal)
  if (faults.leakMiBPerS !== undefined) leak(faults.leakMiBPerS, stop.signal)
  return { faults, endsAtMs: Date.now() + forMs, seen: 0, end: () => stop.abort() }
}

/** What stops the process, or all that its event loop does. */
function strike({ faults, endsAtMs }: Episode): void {
  if (faults.crash) process.exit(CRASH_CODE)
  if (faults.hang) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Math.max(0, endsAtMs - Date.now()))
}

function suffer(route: Route, current: () => Episode | undefined): Route {
  const handle: Route['handle'] = async (request, url) => {
    const episode = current()
    if (episode === undefined) return route.handle(request, url)
    const fails = isOneOfTheShare(episode)
    const { latencyMs = 0 } = episode.faults
    // A client that has gone ends its wait, not the request.
    if (latencyMs > 0) await sleep(latencyMs, undefined, { signal: request.signal }).catch(() => {})
    if (fails) throw new HttpError(500, 'Status 500 is a fault of this pod')
    return route.handle(request, url)
  }
  return { ...route, handle }
}

/** Spread evenly, not drawn: of any n requests in a row the share fails, give or take one. */
function isOneOfTheShare(episode: Episode): boolean {
  const failedOf = (count: number) => Math.floor(count * (episode.faults.errorShare ?? 0) + ROUNDING)
  episode.seen++
  return failedOf(episode.seen) > failedOf(episode.seen - 1)
}

function stateOf(episode: Episode | undefined): PodFaultState {
  if (episode === undefined) return { active: {}, expiresAt: null }
  return { active: episode.faults, expiresAt: new Date(episode.endsAtMs).toISOString() }
}
