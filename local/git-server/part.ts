/** The Git server inside the cluster: what Argo CD reads, where the working tree is pushed. */
import {
  application,
  type Cluster,
  debianBase,
  type GitRemote,
  HOLDFAST_NAMESPACE,
  type ImageSpec,
  OWN_REFS,
  type Part,
  type Pushed,
  readManifest,
  renderedSource,
  withDigests,
} from '#core'
import { Failure } from '#kit/errors'
import { root } from '#kit/paths'
import { readSecret, secret } from '#kit/secret'
import { pending, ready, waitFor } from '#kit/wait'
import { openBranches } from './branches.ts'
import { type Credential, writeCredential } from './credential.ts'
import type { Remote } from './remote.ts'
import { pushSnapshot, snapshotWorkingTree } from './snapshot.ts'

const NAMESPACE = 'git'
const REPOSITORY = 'platform.git'
const ANSWER_TIMEOUT_MS = 90_000
const MANIFEST = 'local/git-server/manifest.yaml'
/** What the server checks a push against; the password itself is only in our own namespace. */
const SERVER_SECRET = { apiVersion: 'v1', kind: 'Secret', name: 'git-write', namespace: NAMESPACE }
const OPERATOR_SECRET = { apiVersion: 'v1', kind: 'Secret', name: 'git-operator', namespace: HOLDFAST_NAMESPACE }

const gitImage: ImageSpec = {
  name: 'holdfast/git-server',
  tag: '1',
  build: { context: 'local/git-server/image', files: ['entrypoint.sh', 'gitconfig', 'lighttpd.conf'], base: debianBase },
}

export const gitServer: Part = {
  name: 'git',
  only: 'k3s',
  namespaces: [{ name: NAMESPACE, podSecurity: 'restricted', quota: { pods: '4', 'limits.memory': '1Gi', persistentvolumeclaims: '2' } }],
  images: [gitImage],
  bootstraps: true,
  // Its namespace is made with its quota, as every namespace of the stack.
  rendered: async (target) =>
    (await readManifest(MANIFEST)).filter(({ kind }) => kind !== 'Namespace').map((object) => withDigests(object, target)),
  applications: (target) => [application({ name: 'git', namespace: NAMESPACE, sources: [renderedSource('git', target)] })],
  prepare,
  scenarios: [],
}

/** The remote in the cluster, opened from this machine. */
export async function openGit(cluster: Cluster, signal: AbortSignal): Promise<GitRemote> {
  await untilAnswering(cluster, signal)
  const remote: Remote = { url: `${cluster.address('git')}/${REPOSITORY}`, credential: await operatorCredential(cluster) }
  const url = `http://git.${NAMESPACE}.svc.cluster.local/${REPOSITORY}`
  return openBranches(remote, { url, refs: OWN_REFS, pushSource: (ref) => pushWorkingTree(remote, ref, signal), signal })
}

async function pushWorkingTree(remote: Remote, ref: string, signal: AbortSignal): Promise<Pushed> {
  await using snapshot = await snapshotWorkingTree(root, { signal })
  const outcome = await pushSnapshot(snapshot, remote, { ref, signal })
  return { sha: snapshot.sha, changed: outcome === 'pushed' }
}

const LOOK_TIMEOUT_MS = 2_000

/** After a restart of the node its pod takes some seconds. */
async function untilAnswering(cluster: Cluster, signal: AbortSignal): Promise<void> {
  const look = async () => {
    // One that was sent to a pod that just ended is never answered.
    const { status } = await cluster.fetch('git', '/healthz', { signal: AbortSignal.any([signal, AbortSignal.timeout(LOOK_TIMEOUT_MS)]) })
    return status === 200 ? ready(undefined) : pending(`HTTP ${status}`)
  }
  await waitFor('the Git server to answer', look, { timeoutMs: ANSWER_TIMEOUT_MS, everyMs: 200, signal })
}

/** Makes the credential once; a cluster that has one keeps it. */
async function prepare({ kube }: Cluster): Promise<void> {
  if ((await kube.get(OPERATOR_SECRET)) !== undefined && (await kube.get(SERVER_SECRET)) !== undefined) return
  const { user, password, htpasswd } = writeCredential()
  await kube.apply(secret(SERVER_SECRET, { htpasswd }))
  await kube.apply(secret(OPERATOR_SECRET, { user, password }))
}

async function operatorCredential({ kube }: Cluster): Promise<Pick<Credential, 'user' | 'password'>> {
  const found = await kube.get(OPERATOR_SECRET)
  if (found === undefined)
    throw new Failure({
      what: 'Cannot push to the Git server',
      why: `the Secret '${OPERATOR_SECRET.name}' is not in the cluster`,
      next: 'Run npm run local:up',
    })
  return { user: readSecret(found, 'user') ?? '', password: readSecret(found, 'password') ?? '' }
}
