/** The one wait. Its error says what was awaited, for how long, and what was seen last. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Failure, isBug, messageOf } from './errors.ts'
import { formatMs } from './progress.ts'

/** Three states, so that what waiting cannot mend ends the wait at once, with its cause. */
export type Condition<T> =
  | { readonly state: 'ready'; readonly value: T }
  | { readonly state: 'pending'; readonly seen: string }
  | { readonly state: 'terminal'; readonly why: string; readonly next?: string }

export const ready = <T>(value: T): Condition<T> => ({ state: 'ready', value })
export const pending = (seen: string): Condition<never> => ({ state: 'pending', seen })
export const terminal = (why: string, next?: string): Condition<never> => ({
  state: 'terminal',
  why,
  ...(next === undefined ? {} : { next }),
})

export interface WaitOptions {
  readonly timeoutMs: number
  readonly signal?: AbortSignal | undefined
  /** Looks again after this long even if no watch spoke. @default 500 */
  readonly everyMs?: number
  /** Subscribes to changes: `wake` makes the wait look again at once, but for a rest after a long look. Disposed at the end. */
  readonly changes?: (wake: () => void) => Disposable
  /** Called when what is seen changes. */
  readonly onSeen?: (seen: string) => void
}

/** The time of a wait is over. */
export class TimeoutFailure extends Failure {}

/**
 * Looks until the probe is ready.
 * @throws TimeoutFailure when the time is over, Failure on a terminal state; a probe's TypeError is a bug and is thrown at once, any
 * other error of it is taken as "not seen yet" and named in the timeout's message.
 */
export async function waitFor<T>(what: string, probe: () => Promise<Condition<T>>, options: WaitOptions): Promise<T> {
  const { timeoutMs, signal, everyMs = 500, changes, onSeen } = options
  const started = performance.now()
  const bell = createBell()
  using _subscription = changes?.(bell.ring)
  let seen = 'nothing'
  while (true) {
    signal?.throwIfAborted()
    const heard = bell.next()
    const lookedAt = performance.now()
    const lookMs = Math.max(timeoutMs - (lookedAt - started), everyMs)
    const condition = (await within(lookMs, look(probe), signal)) ?? pending(`${seen}; the last look did not end`)
    const restMs = REST * (performance.now() - lookedAt)
    if (condition.state === 'ready') return condition.value
    if (condition.state === 'terminal') throw hopeless(what, condition)
    signal?.throwIfAborted()
    if (condition.seen !== seen) onSeen?.(condition.seen)
    seen = condition.seen
    const leftMs = timeoutMs - (performance.now() - started)
    if (leftMs <= 0) throw new TimeoutFailure({ what: `Waited ${formatMs(timeoutMs)} for ${what}`, why: `last seen: ${seen}` })
    const pauseMs = Math.min(everyMs, leftMs)
    await Promise.all([within(pauseMs, heard, signal), within(Math.min(restMs, pauseMs), new Promise(() => {}), signal)])
  }
}

/** After a look, in its own length: where changes come all the time, whoever waits takes a fifth of them and not the whole machine. */
const REST = 4

/** For a wait whose answer may be no: not in time is an answer, anything else is thrown on. */
export function overdue(thrown: unknown): false {
  if (!(thrown instanceof TimeoutFailure)) throw thrown
  return false
}

function hopeless(what: string, { why, next }: Extract<Condition<unknown>, { state: 'terminal' }>): Failure {
  return new Failure({ what: `Waiting for ${what} is of no use`, why, ...(next === undefined ? {} : { next }) })
}

async function look<T>(probe: () => Promise<Condition<T>>): Promise<Condition<T>> {
  try {
    return await probe()
  } catch (thrown) {
    if (isBug(thrown)) throw thrown
    return pending(`error: ${messageOf(thrown)}`)
  }
}

/** What `work` gives, or undefined when the time is over or the signal aborts first: a probe that hangs must not stop either. */
export async function within<T>(ms: number, work: Promise<T>, signal: AbortSignal | undefined): Promise<T | undefined> {
  const stop = new AbortController()
  const signals = signal === undefined ? stop.signal : AbortSignal.any([stop.signal, signal])
  const over = sleep(ms, undefined, { signal: signals }).catch(() => undefined)
  try {
    return await Promise.race([work, over])
  } finally {
    stop.abort()
  }
}

function createBell(): { ring: () => void; next: () => Promise<void> } {
  let wake = () => {}
  return { ring: () => wake(), next: () => new Promise((resolve) => (wake = resolve)) }
}
