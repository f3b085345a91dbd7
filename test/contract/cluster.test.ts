/** What every cluster must give, whatever stands behind it: the same file for k3s, the built node and EKS. */
import { stat } from 'node:fs/promises'
import { parse } from 'yaml'
import type { Cluster } from '#core'
import { type ContainerInfo, inspect } from '#kit/docker'
import type { KubeObject } from '#kit/kube'
import { pending, ready, terminal, waitFor } from '#kit/wait'
import { runningCluster } from '../live/stack.ts'
import { assert, suite } from '../suite.ts'

const NAMESPACE = 'holdfast'
const MINOR = '36'
const POD_TIMEOUT_MS = 90_000
const test = suite('cluster contract')

let cluster: Cluster
test.before(async () => {
  cluster = await runningCluster()
})

test('the kubeconfig is a file of ours that only its owner reads', async () => {
  const { mode } = await stat(cluster.kubeconfig)
  assert.is((mode & 0o777).toString(8), '600')
})

test(`the API server and every node are of Kubernetes 1.${MINOR}`, async () => {
  const version = (await cluster.kube.request('GET', '/version')) as { minor: string; gitVersion: string }
  assert.match(version.gitVersion, new RegExp(`^v1\\.${MINOR}\\.`))
  const nodes = await cluster.kube.list({ apiVersion: 'v1', kind: 'Node' })
  assert.ok(nodes.length > 0)
  for (const node of nodes) assert.match(node.status.nodeInfo.kubeletVersion, new RegExp(`^v1\\.${MINOR}\\.`))
})

test('there is one default StorageClass', async () => {
  const classes = await cluster.kube.list({ apiVersion: 'storage.k8s.io/v1', kind: 'StorageClass' })
  const defaults = classes.filter(({ metadata }) => metadata.annotations?.['storageclass.kubernetes.io/is-default-class'] === 'true')
  assert.is(defaults.length, 1)
})

test(
  'a pod pulls by digest, resolves names, reaches the API, keeps a volume as uid 10001, and its log can be read',
  async ({ signal }) => {
    const log = await runPod('contract-pod', { script: POD_SCRIPT, signal })
    assert.equal(JSON.parse(log), { resolved: true, api: true, written: 'kept', uid: 10001 })
  },
  { timeoutMs: POD_TIMEOUT_MS },
)

test(
  'a packet for a Service address that nobody has is refused on the node and does not leave it',
  async ({ signal }) => {
    const log = await runPod('contract-refused', { script: REFUSED_SCRIPT, signal })
    const { code, ms } = JSON.parse(log) as { code: string; ms: number }
    assert.is(code, 'ECONNREFUSED')
    assert.ok(ms < 1000, `refused after ${ms} ms`)
  },
  { timeoutMs: POD_TIMEOUT_MS },
)

test('a published service answers on this machine', async () => {
  const response = await cluster.fetch('service', '/health')
  assert.is(response.status, 200)
})

test('nothing is public: what is published is bound to 127.0.0.1, or is no node’s port and no load balancer', async () => {
  if (cluster.kind !== 'k3s') return assertNothingPublic()
  const bindings = (await nodeContainers()).flatMap(({ HostConfig }) =>
    Object.values(HostConfig.PortBindings ?? {}).flatMap((all) => all ?? []),
  )
  assert.ok(bindings.length > 0)
  assert.equal([...new Set(bindings.map(({ HostIp }) => HostIp))], ['127.0.0.1'])
})

test('no node is tied to the life of the command that started it', async () => {
  if (cluster.kind !== 'k3s') return assert.is(cluster.machines, undefined) // AWS runs them
  for (const { Name, Config } of await nodeContainers()) {
    const labels = Object.keys(Config.Labels)
    assert.ok(labels.length > 0)
    assert.not.ok(labels.includes('org.testcontainers.session-id'), `the reaper’s session label is on ${Name}`)
  }
})

test(
  'a tool finds the registry where it looks for one, and what is named by it is pulled from it',
  async ({ signal }) => {
    const hosting = { apiVersion: 'v1', kind: 'ConfigMap', name: 'local-registry-hosting', namespace: 'kube-public' }
    const found = await cluster.kube.get(hosting)
    if (cluster.kind !== 'k3s') return assert.is(found, undefined) // images go to ECR, which asks who pushes
    const { host } = parse(found?.data['localRegistryHosting.v1']) as { host: string }
    assert.is(host, cluster.registry)
    const image = (await serviceImage()).replace(/^[^/]+/, host)
    assert.is((await runPod('contract-pushed', { script: "console.log('ran')", image, signal })).trim(), 'ran')
  },
  { timeoutMs: POD_TIMEOUT_MS },
)

