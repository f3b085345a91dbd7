/** A cluster at rest: its containers stopped in order, its data on its volumes. */
import { CLUSTER_LABEL, docker, listRunning } from '#kit/docker'
import { mustAnswer } from './engine.ts'
import { STOP_S } from './node-config.ts'
import { stopRegistry } from './registry/registry.ts'

/** Also the registry, unless another cluster runs. @returns whether the cluster ran */
export async function stop(name: string): Promise<boolean> {
  if (!(await mustAnswer())) return false
  const stopped = await stopContainers(name)
  if ((await listRunning(CLUSTER_LABEL)).length === 0) await stopRegistry()
  return stopped.length > 0
}

/** Until disposal, which starts what ran. */
export async function pause(name: string): Promise<AsyncDisposable> {
  const running = (await mustAnswer()) ? await stopContainers(name) : []
  return {
    async [Symbol.asyncDispose]() {
      if (running.length > 0) await docker(['start', ...running])
    },
  }
}

/** @returns the containers that ran. */
async function stopContainers(name: string): Promise<readonly string[]> {
  const running = await listRunning(`${CLUSTER_LABEL}=${name}`)
  if (running.length > 0) await docker(['stop', '--time', STOP_S, ...running])
  return running
}
