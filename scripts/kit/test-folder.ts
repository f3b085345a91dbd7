/** The tests of one folder, in a process of their own, which reports what it counted. */
import { join } from 'node:path'
import type { Run } from '../core/types.ts'
import { type ChildResult, runChild } from './child.ts'
import { type Counts, isCounts, isGreen } from './counts.ts'
import { root } from './paths.ts'

export interface TestFolderOptions extends Run {
  /** Only files whose name contains it. @default all */
  readonly filter?: string
  readonly env?: Readonly<Record<string, string>>
}

export async function runTestFolder(name: string, { filter = '', env = {}, progress, signal }: TestFolderOptions): Promise<Counts> {
  const onLine = (line: string) => progress.say(`  ${line}`)
  return countsOf(await runChild(join(root, 'test', 'run.ts'), { args: [name, filter], env, signal, onLine }))
}

/** What ends without a word has failed, and so has what ends otherwise than its counts say: it broke after them. Exported for the tests. */
export function countsOf({ message, exitCode }: Pick<ChildResult, 'message' | 'exitCode'>): Counts {
  const { passed, failed, skipped } = isCounts(message) ? message : { passed: 0, failed: 0, skipped: 0 }
  const hasKept = isCounts(message) && exitCode === (isGreen(message) ? 0 : 1)
  return { passed, failed: failed + (hasKept ? 0 : 1), skipped }
}
