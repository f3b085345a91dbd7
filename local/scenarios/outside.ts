/** Who asks from this machine: what runs in a node cannot tell how long it was away. */
import { type Context, type Observer, polled } from '#core'

/** One look, and how many in a row have been answered with it. */
export interface Answer {
  readonly ok: boolean
  readonly streak: number
}

export interface Asked {
  readonly name: string
  readonly everyMs: number
  /** Whether it answers as it should; an error is an answer that failed. */
  readonly ask: (context: Context) => Promise<boolean>
}

const GIVEN_UP_MS = 1_000

/** Asks again and again, each time for a second at most; away is an observation as well. */
export function asked({ name, everyMs, ask }: Asked): Observer {
  return polled({
    name,
    everyMs,
    begin(context) {
      let streak = 0
      return async () => {
        const signal = AbortSignal.any([context.signal, AbortSignal.timeout(GIVEN_UP_MS)])
        const late = new Promise<false>((resolve) => signal.addEventListener('abort', () => resolve(false), { once: true }))
        const ok = await Promise.race([ask({ ...context, signal }).catch(() => false), late])
        streak = ok ? streak + 1 : 0
        return [{ value: { ok, streak } satisfies Answer, atMs: Date.now() }]
      }
    },
  })
}
