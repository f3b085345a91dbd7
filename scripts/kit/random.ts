/** Chance that can be had again: the same seed gives the same numbers on every machine. */

/** Numbers from 0 to 1, 1 left out: mulberry32, https://github.com/bryc/code/blob/master/jshash/PRNGs.md. @param seed a whole number */
export function createRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** The same items in another order, each order as likely as any other. */
export function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const rest = [...items]
  return items.flatMap(() => rest.splice(Math.floor(random() * rest.length), 1))
}
