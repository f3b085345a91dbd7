/** The remote of a rehearsal's user: a Git server beside the cluster, that the cluster reads and only its user writes. */
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CLUSTER_LABEL, type ContainerInfo, docker, inspect } from '#kit/docker'
import type { Images } from '#kit/images'
import { root } from '#kit/paths'
import { pending, ready, waitFor } from '#kit/wait'
import { writeCredential } from '../../local/git-server/credential.ts'
import { gitServer } from '../../local/git-server/part.ts'
import { pushSnapshot, snapshotWorkingTree } from '../../local/git-server/snapshot.ts'

export const BRANCH = 'main'

export interface UserRemote extends AsyncDisposable {
  readonly url: string
  /** By which the user's own Git may write: their credential helper, in short. */
  readonly env: Readonly<Record<string, string>>
  /** Pushes the working tree as a commit of the branch, as its user would. */
  push(): Promise<void>
}

export interface RemoteOptions {
  readonly cluster: string
  readonly network: string
  readonly images: Images
  readonly signal: AbortSignal
}

export async function startRemote({ cluster, network, images, signal }: RemoteOptions): Promise<UserRemote> {
  const [image] = gitServer.images
  if (image === undefined) throw new Error('the Git server has no image')
  const { ref } = await images.local(image)
  const name = `holdfast-${cluster}-remote`
  const { user, password, htpasswd } = writeCredential()
  await docker(['rm', '--force', '--volumes', name], { accept: [0, 1] })
  await docker(['create', '--name', name, '--label', `${CLUSTER_LABEL}=${cluster}`, '--network', network, ref])
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-remote-'))
  await writeFile(join(folder, 'htpasswd'), htpasswd, { mode: 0o644 })
  await chmod(folder, 0o755) // the server is not root
  await docker(['cp', folder, `${name}:/etc/git-server/secret`])
  await rm(folder, { recursive: true })
  await docker(['start', name])
  const address = (await inspect<ContainerInfo>('container', name))?.NetworkSettings.Networks[network]?.IPAddress
  const url = `http://${address}:8080/platform.git`
  const look = async () => ((await fetch(`http://${address}:8080/healthz`)).ok ? ready(undefined) : pending('not yet'))
  await waitFor('the remote to answer', look, { timeoutMs: 20_000, everyMs: 100, signal })
  const header = `Authorization: Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
  return {
    url,
    env: { GIT_CONFIG_COUNT: '1', GIT_CONFIG_KEY_0: `http.${url}.extraHeader`, GIT_CONFIG_VALUE_0: header },
    async push() {
      await using snapshot = await snapshotWorkingTree(root, { signal })
      await pushSnapshot(snapshot, { url, credential: { user, password } }, { ref: `refs/heads/${BRANCH}`, signal })
    },
    [Symbol.asyncDispose]: async () => void (await docker(['rm', '--force', '--volumes', name], { accept: [0, 1] })),
  }
}
