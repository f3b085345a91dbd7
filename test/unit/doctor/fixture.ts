/** Raw answers of machines, as the read half of an entry gives them: each triggers its entry, or is what it looks like when all is well. */
import type { Finding } from '#core'
import type { Entry } from '../../../local/doctor/entry.ts'

export interface Fixture {
  readonly name: string
  readonly of: string
  readonly finding: Finding
  readonly level: Finding['level']
  /** What must be said: found or reason, and fix. */
  readonly says: RegExp
}

type Case<Raw> = readonly [of: string, raw: Raw, level: Finding['level'], says: RegExp]

/** Each raw answer, judged. */
export function fixtures<Raw>({ name, judge }: Entry<Raw>, ...cases: readonly Case<Raw>[]): Fixture[] {
  return cases.map(([of, raw, level, says]) => ({ name, of, finding: judge(raw), level, says }))
}
