/** A stack that was stopped and runs again: what its own Git says, whatever stands in the working tree by now. */
import { FIRST_ENVIRONMENT } from './environments.ts'
import { applicationNames, ROOT_APPLICATION } from './gitops.ts'
import { stackOn, waitUntilHealthy } from './install.ts'
import type { Cluster, Run, Stack } from './types.ts'

/** Waits until everything is Synced and Healthy at what `deploy` names: compared, and every pod started, since its machine was. */
export async function untilRunsAgain(whole: Stack, cluster: Cluster, { progress, signal }: Run): Promise<void> {
  const stack = stackOn(whole, cluster.kind)
  await progress.step('Wait until everything is Synced and Healthy', async (onSeen) => {
    onSeen('Git does not answer yet')
    const { url, readDeploy } = await stack.git(cluster, signal)
    const { sha = '', files } = await readDeploy()
    const environment = cluster.environment ?? FIRST_ENVIRONMENT
    const wanted = {
      target: { cluster, environment, timing: stack.timing[cluster.timing], repoUrl: url, images: new Map() },
      applications: [ROOT_APPLICATION, ...applicationNames(files)],
      revisions: { deploy: sha, pushedAtMs: Date.now() },
    }
    await waitUntilHealthy(stack, wanted, { signal, onSeen })
  })
}
