/** A step that looks at something: what it found may be bad without anything having been thrown. */
import type { Progress } from './progress.ts'

export interface StageOptions<T> {
  readonly progress: Progress
  readonly isGood: (value: T) => boolean
}

/** Runs `work` as a step that is marked as failed unless its value is good, and returns the value either way. */
export async function runStage<T>(title: string, work: () => Promise<T>, { progress, isGood }: StageOptions<T>): Promise<T> {
  let bad: { readonly value: T } | undefined
  try {
    return await progress.step(title, async () => {
      const value = await work()
      if (isGood(value)) return value
      bad = { value }
      throw new Error(`${title} found something`)
    })
  } catch (thrown) {
    if (bad === undefined) throw thrown
    return bad.value
  }
}