async function assertNothingPublic(): Promise<void> {
  const services = await cluster.kube.list({ apiVersion: 'v1', kind: 'Service' })
  assert.ok(services.length > 0)
  assert.equal(
    services.filter(({ spec }) => spec.type !== 'ClusterIP').map(({ metadata }) => `${metadata.namespace}/${metadata.name}`),
    [],
  )
}

async function nodeContainers(): Promise<ContainerInfo[]> {
  const nodes = await cluster.kube.list({ apiVersion: 'v1', kind: 'Node' })
  const found = await Promise.all(nodes.map(({ metadata }) => inspect<ContainerInfo>('container', metadata.name)))
  assert.ok(found.length > 0)
  return found.filter((each) => each !== undefined)
}

const POD_SCRIPT = `
const dns = require('node:dns/promises'), fs = require('node:fs'), net = require('node:net')
const api = () => new Promise((done) => { const s = net.connect(443, 'kubernetes.default.svc', () => { s.destroy(); done(true) }); s.on('error', () => done(false)) })
;(async () => {
  const { address } = await dns.lookup('kubernetes.default.svc.cluster.local')
  fs.writeFileSync('/data/file', 'kept')
  console.log(JSON.stringify({ resolved: address.length > 0, api: await api(), written: fs.readFileSync('/data/file', 'utf8'), uid: process.getuid() }))
})()`

/** The last address of the Service range: no Service has it. */
const REFUSED_SCRIPT = `
const started = Date.now()
const socket = require('node:net').connect({ host: '10.43.255.254', port: 80, timeout: 5000 })
const end = (code) => { console.log(JSON.stringify({ code, ms: Date.now() - started })); process.exit(0) }
socket.on('connect', () => end('connected')).on('error', (error) => end(error.code)).on('timeout', () => end('timeout'))`

/** Runs a script in a pod with a volume and the restricted security level. @returns its log. */
async function runPod(name: string, { script, image, signal }: { script: string; image?: string; signal: AbortSignal }): Promise<string> {
  const { kube } = cluster
  const claim = { apiVersion: 'v1', kind: 'PersistentVolumeClaim', name, namespace: NAMESPACE }
  const pod = { apiVersion: 'v1', kind: 'Pod', name, namespace: NAMESPACE }
  await removePod()
  try {
    await kube.create(claimObject(name))
    await kube.create(podObject(name, { script, image: image ?? (await serviceImage()) }))
    const look = async () => {
      const phase = (await kube.get(pod))?.status?.phase
      if (phase === 'Failed') return terminal(`the pod failed: ${await logOf(name)}`)
      return phase === 'Succeeded' ? ready(undefined) : pending(String(phase))
    }
    await waitFor(`pod ${name} to succeed`, look, { timeoutMs: POD_TIMEOUT_MS - 15_000, signal })
    return await logOf(name)
  } finally {
    await removePod()
  }

  async function removePod(): Promise<void> {
    await kube.delete(pod)
    await kube.delete(claim)
    const gone = async () => (((await kube.get(pod)) ?? (await kube.get(claim))) ? pending('still there') : ready(undefined))
    await waitFor(`pod ${name} to be gone`, gone, { timeoutMs: 60_000 })
  }
}

async function logOf(name: string): Promise<string> {
  return (await cluster.kube.request('GET', `/api/v1/namespaces/${NAMESPACE}/pods/${name}/log`)) as string
}

/** The image that the service runs: it is in the registry, and it has a Node. */
async function serviceImage(): Promise<string> {
  const deployment = await cluster.kube.get({ apiVersion: 'apps/v1', kind: 'Deployment', name: 'service', namespace: 'dev' })
  return deployment?.spec.template.spec.containers[0].image
}

function claimObject(name: string): KubeObject {
  const spec = { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Mi' } } }
  return { apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name, namespace: NAMESPACE }, spec }
}

function podObject(name: string, { script, image }: { script: string; image: string }): KubeObject {
  const spec = {
    restartPolicy: 'Never',
    automountServiceAccountToken: false,
    securityContext: { runAsNonRoot: true, runAsUser: 10001, fsGroup: 10001, seccompProfile: { type: 'RuntimeDefault' } },
    containers: [
      {
        name: 'script',
        image,
        command: ['node', '-e', script],
        securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
        volumeMounts: [{ name: 'data', mountPath: '/data' }],
      },
    ],
    volumes: [{ name: 'data', persistentVolumeClaim: { claimName: name } }],
  }
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: NAMESPACE }, spec }
}

test.run()
