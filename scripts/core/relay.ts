/** Load for as long as something else takes: one leg after the other, the next one sending before the one before it ends. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Failure, messageOf } from '#kit/errors'
import { type LoadProfile, type LoadSecond, type LoadSummary, type RunningLoad, startLoad, unmeasured } from './load.ts'
import type { ClaimResult, Context } from './scenario.ts'

const RATE_PER_S = 10
const LEG_MS = 45_000
/** A leg's start takes some seconds, and more while pods roll out beside it. */
const OVERLAP_MS = 15_000
/** A request is given up after 5 s and told within two: a longer silence means that nobody asked. */
const SILENCE_MS = 7_000

/** A profile has an end, and only what came to its end was measured: hence legs. */
export interface Relay extends AsyncDisposable {
  /** Aborts with a Failure when a request fails. */
  readonly lost: AbortSignal
  /** Starts no further leg, and resolves when those that send have ended by themselves. Disposing ends them at once. */
  end(): Promise<Relayed>
  /**
   * Starts the next leg now, and resolves once it sends. No other is due for a leg less its overlap: so long whoever starts them may
   * be away.
   */
  renew(): Promise<void>
}

export interface RelayOptions {
  /** At least 30 s. @default 45 s */
  readonly legMs?: number
}

/** What was told of the load, and what each leg was worth by its own count. */
export interface Relayed {
  readonly seconds: readonly RelayedSecond[]
  readonly legs: readonly LoadSummary[]
  /** Why a leg could not be started. */
  readonly problem?: string
}

export type RelayedSecond = Pick<LoadSecond, 'requests' | 'failed'> & { readonly atMs: number }

const legOf = (number: number, forMs: number): LoadProfile => ({
  name: `relay-${number}`,
  about: `${RATE_PER_S} requests per second while something else goes on.`,
  stages: [{ name: 'steady', forMs, ratePerS: RATE_PER_S, requests: [{ path: '/api/products' }] }],
})

/** Starts the first leg. @throws Failure where it cannot send. */
export async function startRelay(
  context: Pick<Context, 'cluster' | 'environment' | 'load' | 'signal' | 'git'>,
  { legMs = LEG_MS }: RelayOptions = {},
): Promise<Relay> {
  const lost = new AbortController()
  const stop = new AbortController()
  const seconds: RelayedSecond[] = []
  const legs: { readonly running: RunningLoad; readonly ended: Promise<LoadSummary> }[] = []
  const onSecond = ({ requests, failed }: LoadSecond, atMs: number) => {
    seconds.push({ requests, failed, atMs })
    if (failed > 0) lost.abort(new Failure({ what: 'Cannot go on', why: `${failed} of the ${requests} requests of one second failed` }))
  }
  let begun = 0
  let begunAtMs = 0
  const startLeg = async () => {
    begun += 1
    begunAtMs = Date.now()
    const running = await startLoad(legOf(begun, legMs), context, onSecond)
    const ended = endOf(running)
    ended.catch(() => {}) // nobody may be waiting for it
    legs.push({ running, ended })
  }
  await startLeg()
  const dueInMs = () => begunAtMs + legMs - OVERLAP_MS - Date.now()
  const goOn = async (): Promise<string | undefined> => {
    while (await passes(Math.max(0, dueInMs()), stop.signal)) if (dueInMs() <= 0) await startLeg()
    return undefined
  }
  const going = goOn().catch(messageOf)
  return {
    lost: lost.signal,
    renew: startLeg,
    async end() {
      stop.abort()
      const problem = await going
      const summaries = await Promise.all(legs.map(({ ended }) => ended))
      return { seconds, legs: summaries, ...(problem === undefined ? {} : { problem }) }
    },
    async [Symbol.asyncDispose]() {
      stop.abort()
      await going
      await Promise.all(legs.map(({ running }) => running[Symbol.asyncDispose]()))
      await Promise.allSettled(legs.map(({ ended }) => ended))
    },
  }
}

/** Nothing of a leg is left once it has ended. */
async function endOf(load: RunningLoad): Promise<LoadSummary> {
  await using running = load
  return await running.done
}

/** @returns false where it was stopped before. */
function passes(ms: number, signal: AbortSignal): Promise<boolean> {
  return sleep(ms, true, { signal }).catch(() => false)
}

/** Whether no request failed from one moment to another, and somebody asked all the while: too little load shows nothing. */
export function judgeRelay(
  { seconds, legs, problem }: Relayed,
  { fromMs, toMs }: { readonly fromMs: number; readonly toMs: number },
): ClaimResult {
  const total = (what: 'requests' | 'failed') => seconds.reduce((sum, second) => sum + second[what], 0)
  const dropped = legs.reduce((sum, leg) => sum + leg.dropped, 0)
  const silenceMs = widestGap(seconds, { fromMs, toMs })
  const seen = `${total('failed')} of ${total('requests')} requests failed, ${dropped} dropped, widest gap ${silenceMs} ms`
  if (total('failed') > 0) return { outcome: 'false', seen }
  const why = problem ?? legs.map(unmeasured).find((each) => each !== undefined)
  if (why !== undefined) return { outcome: 'no data', seen: why }
  return { outcome: dropped === 0 && legs.length > 0 && silenceMs <= SILENCE_MS ? 'true' : 'no data', seen }
}

function widestGap(seconds: readonly RelayedSecond[], { fromMs, toMs }: { readonly fromMs: number; readonly toMs: number }): number {
  const within = seconds.map(({ atMs }) => atMs).filter((atMs) => atMs > fromMs && atMs < toMs)
  const times = [fromMs, ...within.toSorted((a, b) => a - b), toMs]
  return Math.max(0, ...times.slice(1).map((atMs, i) => atMs - (times[i] ?? atMs)))
}
