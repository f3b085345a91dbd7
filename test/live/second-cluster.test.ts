/**
 * A second cluster beside the first: its own ports and volumes, alive without its starter, after restarts, and with another node. It is
 * made as where a company opens TLS.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Cluster } from '#core'
import { CLUSTER_LABEL, type ContainerInfo, docker, inspect, listByLabel } from '#kit/docker'
import { exec } from '#kit/exec'
import { Images } from '#kit/images'
import type { KubeObject, ObjectRef } from '#kit/kube'
import { root } from '#kit/paths'
import { createProgress } from '#kit/progress'
import { type TemporaryFolder, temporaryFolder } from '#kit/temporary'
import { pending, ready, terminal, waitFor } from '#kit/wait'
import { imageStore, stack } from '../../holdfast.config.ts'
import { REGISTRY_CONTAINER } from '../../local/registry/registry.ts'
import { assert, suite } from '../suite.ts'
import { giveAnotherAddress } from './another-address.ts'
import { clusterName } from './stack.ts'
import { makeCertificate, startTlsRegistry } from './tls-registry.ts'

const NAME = 'holdfast-test'
const PORTS_FROM = 27_440
const OUTLIVE_MS = 60_000
const LAID = { apiVersion: 'v1', kind: 'ConfigMap', name: 'laid', namespace: 'default' }
const CONTAINER = `holdfast-${NAME}`
const AGENT = `${CONTAINER}.2`
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

/** Two registries, each with a certificate of its own; the cluster was told of the first one's. */
const [KNOWN, UNKNOWN] = ['known.test', 'unknown.test']

let cluster: Cluster
let certificates: TemporaryFolder
let startedAt = 0

test.before(
  async () => {
    await remove()
    certificates = await temporaryFolder('tls')
    const env = { NODE_EXTRA_CA_CERTS: await certificateOf(KNOWN) }
    await exec(process.execPath, ['--input-type=module', '--eval', STARTER], { cwd: root, env, timeoutMs: 120_000 })
    startedAt = Date.now()
    const found = await stack.clusters.local.find(NAME)
    if (found === undefined) throw new Error('the second cluster does not run')
    cluster = found
  },
  { timeoutMs: 150_000 },
)

test.after(
  async () => {
    await remove()
    await certificates[Symbol.asyncDispose]()
  },
  { timeoutMs: 60_000 },
)

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
  'its node pulls past our registry where it knows who vouches, and says x509 where it does not',
  async ({ signal }) => {
    await certificateOf(UNKNOWN)
    for (const host of [KNOWN, UNKNOWN]) {
      await using _registry = await startTlsRegistry({ cluster: NAME, host, folder: join(certificates.path, host) })
      const pod = { apiVersion: 'v1', kind: 'Pod', name: 'puller', namespace: 'default' }
      const image = (await serviceImage()).replace(/^[^/]+/, `${host}:5000`)
      await cluster.kube.create(podObject(pod.name, { node: CONTAINER, image, script: '' }))
      try {
        if (host === KNOWN) await untilPhase(pod, 'Succeeded', signal)
        else assert.match(await untilRefused(pod, signal), /x509: certificate signed by unknown authority/)
      } finally {
        await cluster.kube.delete(pod)
        await untilGone([pod])
      }
    }
  },
  { timeoutMs: 180_000 },
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
  'the registry starts again though a network of its own was taken away while it rested',
  async ({ signal }) => {
    const [network, progress] = ['holdfast-test-gone', createProgress()]
    await docker(['network', 'create', network])
    await docker(['network', 'connect', network, REGISTRY_CONTAINER])
    await docker(['stop', REGISTRY_CONTAINER])
    await docker(['network', 'rm', network])
    const address = await imageStore({ images: new Images({ progress, signal }), progress, signal })
    assert.ok((await fetch(`http://${address}/v2/`)).ok)
  },
  { timeoutMs: 60_000 },
)

test(
  'a new address after a restart is survived',
  async ({ signal }) => {
    const before = await namespaceUid()
    await using _other = await giveAnotherAddress({ cluster: NAME, container: CONTAINER })
    await untilReady(signal)
    assert.is(await namespaceUid(), before)
  },
  { timeoutMs: 120_000 },
)

test(
  'another node joins, and pods on both see each other by their own addresses, also after it got another one',
  async ({ signal }) => {
    await bringUp(2, signal)
    assert.equal((await nodeNames()).toSorted(), [CONTAINER, AGENT])
    assert.equal(await publishedBy(AGENT), [])
    assert.equal(await tokens(), [])
    await assertReachable(signal)
    await using _other = await giveAnotherAddress({ cluster: NAME, container: AGENT })
    await cluster.machines?.start(AGENT) // it is; its node is waited for
    await assertReachable(signal)
  },
  { timeoutMs: 180_000 },
)

test(
  'with one node again, the other is gone with all that was its own',
  async ({ signal }) => {
    await bringUp(1, signal)
    assert.equal(await nodeNames(), [CONTAINER])
    assert.equal(await listByLabel('container', `${CLUSTER_LABEL}=${NAME}`), [CONTAINER])
    assert.is((await listByLabel('volume', `${CLUSTER_LABEL}=${NAME}`)).length, 4)
  },
  { timeoutMs: 120_000 },
)

