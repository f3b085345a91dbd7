/** A second cluster beside the first: its own ports and volumes, alive without its starter, alive after restarts. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Cluster } from '#core'
import { CLUSTER_LABEL, type ContainerInfo, docker, inspect, listByLabel } from '#kit/docker'
import { exec } from '#kit/exec'
import { root } from '#kit/paths'
import { createProgress } from '#kit/progress'
import { pending, ready, waitFor } from '#kit/wait'
import { stack } from '../../holdfast.config.ts'
import { assert, suite } from '../suite.ts'
import { clusterName } from './stack.ts'

const NAME = 'holdfast-test'
const PORTS_FROM = 27_440
const OUTLIVE_MS = 60_000
const LAID = { apiVersion: 'v1', kind: 'ConfigMap', name: 'laid', namespace: 'default' }
const CONTAINER = `holdfast-${NAME}`
const test = suite('second cluster')

/** Run in a process of its own, which then ends. */
const STARTER = `
import { stack } from './holdfast.config.ts'
import { Images } from '#kit/images'
import { createProgress } from '#kit/progress'
const progress = createProgress(), signal = new AbortController().signal
const request = { name: '${NAME}', portsFrom: ${PORTS_FROM}, images: new Images({ progress, signal }), progress, signal }
await stack.clusters.local.prepare(request)
await stack.clusters.local.up(request)
process.exit(0)`

let cluster: Cluster
let startedAt = 0

test.before(
  async () => {
    await remove()
    await exec(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', STARTER], { cwd: root, timeoutMs: 120_000 })
    startedAt = Date.now()
    const found = await stack.clusters.local.find(NAME)
    if (found === undefined) throw new Error('the second cluster does not run')
    cluster = found
  },
  { timeoutMs: 150_000 },
)

test.after(remove, { timeoutMs: 60_000 })

test('it has ports and volumes of its own, and the first still answers', async () => {
  assert.match(cluster.address('git'), new RegExp(`:${PORTS_FROM + 1}$`))
  assert.is((await listByLabel('volume', `${CLUSTER_LABEL}=${NAME}`)).length, 4)
  const first = await stack.clusters.local.find(clusterName)
  assert.is(await first?.kube.request('GET', '/readyz'), 'ok')
})

test(
  'it answers a minute after the process that started it has ended',
  async ({ signal }) => {
    const old = async () => (Date.now() - startedAt > OUTLIVE_MS ? ready(undefined) : pending(`${Date.now() - startedAt} ms`))
    await waitFor('the starter to be gone for a minute', old, { timeoutMs: OUTLIVE_MS + 5_000, everyMs: 1_000, signal })
    assert.is(await cluster.kube.request('GET', '/readyz'), 'ok')
  },
  { timeoutMs: OUTLIVE_MS + 15_000 },
)

test(
  'a restart of the container keeps its data, its port and its credentials, and applies a manifest that was laid into it',
  async ({ signal }) => {
    const before = await namespaceUid()
    await layManifest()
    await docker(['restart', '--time', '20', CONTAINER])
    await untilReady(signal)
    assert.is(await namespaceUid(), before)
    const applied = async () => ((await cluster.kube.get(LAID)) === undefined ? pending('not there') : ready(undefined))
    await waitFor('the manifest to be applied', applied, { timeoutMs: 30_000, signal })
  },
  { timeoutMs: 120_000 },
)

test(
  'a new address after a restart is survived',
  async ({ signal }) => {
    const before = await namespaceUid()
    const old = await address()
    await docker(['stop', '--time', '20', CONTAINER])
    await withAddressTaken(old, async () => {
      await docker(['start', CONTAINER])
      await untilReady(signal)
      assert.is.not(await address(), old)
      assert.is(await namespaceUid(), before)
    })
  },
  { timeoutMs: 120_000 },
)

async function remove(): Promise<void> {
  using progress = createProgress()
  await stack.clusters.local.down({ name: NAME, all: false, progress, signal: new AbortController().signal })
  for (const type of ['container', 'volume', 'network'] as const) assert.equal(await listByLabel(type, `${CLUSTER_LABEL}=${NAME}`), [])
}

/** k3s applies what lies in this folder. */
async function layManifest(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-manifest-'))
  const { apiVersion, kind, name, namespace } = LAID
  await writeFile(join(folder, 'laid.yaml'), JSON.stringify({ apiVersion, kind, metadata: { name, namespace } }))
  await docker(['exec', CONTAINER, 'mkdir', '-p', '/var/lib/rancher/k3s/server/manifests'])
  await docker(['cp', join(folder, 'laid.yaml'), `${CONTAINER}:/var/lib/rancher/k3s/server/manifests/laid.yaml`])
  await rm(folder, { recursive: true })
}

async function namespaceUid(): Promise<string | undefined> {
  return (await cluster.kube.get({ apiVersion: 'v1', kind: 'Namespace', name: 'kube-system' }))?.metadata.uid
}

async function untilReady(signal: AbortSignal): Promise<void> {
  const look = async () => {
    const [node] = await cluster.kube.list({ apiVersion: 'v1', kind: 'Node' })
    const dns = await cluster.kube.get({ apiVersion: 'apps/v1', kind: 'Deployment', name: 'coredns', namespace: 'kube-system' })
    const condition = node?.status.conditions.find((each: { type: string }) => each.type === 'Ready')
    const seen = `node Ready ${condition?.status}, CoreDNS ${dns?.status?.readyReplicas ?? 0}`
    return seen === 'node Ready True, CoreDNS 1' ? ready(undefined) : pending(seen)
  }
  await waitFor('the second cluster to be ready again', look, { timeoutMs: 60_000, signal })
}

async function address(): Promise<string> {
  const node = await inspect<ContainerInfo>('container', CONTAINER)
  return node?.NetworkSettings.Networks[CONTAINER]?.IPAddress ?? ''
}

/** Gives the node's old address to another container, as happens when a machine restarts its containers in another order. */
async function withAddressTaken(taken: string, work: () => Promise<void>): Promise<void> {
  const { Image } = (await inspect<ContainerInfo>('container', 'holdfast-registry')) ?? { Image: '' }
  const squatter = `${CONTAINER}-squatter`
  await docker(['rm', '--force', squatter])
  const label = ['--label', `${CLUSTER_LABEL}=${NAME}`]
  await docker(['run', '--detach', '--name', squatter, ...label, '--network', CONTAINER, '--ip', taken, Image]).catch(async () => {
    // Only a network with a subnet of its own takes an address; else the first free one is the one that was freed.
    await docker(['rm', '--force', squatter])
    await docker(['run', '--detach', '--name', squatter, ...label, '--network', CONTAINER, Image])
  })
  try {
    await work()
  } finally {
    await docker(['rm', '--force', '--volumes', squatter])
  }
}

test.run()
