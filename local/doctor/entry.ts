/** An entry of the catalogue in two halves: what is asked of the machine, and what the raw answer is worth. */
import type { Check, Finding, Run } from '#core'
import type { Facts } from './facts.ts'

export interface Entry<Raw = unknown> extends Omit<Check, 'look' | 'mend'> {
  /** Only asks. @throws with the reason where there is no answer */
  read(facts: Facts): Promise<Raw>
  /** Pure: a recorded answer is judged as a fresh one. */
  judge(raw: Raw): Finding
  mend?(run: Run): Promise<void>
}

/** Ties an entry to a machine. */
export function bind({ read, judge, mend, ...rest }: Entry, facts: Facts): Check {
  return {
    ...rest,
    look: async () => judge(await read(facts)),
    ...(mend === undefined ? {} : { mend: async (run: Run) => mend(run).finally(facts.forget) }),
  }
}
