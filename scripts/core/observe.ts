/** Observers: what no watch tells is asked for again and again. */
import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf } from '#kit/errors'
import { type Condition, pending, ready } from '#kit/wait'
import { type Context, isFrom, type Observer, type RecordedEvent, type Signal } from './scenario.ts'

const ANSWERS_EVERY_MS = 500

export interface Sighting {
  readonly value: unknown
  readonly atMs: number
}

export interface Polled {
  readonly name: string
  readonly everyMs: number
  /** Called when observing begins, at `sinceMs`. @returns what looks: each time it gives what is new since the look before. */
  begin(context: Context, sinceMs: number): () => Promise<readonly Sighting[]>
}

/**
 * Looks every so often until disposed. An error is told as one, whatever its kind, and the next look is made in time:
 * evidence that it leaves out is missing for whoever needs it.
 */
export function polled({ name, everyMs, begin }: Polled): Observer {
  return {
    name,
    async start(context, { observed, failed }) {
      const stop = new AbortController()
      const signal = AbortSignal.any([stop.signal, context.signal])
      const look = begin({ ...context, signal }, Date.now())
      const tellOnce = async () => {
        for (const { value, atMs } of await look()) if (!signal.aborted) observed(value, atMs)
      }
      const running = (async () => {
        while (!signal.aborted) {
          await tellOnce().catch((thrown) => signal.aborted || failed(messageOf(thrown)))
          await sleep(everyMs, undefined, { signal }).catch(() => {})
        }
      })()
      return {
        async [Symbol.asyncDispose]() {
          stop.abort()
          await running
        },
      }
    },
  }
}

/** Whether something answers: asked again and again, and told each time. */
export function answers(name: string, ask: (context: Context) => Promise<unknown>): Observer {
  return polled({
    name,
    everyMs: ANSWERS_EVERY_MS,
    begin: (context) => async () => {
      const said = await ask(context).then(
        () => ({ ok: true }),
        (thrown) => ({ ok: false, why: messageOf(thrown) }),
      )
      return [{ value: said, atMs: Date.now() }]
    },
  })
}

export const isSilent = (name: string) => (event: RecordedEvent) => isFrom(name, event) && event.value.ok === false

/** One look at each of these signals, as a wait wants it. */
export async function lookAll(signals: readonly Signal[], context: Context): Promise<Condition<void>> {
  const looks = await Promise.all(signals.map((signal) => signal.look(context)))
  return looks.every(({ ok }) => ok) ? ready(undefined) : pending(looks.map(({ seen }) => seen).join('; '))
}
