/** At most `size` of the given works run at once; the others wait in order. */
export function createLimit(size: number): <T>(work: () => Promise<T>) => Promise<T> {
  let free = size
  const waiting: (() => void)[] = []
  return async (work) => {
    if (free > 0) free--
    else await new Promise<void>((go) => waiting.push(go))
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next === undefined) free++
      else next()
    }
  }
}

/** Runs `work` once per key and shares its promise; a failure is forgotten, so that a later call tries again. */
export function createOnce<T>(): (key: string, work: () => Promise<T>) => Promise<T> {
  const running = new Map<string, Promise<T>>()
  return (key, work) => {
    const known = running.get(key)
    if (known !== undefined) return known
    const promise = work().catch((thrown) => {
      running.delete(key)
      throw thrown
    })
    running.set(key, promise)
    return promise
  }
}

/** What is good for a while only: made anew when its time is over, and once for all who ask meanwhile; a failure is forgotten. */
export function createLease<T extends { readonly untilMs: number }>(obtain: () => Promise<T>): () => Promise<T> {
  let known: T | undefined
  let obtaining: Promise<T> | undefined
  return async () => {
    if (known !== undefined && known.untilMs > Date.now()) return known
    obtaining ??= obtain().finally(() => {
      obtaining = undefined
    })
    known = await obtaining
    return known
  }
}

/** Like `Promise.all`, and all of them have ended when it throws the first error: what they work in may then go. */
export async function allEnded<T extends readonly unknown[]>(works: readonly [...{ [K in keyof T]: Promise<T[K]> | T[K] }]): Promise<T> {
  await Promise.allSettled(works)
  return Promise.all(works) as Promise<T>
}
