/** Takes a cluster away: what carries its label, and nothing else. */
import { existsSync } from 'node:fs'
import { rm, rmdir } from 'node:fs/promises'
import { CLUSTER_LABEL, docker, listByLabel } from '#kit/docker'
import { ownDir } from '#kit/paths'

/** Containers, volumes but for those to keep, and networks. @returns a line for each. */
export async function removeCluster(name: string, keep: readonly string[] = []): Promise<string[]> {
  const label = `${CLUSTER_LABEL}=${name}`
  const containers = await listByLabel('container', label)
  if (containers.length > 0) await docker(['rm', '--force', '--volumes', ...containers])
  const volumes = (await listByLabel('volume', label)).filter((each) => !keep.includes(each))
  if (volumes.length > 0) await docker(['volume', 'rm', ...volumes])
  const networks = await listByLabel('network', label)
  for (const network of networks) await removeNetwork(network)
  return [
    ...containers.map((each) => `container ${each}`),
    ...volumes.map((each) => `volume ${each}`),
    ...networks.map((each) => `network ${each}`),
  ]
}

/** The registry is a member of every cluster's network, also while it rests: it would not start again without one that is gone. */
async function removeNetwork(network: string): Promise<void> {
  const { stdout } = await docker(['ps', '--all', '--filter', `network=${network}`, '--format', '{{.Names}}'])
  for (const member of stdout.split('\n').filter(Boolean)) await docker(['network', 'disconnect', '--force', network, member])
  await docker(['network', 'rm', network])
}

/** @returns a line where it was there. */
export async function removeFiles(folder: string): Promise<string[]> {
  if (!existsSync(folder)) return []
  await rm(folder, { recursive: true, force: true })
  await rmdir(ownDir()).catch(() => {}) // another cluster's files may be in it
  return [`folder ${folder}`]
}
