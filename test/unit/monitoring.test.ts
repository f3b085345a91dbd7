import { parse } from 'yaml'
import { byDigest, type Cluster, type Part, readPinned, readStatus, renderStatus, type Stack, type StoredImage, type Target } from '#core'
import { parseDuration } from '#kit/duration'
import type { Kube, KubeObject } from '#kit/kube'
import { createProgress } from '#kit/progress'
import { prepareSlack, slackUrl } from '../../alerts/alertmanager/slack.ts'
import { monitoring } from '../../alerts/part.ts'
import { stack } from '../../holdfast.config.ts'
import { assert, suite } from '../suite.ts'

const test = suite('monitoring')

const WEBHOOK = 'https://hooks.slack.example/services/T0/B0/secret'
const DIGEST = `sha256:${'a'.repeat(64)}` as const
const images = new Map(
  monitoring
    .flatMap((part) => part.images)
    .map((spec): [string, StoredImage] => [spec.name, { spec, key: 'k', digest: DIGEST, way: 'built' }]),
)

function target(change: { timing?: 'local' | 'production'; brings?: boolean } = {}): Target {
  const cluster = {
    name: 'local',
    brings: { metricsServer: change.brings ?? false },
    address: (service: string) => `http://127.0.0.1/${service}`,
  } as unknown as Cluster
  return { cluster, environment: 'dev', timing: stack.timing[change.timing ?? 'local'], repoUrl: 'http://git/x.git', images }
}

async function rendered(name: string, at = target()): Promise<readonly KubeObject[]> {
  return (await partNamed(name).rendered?.(at)) ?? []
}

function partNamed(name: string): Part {
  const part = monitoring.find((each) => each.name === name)
  if (part === undefined) throw new Error(`no part '${name}'`)
  return part
}

async function all(at = target()): Promise<readonly KubeObject[]> {
  return (await Promise.all(monitoring.map(({ name }) => rendered(name, at)))).flat()
}

const ofKind = (objects: readonly KubeObject[], kind: string) => objects.filter((object) => object.kind === kind)

/** Text of a Secret that is rendered for the operator. */
async function secretText(name: string, key: string): Promise<string> {
  const secret = (await all()).find(({ kind, metadata }) => kind === 'Secret' && metadata.name === name)
  return Buffer.from(secret?.data[key] ?? '', 'base64').toString()
}

test.before.each(() => {
  delete process.env.HOLDFAST_SLACK_URL
})
test.after(() => {
  delete process.env.HOLDFAST_SLACK_URL
})

test('every image is named by its digest', async () => {
  const found = [...JSON.stringify(await all()).matchAll(/"(?:image":"|--prometheus-config-reloader=)([^"]+)"/g)].map(([, image]) => image)
  assert.is(found.length, 8)
  for (const image of found) assert.match(image ?? '', new RegExp(`^(docker\\.io|quay\\.io|registry\\.k8s\\.io)/[a-z/-]+@${DIGEST}$`))
})

test('byDigest() keeps the registry, and refuses an image that no part lists', () => {
  assert.is(byDigest('quay.io/prometheus/alertmanager:v0.31.1', target()), `quay.io/prometheus/alertmanager@${DIGEST}`)
  assert.is(byDigest('localhost:5000/prometheus/alertmanager', target()), `localhost:5000/prometheus/alertmanager@${DIGEST}`)
  assert.throws(() => byDigest('quay.io/other/thing:v1', target()), /'quay.io\/other\/thing:v1', which no part lists/)
})

test('a manifest that is not the one that was pinned is refused', async () => {
  const manifest = {
    of: 'the test',
    goMod: 'alerts/operator/module',
    module: 'github.com/prometheus-operator/prometheus-operator',
    path: 'VERSION',
    url: 'http://127.0.0.1:1/none',
    sha256: '0'.repeat(64),
  }
  await assert.rejects(readPinned(manifest), /Cannot use the manifest of the test: its SHA-256 is [0-9a-f]{64} instead of 0{64}/)
})

