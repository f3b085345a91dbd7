/** The workload under other values of its chart for a while, in Git. */
import { commitDeploy, valuesFiles, withValues } from './delivery.ts'
import type { Context, Undo } from './scenario.ts'
import { ENVIRONMENT, WORKLOAD_NAME } from './workload.ts'

const OF = { part: WORKLOAD_NAME, environment: ENVIRONMENT } as const

/** The values of the workload in Git, changed by one commit. */
export async function commitValues(context: Context, message: string, change: object): Promise<void> {
  const { files } = await (await context.git()).readDeploy()
  await commitDeploy(context, { message, files: withValues(files, OF, change), applications: [] })
}

/** The values of the workload as they stand in Git now, written back. */
export async function restoreValues(context: Pick<Context, 'git'>): Promise<Undo> {
  const { files } = await (await context.git()).readDeploy()
  return [{ op: 'commit', message: 'Undo of a proof', files: valuesFiles(files, OF), applications: [] }]
}
