/** Nodes beside the first: what they are called, what they join with, how they are emptied, and what an undo does about them. */
import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parse } from 'yaml'
import { type Cluster, checkNeeds, drain, type Eviction, type Scenario, settle, type UndoStep } from '#core'
import { Failure, UserError } from '#kit/errors'
import { type Kube, KubeError, type KubeObject, type ListRef, type ObjectRef } from '#kit/kube'
import { makeJoinToken } from '../../local/join.ts'
import { agentName, agentVolumeNames, containerName, volumeNames } from '../../local/node-config.ts'
import { HoldfastAgent } from '../../local/node-container.ts'
import { REGISTRY_IN_CLUSTER, registryHosting, registryService } from '../../local/registry/hosting.ts'
import { assert, suite } from '../suite.ts'

const test = suite('nodes')

// ── Draining ────────────────────────────────────────────────────────────────────────────────────────────────────────

const pod = (name: string, node = 'n2', ownerKind = 'ReplicaSet'): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'dev', ownerReferences: [{ kind: ownerKind }] },
  spec: { nodeName: node },
})

interface FakeNode {
  readonly kube: Kube
  readonly evicted: string[]
  readonly patches: object[]
}

/** @param answers to the evictions of a pod, one after the other: a status to refuse with, or 201 to take it away. @default all go at once */
function nodeWith(pods: readonly KubeObject[], answers: Readonly<Record<string, number[]>> = {}): FakeNode {
  const left = new Map(pods.map((each) => [each.metadata.name, each]))
  const [evicted, patches]: [string[], object[]] = [[], []]
  const kube = {
    list: async (_ref: ListRef) => [...left.values()],
    mergePatch: async (_ref: ObjectRef, patch: object) => void patches.push(patch),
    async request(_method: string, path: string) {
      const name = /\/pods\/(.+)\/eviction$/.exec(path)?.[1] ?? ''
      const status = answers[name]?.shift() ?? 201
      if (status !== 201) throw new KubeError('evict', status, 'no')
      evicted.push(name)
      left.delete(name)
    },
  } as unknown as Kube
  return { kube, evicted, patches }
}

const options = (signal: AbortSignal) => ({ timeoutMs: 5_000, signal })

test('drain() cordons the node first and evicts what is on it, whether or not somebody listens', async ({ signal }) => {
  const { kube, evicted, patches } = nodeWith([pod('a'), pod('b'), pod('elsewhere', 'n1')])
  await drain(kube, 'n2', options(signal))
  assert.equal(evicted, ['a', 'b'])
  assert.equal(patches, [{ spec: { unschedulable: true } }])
})

test('drain() leaves what every node has, and what is the kubelet’s own', async ({ signal }) => {
  const { kube, evicted } = nodeWith([pod('agent', 'n2', 'DaemonSet'), pod('static', 'n2', 'Node'), pod('a')])
  await drain(kube, 'n2', options(signal))
  assert.equal(evicted, ['a'])
})

test('drain() asks again where a disruption budget holds a pod back, and tells each answer', async ({ signal }) => {
  const told: Eviction[] = []
  const { kube } = nodeWith([pod('a'), pod('b')], { b: [429] })
  await drain(kube, 'n2', { ...options(signal), onAnswer: (eviction) => told.push(eviction) })
  assert.equal(
    told.map(({ pod: name, status }) => `${name} ${status}`),
    ['a 201', 'b 429', 'b 201'],
  )
})

test('drain() names the pods that stay', async ({ signal }) => {
  const { kube } = nodeWith([pod('a')], { a: Array.from({ length: 99 }, () => 429) })
  const stuck = drain(kube, 'n2', { timeoutMs: 50, signal })
  await assert.rejects(stuck, /for the pods to leave n2: last seen: dev\/a$/)
  await stuck.catch((thrown) => assert.instance(thrown, Failure))
})

