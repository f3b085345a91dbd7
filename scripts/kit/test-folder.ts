/** The tests of one folder, in a process of their own, which reports what it counted. */
import { join } from 'node:path'
import type { Run } from '../core/types.ts'
import { runChild } from './child.ts'
import { type Counts, isCounts } from './counts.ts'
import { root } from './paths.ts'

export interface TestFolderOptions extends Run {
  /** Only files whose name contains it. @default all */
  readonly filter?: string
  readonly env?: Readonly<Record<string, string>>
}

/** What ends without a word has failed. */
export async function runTestFolder(name: string, { filter = '', env = {}, progress, signal }: TestFolderOptions): Promise<Counts> {
  const onLine = (line: string) => progress.say(`  ${line}`)
  const { message } = await runChild(join(root, 'test', 'run.ts'), { args: [name, filter], env, signal, onLine })
  return isCounts(message) ? message : { passed: 0, failed: 1, skipped: 0 }
}