test('definitions lose their descriptions, and no field that is called so', async () => {
  const definitions = ofKind(await rendered('prometheus-operator'), 'CustomResourceDefinition')
  assert.is(definitions.length, 7)
  const text = JSON.stringify(definitions)
  assert.not.match(text, /"description":"/)
  assert.match(text, /"description":\{"minLength":1,"type":"string"\}/)
  assert.ok(text.length < 600_000, `${text.length} characters`)
})

test('definitions come in a wave before the operator, which looks for them once', async () => {
  const waveOf = ({ metadata }: KubeObject) => Number(metadata.annotations?.['argocd.argoproj.io/sync-wave'] ?? 0)
  const objects = await rendered('prometheus-operator')
  const others = objects.filter(({ kind }) => kind !== 'CustomResourceDefinition')
  assert.ok(others.some(({ kind }) => kind === 'Deployment'))
  const last = Math.max(...ofKind(objects, 'CustomResourceDefinition').map(waveOf))
  assert.ok(last < Math.min(...others.map(waveOf)))
})

test('scrapes are as many times as fast as the clock, and none may take longer than its interval', async () => {
  const [production, local] = await Promise.all([scrapes('production'), scrapes('local')])
  assert.ok(production.length >= 9)
  assert.equal(
    local.map(({ intervalMs }) => intervalMs),
    production.map(({ intervalMs }) => intervalMs / 15),
  )
  for (const { intervalMs, timeoutMs } of [...production, ...local]) assert.ok(timeoutMs <= intervalMs, `${timeoutMs} of ${intervalMs} ms`)
})

/** Every scrape that a monitor or Prometheus' own list asks for. */
test('a series is forgotten as many times as fast as the clock, and not between two scrapes of it', async () => {
  for (const timing of ['production', 'local'] as const) {
    const [prometheus] = ofKind(await rendered('prometheus', target({ timing })), 'Prometheus')
    const lookbackMs = parseDuration(prometheus?.spec.query.lookbackDelta)
    assert.is(lookbackMs, parseDuration('5m') / stack.timing[timing].speedup)
    const slowestMs = Math.max(...(await scrapes(timing)).map(({ intervalMs }) => intervalMs))
    assert.ok(lookbackMs >= 2 * slowestMs, `${lookbackMs} ms of scrapes every ${slowestMs} ms`)
  }
})

async function scrapes(timing: 'local' | 'production'): Promise<{ intervalMs: number; timeoutMs: number }[]> {
  const objects = await all(target({ timing }))
  const own = objects.find(({ metadata }) => metadata.name === 'prometheus-scrapes')
  const jobs = parse(Buffer.from(own?.data['scrapes.yaml'], 'base64').toString()) as { scrape_interval: string; scrape_timeout: string }[]
  const endpoints = ofKind(objects, 'ServiceMonitor').flatMap(({ spec }) => spec.endpoints as { interval: string; scrapeTimeout: string }[])
  return [
    ...endpoints.map(({ interval, scrapeTimeout }) => [interval, scrapeTimeout] as const),
    ...jobs.map((job) => [job.scrape_interval, job.scrape_timeout] as const),
  ].map(([interval, timeout]) => ({ intervalMs: parseDuration(interval), timeoutMs: parseDuration(timeout) }))
}

test('Prometheus looks at every monitor and rule of every namespace, and finds Alertmanager by its Service', async () => {
  const objects = await all()
  const { spec } = ofKind(objects, 'Prometheus')[0] as KubeObject
  for (const what of ['serviceMonitor', 'podMonitor', 'probe', 'rule']) {
    assert.equal(spec[`${what}Selector`], {})
    assert.equal(spec[`${what}NamespaceSelector`], {})
  }
  const { namespace, name, port } = spec.alerting.alertmanagers[0]
  const service = objects.find(({ kind, metadata }) => kind === 'Service' && metadata.namespace === namespace && metadata.name === name)
  assert.equal(
    service?.spec.ports.map((each: { name: string }) => each.name),
    [port],
  )
  assert.equal(spec.externalLabels, { cluster: 'local' })
})

test('a kubelet and the API server are believed only with a certificate of the cluster', async () => {
  const text = await secretText('prometheus-scrapes', 'scrapes.yaml')
  const jobs = parse(text) as { job_name: string; scheme: string; tls_config: { ca_file: string; insecure_skip_verify?: boolean } }[]
  assert.equal(
    jobs.map(({ job_name }) => job_name),
    ['kubelet', 'kubelet-cadvisor', 'kubelet-resource', 'apiserver'],
  )
  for (const { scheme, tls_config } of jobs) {
    assert.is(scheme, 'https')
    assert.is(tls_config.ca_file, '/var/run/secrets/kubernetes.io/serviceaccount/ca.crt')
    assert.is(tls_config.insecure_skip_verify, undefined)
  }
  const args = JSON.stringify(await rendered('metrics-server'))
  assert.match(args, /--kubelet-certificate-authority=/)
  assert.not.match(args, /--kubelet-insecure-tls/)
})

test('the operator may write in its own namespace only', async () => {
  const roles = ofKind(await rendered('prometheus-operator'), 'ClusterRole')
  const rules = roles.flatMap(({ rules: each }) => each as { apiGroups: string[]; verbs: string[] }[])
  const writing = rules.filter(({ apiGroups }) => !apiGroups.includes('events.k8s.io')).flatMap(({ verbs }) => verbs)
  assert.equal([...new Set(writing)].toSorted(), ['get', 'list', 'watch'])
})

test('metrics-server is left out where the cluster brings it', async () => {
  const at = target({ brings: true })
  assert.equal(await rendered('metrics-server', at), [])
  assert.equal(partNamed('metrics-server').applications(at, {}), [])
  assert.is(partNamed('metrics-server').applications(target(), {}).length, 1)
})

test('Slack is told only where its address is given, and by a file that Git never sees', async () => {
  const alertmanager = async () => ofKind(await rendered('alertmanager'), 'Alertmanager')[0]?.spec.secrets
  assert.is(await alertmanager(), undefined)
  assert.not.match(await secretText('alertmanager-config', 'alertmanager.yaml'), /alertmanager-slack/)
  process.env.HOLDFAST_SLACK_URL = WEBHOOK
  assert.equal(await alertmanager(), ['alertmanager-slack'])
  const config = await secretText('alertmanager-config', 'alertmanager.yaml')
  assert.match(config, /\/etc\/alertmanager\/secrets\/alertmanager-slack\/url/)
  assert.not.ok(JSON.stringify(await all()).includes('hooks.slack') || config.includes('hooks.slack'))
})

test('an address of Slack that is none is refused without being repeated', async () => {
  process.env.HOLDFAST_SLACK_URL = 'http://secret.example/x'
  const error = await assert.rejects(slackUrl(), 'the variable HOLDFAST_SLACK_URL holds no https:// address')
  assert.not.match(error.message, /secret/)
})

test('prepareSlack() lays the address into the cluster, and takes it away again', async () => {
  const calls: string[] = []
  const kube = {
    apply: async ({ metadata, stringData }: KubeObject) => calls.push(`apply ${metadata.namespace}/${metadata.name} ${stringData.url}`),
    delete: async ({ name }: { name: string }) => calls.push(`delete ${name}`),
  } as unknown as Kube
  using progress = createProgress()
  process.env.HOLDFAST_SLACK_URL = WEBHOOK
  await prepareSlack({ kube } as Cluster, { progress })
  delete process.env.HOLDFAST_SLACK_URL
  await prepareSlack({ kube } as Cluster, { progress })
  assert.equal(calls, [`apply monitoring/alertmanager-slack ${WEBHOOK}`, 'delete alertmanager-slack'])
})

// ── local:status ────────────────────────────────────────────────────────────────────────────────────────────────────

const hpa = {
  metadata: { name: 'service', namespace: 'dev' },
  spec: { minReplicas: 2, maxReplicas: 5, metrics: [{ resource: { name: 'cpu', target: { averageUtilization: 70 } } }] },
  status: {
    currentReplicas: 2,
    desiredReplicas: 4,
    currentMetrics: [{ resource: { name: 'cpu', current: { averageUtilization: 130 } } }],
  },
}
const PUBLISHED = { metadata: { name: 'prometheus' }, spec: { type: 'NodePort' } }

/** The lines of the status of a stack with one HPA and a Prometheus that answers like this. */
async function statusLines(answer: (path: string) => unknown): Promise<string[]> {
  const lists: Readonly<Record<string, unknown[]>> = { Service: [PUBLISHED], HorizontalPodAutoscaler: [hpa] }
  const cluster = {
    name: 'local',
    kubeconfig: '/tmp/kubeconfig',
    kube: { list: async ({ kind }: { kind: string }) => lists[kind] ?? [] },
    address: () => 'http://127.0.0.1:1',
    fetch: async (_service: string, path: string) => Response.json({ status: 'success', data: answer(path) }),
  } as unknown as Cluster
  return renderStatus(await readStatus({ parts: [] } as unknown as Stack, cluster)).split('\n')
}

test('local:status shows targets, alerts and the HPA', async () => {
  const activeTargets = [
    { labels: { job: 'sink', instance: 'a' }, health: 'up', lastError: '' },
    { labels: { job: 'service', instance: 'b' }, health: 'up', lastError: '' },
    { labels: { job: 'service', instance: 'c' }, health: 'down', lastError: 'connection refused' },
  ]
  const alerts = [{ labels: { alertname: 'HighErrorRate', severity: 'critical' }, state: 'firing', activeAt: '2026-01-01T00:10:00.5Z' }]
  const lines = await statusLines((path) => (path.includes('targets') ? { activeTargets } : { alerts }))
  for (const line of [
    'dev/service  2 → 4  2 to 5  130 % of 70 %',
    'service  1 of 2  connection refused',
    'sink     1 of 1',
    'HighErrorRate  firing  critical  2026-01-01 00:10:00',
  ])
    assert.ok(lines.includes(line), `no line '${line}' in\n${lines.join('\n')}`)
})

test('local:status shows the rest where Prometheus does not answer', async () => {
  const lines = await statusLines(() => {
    throw new TypeError('fetch failed', { cause: new Error('connect ECONNREFUSED 127.0.0.1:16444') })
  })
  assert.ok(lines.some((line) => /^Cannot ask Prometheus: connect ECONNREFUSED/.test(line)))
  assert.ok(lines.includes('dev/service  2 → 4  2 to 5  130 % of 70 %'))
  assert.ok(lines.includes('prometheus  http://127.0.0.1:1'))
})

test.run()