test('drain() takes no other refusal for an answer', async ({ signal }) => {
  const { kube } = nodeWith([pod('a')], { a: Array.from({ length: 99 }, () => 403) })
  await assert.rejects(drain(kube, 'n2', { timeoutMs: 50, signal }), /last seen: error: Cannot evict: no \(HTTP 403\)/)
})

// ── Joining ─────────────────────────────────────────────────────────────────────────────────────────────────────────

const AUTHORITY = '-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n'

async function withKubeconfig(content: string, work: (path: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-join-'))
  try {
    const path = join(folder, 'kubeconfig')
    await writeFile(path, content)
    await work(path)
  } finally {
    await rm(folder, { recursive: true })
  }
}

test('a join token names the cluster by its authority, is good for joining only, runs out, and is taken back', async () => {
  const [created, deleted]: [KubeObject[], ObjectRef[]] = [[], []]
  const kube = {
    create: async (object: KubeObject) => void created.push(object),
    delete: async (ref: ObjectRef) => void deleted.push(ref),
  } as unknown as Kube
  await withKubeconfig(`certificate-authority-data: ${Buffer.from(AUTHORITY).toString('base64')}\n`, async (path) => {
    const token = await makeJoinToken(kube, path)
    const [, hash, id, secret] = /^K10([0-9a-f]{64})::([a-z0-9]{6})\.([a-z0-9]{16})$/.exec(token.text) ?? []
    assert.is(hash, createHash('sha256').update(AUTHORITY).digest('hex'))
    const { metadata, type, stringData } = created[0] ?? pod('none')
    assert.is(type, 'bootstrap.kubernetes.io/token')
    assert.is(metadata.name, `bootstrap-token-${id}`)
    assert.is(stringData['token-secret'], secret)
    assert.equal(
      Object.keys(stringData).filter((key) => key.startsWith('usage-')),
      ['usage-bootstrap-authentication'],
    )
    const leftMs = Date.parse(stringData.expiration) - Date.now()
    assert.ok(leftMs > 60_000 && leftMs <= 10 * 60_000, `${leftMs} ms`)
    await token[Symbol.asyncDispose]()
    assert.equal(
      deleted.map(({ name }) => name),
      [metadata.name],
    )
  })
})

test('without an authority nobody can be let in', async () => {
  await withKubeconfig('clusters: []\n', async (path) => {
    await assert.rejects(makeJoinToken({ create: async () => {} } as unknown as Kube, path), /names no certificate authority/)
  })
})

test('no cluster’s containers and volumes have the name of another one’s node', () => {
  const agent = agentName('local', 2)
  assert.is(agent, 'holdfast-local.2')
  assert.not.match(agent.replace('holdfast-', ''), /^[a-z]([a-z0-9-]{0,18}[a-z0-9])?$/)
  assert.is(containerName('local'), 'holdfast-local')
  const all = [...volumeNames('local'), ...agentVolumeNames(agent), ...volumeNames('local-2')]
  assert.is(new Set(all).size, all.length)
})

test('an agent’s container publishes nothing and is not tied to the command that starts it', () => {
  const config = { image: 'x', args: ['agent'], ports: [], privileges: 'capabilities' } as const
  const agent = new HoldfastAgent(
    'holdfast-x.2',
    { cluster: 'x', config, nameservers: [], files: [], mirrors: [] },
    'token',
  ) as unknown as {
    readonly hostConfig: { readonly PortBindings?: object; readonly Binds: string[]; readonly Privileged: boolean }
    readonly autoCleanup: boolean
    readonly contentsToCopy: { readonly target: string; readonly mode: number }[]
  }
  assert.is(agent.autoCleanup, false)
  assert.equal(agent.hostConfig.PortBindings ?? {}, {})
  assert.is(agent.hostConfig.Privileged, false)
  assert.is(agent.hostConfig.Binds.length, 5)
  assert.is(agent.contentsToCopy.find(({ target }) => target.endsWith('join-token'))?.mode, 0o600)
})

test('a node asks our registry for what is named by it, as for what is named by upstream’s', () => {
  const spec = { cluster: 'x', nameservers: [], files: [], mirrors: ['other:1'] }
  const hostsOf = (registry: object) => {
    const config = { image: 'x', args: [], ports: [], privileges: 'capabilities', ...registry } as const
    const agent = new HoldfastAgent('holdfast-x.2', { ...spec, config }, 'token') as unknown as {
      readonly contentsToCopy: { readonly target: string; readonly content: string }[]
    }
    const file = agent.contentsToCopy.find(({ target }) => target.endsWith('registries.yaml'))
    return Object.entries(JSON.parse(file?.content ?? '{}').mirrors as Record<string, { endpoint: string[] }>)
  }
  const hosts = hostsOf({ registry: '127.0.0.1:16430' })
  assert.ok(hosts.some(([host]) => host === 'quay.io'))
  assert.equal(
    hosts.slice(-2).map(([host]) => host),
    ['other:1', '127.0.0.1:16430'],
  )
  for (const [host, { endpoint }] of hosts) assert.equal(endpoint, ['http://registry:5000'], host)
  assert.equal(hostsOf({}).length, hosts.length - 1, 'a node of before')
})

test('the registry is named in the form that tools read', () => {
  const { metadata, data } = registryHosting('127.0.0.1:16430')
  assert.equal([metadata.namespace, metadata.name], ['kube-public', 'local-registry-hosting'])
  assert.equal(parse(data['localRegistryHosting.v1']), { host: '127.0.0.1:16430' })
})

test('pods reach it by a name that ends in .local, which tools ask by HTTP; nothing selects who answers', () => {
  const [service, slice] = registryService('172.20.0.3')
  const { name, namespace } = service?.metadata ?? { name: '' }
  assert.is(REGISTRY_IN_CLUSTER, `${name}.${namespace}.svc.cluster.local:5000`)
  assert.equal([service?.spec.clusterIP, service?.spec.selector], ['None', undefined])
  assert.equal([slice?.metadata.labels?.['kubernetes.io/service-name'], slice?.endpoints[0].addresses], [name, ['172.20.0.3']])
  assert.equal(slice?.ports, service?.spec.ports)
})

// ── Scenarios ───────────────────────────────────────────────────────────────────────────────────────────────────────

const CAN = { tuneControlPlane: true, restartNode: true, secondNode: false, networkPolicy: false, apiServerProcess: true }

test('a scenario that needs what the cluster lacks is refused, with the next step', () => {
  const cluster = { name: 'local', can: CAN } as unknown as Cluster
  const needing = (needs: Scenario['needs']) => [{ name: 'node-lost', needs } as Scenario]
  checkNeeds(cluster, needing(['restartNode', 'apiServerProcess']))
  try {
    checkNeeds(cluster, needing(['restartNode', 'secondNode']))
    assert.unreachable()
  } catch (thrown) {
    assert.instance(thrown, UserError)
    assert.is((thrown as Error).message, "Cannot run 'node-lost' on 'local': it has one node. Run npm run local:up -- --nodes 2")
  }
})

test('an undo starts a machine, and does nothing about one where none is ours', async ({ signal }) => {
  const started: string[] = []
  const undo: UndoStep[] = [{ op: 'start-machine', node: 'n2' }]
  const kube = { get: async () => ({ data: { undo: JSON.stringify(undo) } }), delete: async () => true } as unknown as Kube
  const undoer = (machines: object) => ({
    cluster: { kube, ...machines } as unknown as Cluster,
    signal,
    git: async () => assert.unreachable(),
  })
  await settle(undoer({ machines: { start: async (node: string) => void started.push(node) } }) as never, 'entry')
  assert.equal(started, ['n2'])
  await settle(undoer({}) as never, 'entry')
})

test.run()