async function bringUp(nodes: number, signal: AbortSignal): Promise<void> {
  using progress = createProgress()
  cluster = await stack.clusters.local.up({ name: NAME, nodes, images: new Images({ progress, signal }), progress, signal })
}

async function nodeNames(): Promise<string[]> {
  return (await cluster.kube.list({ apiVersion: 'v1', kind: 'Node' })).map(({ metadata }) => metadata.name)
}

async function publishedBy(container: string): Promise<string[]> {
  return Object.keys((await inspect<ContainerInfo>('container', container))?.HostConfig.PortBindings ?? {})
}

/** What nodes join with. */
async function tokens(): Promise<string[]> {
  const secrets = await cluster.kube.list({ apiVersion: 'v1', kind: 'Secret', namespace: 'kube-system' })
  return secrets.filter(({ type }) => type === 'bootstrap.kubernetes.io/token').map(({ metadata }) => metadata.name)
}

const LISTENER = `require('node:http').createServer((request, response) => response.end(request.socket.remoteAddress)).listen(8080)`
/** The listener may need a moment more. */
const ASKER = `
const { setTimeout: sleep } = require('node:timers/promises')
const ask = (left) => fetch('http://' + process.env.LISTENER + ':8080').catch((error) => { if (left === 0) throw error; return sleep(250).then(() => ask(left - 1)) })
ask(20).then((response) => response.text()).then((seen) => console.log(JSON.stringify({ seen: seen.replace('::ffff:', ''), own: process.env.OWN })))`

/** From a pod on the server's node to one on the other. */
async function assertReachable(signal: AbortSignal): Promise<void> {
  const listener = { apiVersion: 'v1', kind: 'Pod', name: 'listener', namespace: 'default' }
  const asker = { ...listener, name: 'asker' }
  const image = await serviceImage()
  try {
    await cluster.kube.create(podObject(listener.name, { node: AGENT, image, script: LISTENER }))
    const address = await untilPhase(listener, 'Running', signal)
    await cluster.kube.create(podObject(asker.name, { node: CONTAINER, image, script: ASKER, env: [{ name: 'LISTENER', value: address }] }))
    await untilPhase(asker, 'Succeeded', signal)
    const log = (await cluster.kube.request('GET', '/api/v1/namespaces/default/pods/asker/log')) as string
    const { seen, own } = JSON.parse(log) as { seen: string; own: string }
    assert.is(seen, own)
    // Through the API server, which asks the other node's kubelet.
    assert.is(await cluster.kube.request('GET', '/api/v1/namespaces/default/pods/listener/log'), '')
  } finally {
    for (const ref of [listener, asker]) await cluster.kube.delete(ref)
    await untilGone([listener, asker])
  }
}

async function untilGone(pods: readonly ObjectRef[]): Promise<void> {
  const look = async () => {
    const left = (await Promise.all(pods.map((pod) => cluster.kube.get(pod)))).filter((pod) => pod !== undefined)
    return left.length > 0 ? pending('still there') : ready(undefined)
  }
  await waitFor(`${pods.map(({ name }) => name).join(' and ')} to be gone`, look, { timeoutMs: 45_000 })
}

/** @returns why its image is not pulled. */
async function untilRefused(pod: ObjectRef, signal: AbortSignal): Promise<string> {
  const look = async () => {
    const status = (await cluster.kube.get(pod))?.status
    const { waiting } = status?.containerStatuses?.[0]?.state ?? {}
    return waiting?.reason === 'ErrImagePull' ? ready(String(waiting.message)) : pending(String(waiting?.reason ?? status?.phase))
  }
  return waitFor(`the image of pod ${pod.name} to be refused`, look, { timeoutMs: 45_000, everyMs: 100, signal })
}

async function certificateOf(host: string): Promise<string> {
  const folder = join(certificates.path, host)
  await mkdir(folder)
  return makeCertificate(folder, host)
}

/** The image that the first cluster's service runs: it is in the registry, and it has a Node. */
async function serviceImage(): Promise<string> {
  const first = await stack.clusters.local.find(clusterName)
  const deployment = await first?.kube.get({ apiVersion: 'apps/v1', kind: 'Deployment', name: 'service', namespace: 'dev' })
  return deployment?.spec.template.spec.containers[0].image
}

interface Script {
  readonly node: string
  readonly image: string
  readonly script: string
  readonly env?: readonly object[]
}

function podObject(name: string, { node, image, script, env = [] }: Script): KubeObject {
  const own = { name: 'OWN', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } }
  const container = { name, image, command: ['node', '-e', script], env: [own, ...env] }
  const spec = { nodeName: node, restartPolicy: 'Never', terminationGracePeriodSeconds: 1, containers: [container] }
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: 'default' }, spec }
}

/** @returns the pod's address. */
async function untilPhase(ref: ObjectRef, phase: string, signal: AbortSignal): Promise<string> {
  const look = async () => {
    const status = (await cluster.kube.get(ref))?.status
    if (status?.phase === 'Failed') return terminal('it failed')
    return status?.phase === phase && status.podIP !== undefined ? ready(status.podIP as string) : pending(String(status?.phase))
  }
  return waitFor(`pod ${ref.name} to be ${phase}`, look, { timeoutMs: 45_000, everyMs: 200, signal })
}

async function remove(): Promise<void> {
  using progress = createProgress()
  await stack.clusters.local.down({ name: NAME, all: false, progress })
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

test.run()
