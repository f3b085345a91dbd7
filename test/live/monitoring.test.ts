/** Monitoring sees everything that it should, and neither it nor Git forgets anything when its pod is replaced. */
import { type Cluster, ENVIRONMENTS } from '#core'
import { type AskProm, promQuery, promSamples, promTargets } from '#kit/prom'
import { pending, ready, waitFor } from '#kit/wait'
import { stack } from '../../holdfast.config.ts'
import { assert, suite } from '../suite.ts'
import { replacePod, runningCluster } from './stack.ts'

/** A changed Secret reaches the pod that mounts it within 60 to 90 s, and monitors are in one. */
const TARGETS_TIMEOUT_MS = 120_000
const TEST_TIMEOUT_MS = 130_000
const test = suite('monitoring')

let cluster: Cluster
let ask: AskProm
test.before(async () => {
  cluster = await runningCluster()
  ask = (path, init) => cluster.fetch('prometheus', path, init)
})

/** How many targets each job must have. */
async function expectedTargets(): Promise<Readonly<Record<string, number>>> {
  const [nodes, pods, stateMetrics] = await Promise.all([
    cluster.kube.list({ apiVersion: 'v1', kind: 'Node' }),
    cluster.kube.list({ apiVersion: 'v1', kind: 'Pod', labelSelector: 'app.kubernetes.io/name=service' }),
    cluster.kube.get({ apiVersion: 'apps/v1', kind: 'Deployment', namespace: 'kube-state-metrics', name: 'kube-state-metrics' }),
  ])
  return {
    service: pods.filter(({ metadata }) => ENVIRONMENTS.some((each) => each === metadata.namespace)).length,
    apiserver: 1,
    kubelet: 3 * nodes.length, // its own, the containers' and the pods' resources
    'node-exporter': nodes.length,
    'kube-dns': 1,
    'argocd-metrics': 1,
    'argocd-repo-server': 1,
    'argo-rollouts-metrics': 1,
    prometheus: 1,
    'prometheus-operator': 1,
    alertmanager: 1,
    sink: 1,
    ...(cluster.brings.metricsServer ? {} : { 'metrics-server': 1 }),
    ...(stateMetrics === undefined ? {} : { 'kube-state-metrics': 1 }),
  }
}

test(
  'every expected target is up, and no other one is there',
  async ({ signal }) => {
    const look = async () => {
      const [expected, targets] = await Promise.all([expectedTargets(), promTargets(ask)])
      const up = Object.groupBy(targets, ({ labels }) => labels.job ?? '')
      const counts = Object.fromEntries(
        Object.entries(up).map(([job, of = []]) => [job, of.filter(({ health }) => health === 'up').length]),
      )
      const differing = [...new Set([...Object.keys(expected), ...Object.keys(counts)])].filter((job) => expected[job] !== counts[job])
      return differing.length === 0 && targets.every(({ health }) => health === 'up')
        ? ready(targets.length)
        : pending(differing.map((job) => `${job}: ${counts[job] ?? 0} of ${expected[job] ?? 0} up`).join(', ') || 'a target is down')
    }
    assert.ok((await waitFor('every target to be up', look, { timeoutMs: TARGETS_TIMEOUT_MS, signal })) >= 13)
  },
  { timeoutMs: TEST_TIMEOUT_MS },
)

test('each part of a scrape that something here asks for arrives', async () => {
  for (const query of [
    'sum(container_start_time_seconds{namespace="dev"})',
    'sum(container_spec_memory_limit_bytes{namespace="dev", container="service"})',
    'sum(container_network_receive_bytes_total{namespace="dev"})',
    'sum(kubelet_running_pods)',
    'sum(apiserver_request_total)',
    'sum(node_memory_MemAvailable_bytes)',
    'sum(node_filesystem_size_bytes)',
    'count(argocd_app_info)',
    'sum(coredns_dns_requests_total)',
  ]) {
    const [sample] = await promQuery(ask, query)
    assert.ok((sample?.value ?? 0) > 0, `${query} is ${sample?.value ?? 'empty'}`)
  }
})

test('a container is counted by one source only', async () => {
  const doubled = await promQuery(
    ask,
    'count by (__name__, namespace, pod, container) ({__name__=~"container_(cpu_usage_seconds_total|memory_working_set_bytes|start_time_seconds)"}) > 1',
  )
  assert.equal(doubled, [])
})

test('the metrics API measures nodes and pods', async () => {
  const { items } = (await cluster.kube.request('GET', '/apis/metrics.k8s.io/v1beta1/nodes')) as { items: { usage: { cpu: string } }[] }
  assert.ok(items.length > 0)
  for (const { usage } of items) assert.match(usage.cpu, /^[1-9]\d*n$/)
})

test(
  'Prometheus keeps its samples when its pod is replaced',
  async ({ signal }) => {
    const series = 'up{job="apiserver"}[1h]'
    const before = await promSamples(ask, series)
    assert.ok(before.length > 0)
    await replacePod(cluster, { name: 'prometheus-prometheus-0', namespace: 'monitoring', service: 'prometheus' }, signal)
    const after = new Set((await promSamples(ask, series)).map(({ atMs }) => atMs))
    const oldest = before[Math.floor(before.length / 2)]?.atMs ?? 0 // the hour moves on meanwhile
    const lost = before.filter(({ atMs }) => atMs >= oldest && !after.has(atMs))
    assert.equal(lost, [])
  },
  { timeoutMs: TEST_TIMEOUT_MS },
)

test(
  'Alertmanager keeps its silences when its pod is replaced',
  async ({ signal }) => {
    const matcher = { name: 'alertname', value: 'HoldfastKeepsSilences', isRegex: false }
    const endsAt = new Date(Date.now() + TEST_TIMEOUT_MS).toISOString()
    const silence = { matchers: [matcher], startsAt: new Date().toISOString(), endsAt, createdBy: 'test', comment: 'live test' }
    const posted = await cluster.fetch('alertmanager', '/api/v2/silences', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(silence),
    })
    const { silenceID } = (await posted.json()) as { silenceID: string }
    try {
      await replacePod(cluster, { name: 'alertmanager-alertmanager-0', namespace: 'monitoring', service: 'alertmanager' }, signal)
      const kept = (await (await cluster.fetch('alertmanager', `/api/v2/silence/${silenceID}`)).json()) as { status: { state: string } }
      assert.is(kept.status.state, 'active')
    } finally {
      await cluster.fetch('alertmanager', `/api/v2/silence/${silenceID}`, { method: 'DELETE' })
    }
  },
  { timeoutMs: TEST_TIMEOUT_MS },
)

test(
  'Git keeps what was pushed when its pod is replaced',
  async ({ signal }) => {
    const before = await (await stack.git(cluster, signal)).readDeploy()
    const [pod] = await cluster.kube.list({ apiVersion: 'v1', kind: 'Pod', namespace: 'git' })
    await replacePod(cluster, { name: pod?.metadata.name ?? '', namespace: 'git', service: 'git' }, signal)
    const after = await (await stack.git(cluster, signal)).readDeploy()
    assert.ok(before.sha !== undefined)
    assert.is(after.sha, before.sha)
    assert.equal([...after.files.keys()], [...before.files.keys()])
  },
  { timeoutMs: TEST_TIMEOUT_MS },
)

test.run()
