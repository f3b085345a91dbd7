/** The chart: what it renders, what it refuses, and a kept rendering of every values file. */
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { parseAllDocuments } from 'yaml'
import type { Cluster, Target } from '#core'
import { tool } from '#kit/tools'
import { service } from '../../chart/part.ts'
import { assert, suite } from '../suite.ts'

const test = suite('chart')
const execute = promisify(execFile)

const CHART = fileURLToPath(new URL('../../chart/', import.meta.url))
const SNAPSHOTS = fileURLToPath(new URL('snapshots/', import.meta.url))
const UPDATE = 'UPDATE_SNAPSHOTS=1 npm run test:config'
const DIGEST = `sha256:${'0123456789abcdef'.repeat(4)}`
const WITH_DIGEST = ['--set', `image.digest=${DIGEST}`]
/** The first use may build helm. */
const BUILD = { timeoutMs: 600_000 }

const valuesFiles = readdirSync(CHART).filter((name) => /^values.*\.yaml$/.test(name))

async function helm(...args: readonly string[]): Promise<string> {
  const { stdout } = await execute(await tool('helm'), [...args], { env: { ...process.env, HELM_NO_PLUGINS: '1' } })
  return stdout
}

function render(...args: readonly string[]): Promise<string> {
  return helm('template', 'service', CHART, '--namespace', 'dev', ...args)
}

interface Manifest {
  readonly kind: string
  readonly metadata: { readonly name: string; readonly namespace: string; readonly labels: Record<string, string> }
  readonly [key: string]: unknown
}

/** What is rendered by kind; the metrics' own Service as `MetricsService`. */
async function objects(...args: readonly string[]): Promise<Record<string, Manifest>> {
  const documents = parseAllDocuments(await render(...args)).map((each) => each.toJS() as Manifest)
  return Object.fromEntries(documents.map((each) => [each.metadata.name === 'service-metrics' ? 'MetricsService' : each.kind, each]))
}

/** What is at a path such as `spec.template.spec.containers.0.image`. */
function at(manifest: Manifest | undefined, path: string): unknown {
  return path.split('.').reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], manifest)
}

test(
  'helm lint finds nothing in any values file',
  async () => {
    assert.ok(valuesFiles.length >= 2, 'the values files are found')
    for (const file of valuesFiles) {
      const out = await helm('lint', CHART, '--strict', '--values', `${CHART}${file}`, ...WITH_DIGEST)
      assert.match(out, '1 chart(s) linted, 0 chart(s) failed')
      assert.not.match(out, /\[(WARNING|ERROR)\]/)
    }
  },
  BUILD,
)

test('the chart renders nothing without an image', async () => {
  await assert.rejects(render(), /No image to run: set image\.digest \(sha256:…\) or image\.tag/)
})

test('the chart renders its six objects in the namespace, all labelled', async () => {
  const rendered = await objects(...WITH_DIGEST)
  const kinds = ['Deployment', 'HorizontalPodAutoscaler', 'MetricsService', 'Service', 'ServiceAccount', 'ServiceMonitor']
  assert.equal(Object.keys(rendered).sort(), kinds)
  const labels = {
    'app.kubernetes.io/name': 'service',
    'app.kubernetes.io/instance': 'service',
    'app.kubernetes.io/part-of': 'holdfast',
    'app.kubernetes.io/version': '0123456789ab',
    'app.kubernetes.io/managed-by': 'Helm',
  }
  for (const [name, { metadata }] of Object.entries(rendered)) {
    assert.is(metadata.namespace, 'dev')
    assert.equal(metadata.labels, { ...labels, ...(name === 'MetricsService' ? { 'app.kubernetes.io/component': 'metrics' } : {}) })
  }
  assert.equal(at(rendered.Deployment, 'spec.template.metadata.labels'), labels)
})

test('the image is named by digest when there is one, else by tag, in docker.io unless a registry is set', async () => {
  const imageOf = async (...args: string[]) => at((await objects(...args)).Deployment, 'spec.template.spec.containers.0.image')
  assert.is(await imageOf(...WITH_DIGEST), `docker.io/holdfast/service@${DIGEST}`)
  assert.is(await imageOf(...WITH_DIGEST, '--set', 'image.tag=v1'), `docker.io/holdfast/service@${DIGEST}`)
  assert.is(await imageOf('--set', 'image.tag=v1'), 'docker.io/holdfast/service:v1')
  assert.is(await imageOf('--set', 'image.tag=v1,image.registry=127.0.0.1:5000'), '127.0.0.1:5000/holdfast/service:v1')
})

test('the version is a label value, whatever the tag looks like', async () => {
  const versionOf = async (tag: string) =>
    (await objects('--set-string', `image.tag=${tag}`)).Deployment?.metadata.labels['app.kubernetes.io/version']
  assert.is(await versionOf('1.20'), '1.20')
  assert.is(await versionOf('_v1.2-'), 'v1.2')
  assert.is(await versionOf('a'.repeat(128)), 'a'.repeat(63))
})

test('the pod is restricted: not root, no token, nothing writable, no capability', async () => {
  const { Deployment, ServiceAccount } = await objects(...WITH_DIGEST)
  assert.is(at(ServiceAccount, 'automountServiceAccountToken'), false)
  assert.is(at(Deployment, 'spec.template.spec.automountServiceAccountToken'), false)
  assert.is(at(Deployment, 'spec.template.spec.serviceAccountName'), 'service')
  assert.equal(at(Deployment, 'spec.template.spec.securityContext'), {
    runAsNonRoot: true,
    runAsUser: 10001,
    runAsGroup: 10001,
    seccompProfile: { type: 'RuntimeDefault' },
  })
  assert.equal(at(Deployment, 'spec.template.spec.containers.0.securityContext'), {
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'] },
  })
})

test('each probe asks its own endpoint on the named port, and waits 3 s or longer', async () => {
  const { Deployment } = await objects(...WITH_DIGEST)
  assert.equal(at(Deployment, 'spec.template.spec.containers.0.ports'), [
    { name: 'http', containerPort: 8080, protocol: 'TCP' },
    { name: 'metrics', containerPort: 9464, protocol: 'TCP' },
  ])
  for (const [probe, path] of Object.entries({ startupProbe: '/health', livenessProbe: '/health', readinessProbe: '/ready' })) {
    assert.equal(at(Deployment, `spec.template.spec.containers.0.${probe}.httpGet`), { path, port: 'http' })
    assert.ok((at(Deployment, `spec.template.spec.containers.0.${probe}.timeoutSeconds`) as number) >= 3, probe)
  }
})

test('the pods are told what they need, and are replaced one by one', async () => {
  const { Deployment } = await objects(...WITH_DIGEST, '--set', 'environment=staging,faults=on,drainMs=7000,stopMs=9000')
  assert.equal(at(Deployment, 'spec.template.spec.containers.0.env'), [
    { name: 'ENV', value: 'staging' },
    { name: 'VERSION', value: '0123456789ab' },
    { name: 'FAULTS', value: 'on' },
    { name: 'DRAIN_MS', value: '7000' },
    { name: 'STOP_MS', value: '9000' },
  ])
  assert.equal(at(Deployment, 'spec.strategy'), { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } })
  assert.is(at(Deployment, 'spec.revisionHistoryLimit'), 5)
  assert.equal(at(Deployment, 'spec.template.spec.containers.0.resources'), {
    requests: { cpu: '100m', memory: '128Mi' },
    limits: { cpu: '200m', memory: '256Mi' },
  })
})

test('the HPA holds 2 to 5 pods at 70 % CPU: up at once, down after its window', async () => {
  const { HorizontalPodAutoscaler } = await objects(...WITH_DIGEST, '--set', 'autoscaling.scaleDownStabilizationSeconds=20')
  assert.is(HorizontalPodAutoscaler?.apiVersion, 'autoscaling/v2')
  assert.equal(HorizontalPodAutoscaler?.spec, {
    scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'service' },
    minReplicas: 2,
    maxReplicas: 5,
    metrics: [{ type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 70 } } }],
    behavior: {
      scaleUp: {
        stabilizationWindowSeconds: 0,
        selectPolicy: 'Max',
        policies: [
          { type: 'Percent', value: 100, periodSeconds: 15 },
          { type: 'Pods', value: 4, periodSeconds: 15 },
        ],
      },
      scaleDown: {
        stabilizationWindowSeconds: 20,
        selectPolicy: 'Max',
        policies: [{ type: 'Percent', value: 100, periodSeconds: 15 }],
      },
    },
  })
})

test('either the HPA says how many pods there are, or the Deployment: never both', async () => {
  const scaled = await objects(...WITH_DIGEST, '--set', 'replicas=4')
  assert.ok(scaled.HorizontalPodAutoscaler)
  assert.is(at(scaled.Deployment, 'spec.revisionHistoryLimit'), 5)
  assert.is(at(scaled.Deployment, 'spec.replicas'), undefined)
  const fixed = await objects(...WITH_DIGEST, '--set', 'autoscaling.enabled=false,replicas=4')
  assert.not.ok(fixed.HorizontalPodAutoscaler)
  assert.is(at(fixed.Deployment, 'spec.replicas'), 4)
})

test('metrics have a Service of their own, for every pod, and the public one has no way to them', async () => {
  const { Service, MetricsService } = await objects(...WITH_DIGEST)
  assert.equal(MetricsService?.spec, {
    type: 'ClusterIP',
    clusterIP: 'None',
    publishNotReadyAddresses: true,
    selector: at(Service, 'spec.selector'),
    ports: [{ name: 'metrics', port: 9464, targetPort: 'metrics', protocol: 'TCP' }],
  })
  assert.equal(
    (at(Service, 'spec.ports') as { name: string }[]).map(({ name }) => name),
    ['http'],
  )
})

test('the ServiceMonitor selects the metrics’ Service alone, and leaves the label endpoint to the metrics', async () => {
  const { Service, MetricsService, ServiceMonitor } = await objects(...WITH_DIGEST, '--set', 'metrics.interval=1s')
  const matches = (labels: Record<string, string> = {}) =>
    Object.entries(at(ServiceMonitor, 'spec.selector.matchLabels') as object).every(([name, value]) => labels[name] === value)
  assert.ok(matches(MetricsService?.metadata.labels))
  assert.not.ok(matches(Service?.metadata.labels))
  assert.equal(at(ServiceMonitor, 'spec.endpoints'), [
    { port: 'metrics', path: '/metrics', interval: '1s', scrapeTimeout: '1s', relabelings: [{ action: 'labeldrop', regex: 'endpoint' }] },
  ])
  const without = await objects(...WITH_DIGEST, '--set', 'metrics.serviceMonitor=false')
  assert.not.ok(without.ServiceMonitor)
  assert.ok(without.MetricsService)
})

test('a pod leaves the endpoints before its SIGTERM, and has the time to end', async () => {
  const endOf = async (...args: string[]) => {
    const { Deployment } = await objects(...WITH_DIGEST, ...args)
    const pod = at(Deployment, 'spec.template.spec')
    return [at(pod as Manifest, 'terminationGracePeriodSeconds'), at(pod as Manifest, 'containers.0.lifecycle')]
  }
  assert.equal(await endOf(), [30, { preStop: { sleep: { seconds: 5 } } }])
  assert.equal(await endOf('--set', 'preStopSeconds=0'), [30, undefined])
  // 19 s, 2 s, 8 s and the last one.
  assert.equal(await endOf('--set', 'preStopSeconds=19'), [30, { preStop: { sleep: { seconds: 19 } } }])
  assert.equal(await endOf('--set', 'preStopSeconds=60,terminationGracePeriodSeconds=71'), [71, { preStop: { sleep: { seconds: 60 } } }])
})

/** The Application's values and objects for an environment. */
function applicationOf(environment: Target['environment'], speedup: number) {
  const timing = { speedup, hpa: { scaleInWindowMs: 300_000 / speedup } } as Target['timing']
  const target: Target = { cluster: { kind: 'eks' } as Cluster, environment, timing, repoUrl: 'http://git/x.git', images: new Map() }
  const [project, application] = service.applications(target, { image: { digest: DIGEST } })
  return { values: application?.spec.sources[0].helm.valuesObject, allowed: project?.spec.namespaceResourceWhitelist }
}

test('the Application hands over values for its environment and its timing', () => {
  assert.equal(applicationOf('dev', 15).values, {
    environment: 'dev',
    faults: 'on',
    metrics: { interval: '1s' },
    autoscaling: { scaleDownStabilizationSeconds: 20 },
    image: { digest: DIGEST },
  })
  assert.equal(applicationOf('prod', 1).values, {
    environment: 'prod',
    faults: 'off',
    metrics: { interval: '15s' },
    autoscaling: { scaleDownStabilizationSeconds: 300 },
    image: { digest: DIGEST },
  })
})

test('what the Application hands over renders, whatever the speed, and its project allows each kind of it', async () => {
  for (const speedup of [1, 8, 15, 40]) {
    const { values, allowed } = applicationOf('dev', speedup)
    const rendered = await objects('--set-json', JSON.stringify(values))
    for (const { kind, apiVersion } of Object.values(rendered)) {
      const group = String(apiVersion).includes('/') ? String(apiVersion).split('/')[0] : ''
      assert.ok(
        allowed.some((each: object) => JSON.stringify(each) === JSON.stringify({ group, kind })),
        kind,
      )
    }
  }
})

test('the namespace has room for a rollout of all pods that the HPA may make', async () => {
  const { HorizontalPodAutoscaler, Deployment } = await objects(...WITH_DIGEST)
  const number = (manifest: Manifest | undefined, path: string) => Number(at(manifest, path) ?? Number.NaN)
  const pods = 2 * number(HorizontalPodAutoscaler, 'spec.maxReplicas') + number(Deployment, 'spec.strategy.rollingUpdate.maxSurge')
  const quota = service.namespaces[0]?.quota ?? {}
  assert.ok(Number(quota.pods) >= pods, 'pods')
  assert.ok(Number(quota['requests.cpu']) * 1000 >= pods * 100, 'CPU')
  assert.ok(Number.parseInt(quota['limits.memory'] ?? '', 10) * 1024 >= pods * 256, 'memory')
})

test('the selector is the same for every image and environment, and the Service and the spread use it', async () => {
  const selector = { 'app.kubernetes.io/name': 'service', 'app.kubernetes.io/instance': 'service' }
  for (const args of [WITH_DIGEST, ['--set', 'image.tag=v2,environment=prod,replicas=5']]) {
    const { Deployment, Service } = await objects(...args)
    assert.equal(at(Deployment, 'spec.selector'), { matchLabels: selector })
    assert.equal(at(Service, 'spec.selector'), selector)
    const spread = at(Deployment, 'spec.template.spec.topologySpreadConstraints') as Record<string, unknown>[]
    assert.equal(
      spread.map((each) => each.topologyKey),
      ['topology.kubernetes.io/zone', 'kubernetes.io/hostname'],
    )
    for (const each of spread) {
      assert.is(each.whenUnsatisfiable, 'ScheduleAnyway')
      assert.equal(each.labelSelector, { matchLabels: selector })
    }
  }
})

test('the Service is a ClusterIP on 80, and a NodePort locally', async () => {
  const port = { name: 'http', port: 80, targetPort: 'http', protocol: 'TCP' }
  const byDefault = await objects(...WITH_DIGEST)
  assert.is(at(byDefault.Service, 'spec.type'), 'ClusterIP')
  assert.equal(at(byDefault.Service, 'spec.ports'), [port])
  const local = await objects('--values', `${CHART}values-local.yaml`, ...WITH_DIGEST)
  assert.is(at(local.Service, 'spec.type'), 'NodePort')
  assert.equal(at(local.Service, 'spec.ports'), [{ ...port, nodePort: 30082 }])
})

const REFUSED: readonly [setting: string, cause: RegExp][] = [
  ['replicas=two', /'\/replicas': got string, want integer/],
  ['replicas=-1', /'\/replicas': minimum/],
  ['replica=2', /additional properties 'replica' not allowed/],
  ['image.sha=x', /additional properties 'sha' not allowed/],
  ['image.digest=sha256:abc', /'\/image\/digest': .*does not match pattern/],
  ['image.repository=Holdfast', /'\/image\/repository': .*does not match pattern/],
  ['service.type=LoadBalancer', /'\/service\/type': value must be one of/],
  ['service.nodePort=80', /'\/service\/nodePort': minimum/],
  ['service.nodePort=30001', /service\.nodePort is 30001, which needs service\.type NodePort instead of ClusterIP/],
  ['environment=Prod', /'\/environment': .*does not match pattern/],
  ['autoscaling.minReplicas=6', /autoscaling\.minReplicas is 6, more than autoscaling\.maxReplicas 5/],
  ['autoscaling.minReplicas=0', /'\/autoscaling\/minReplicas': minimum/],
  ['autoscaling.enabled=yes', /'\/autoscaling\/enabled': got string, want boolean/],
  ['autoscaling.replicas=3', /additional properties 'replicas' not allowed/],
  ['metrics.interval=15', /'\/metrics\/interval': got number, want string/],
  ['metrics.interval=1x', /'\/metrics\/interval': .*does not match pattern/],
  ['metrics.port=1', /additional properties 'port' not allowed/],
  ['faults=true', /'\/faults': value must be one of 'off', 'on'/],
  [
    'preStopSeconds=20',
    /A pod may need 31000 ms to end \(preStopSeconds 20, drainMs 2000, stopMs 8000, and 1 s\), more than terminationGracePeriodSeconds 30/,
  ],
  ['terminationGracePeriodSeconds=15', /A pod may need 16000 ms to end/],
  ['stopMs=9001', /'\/stopMs': maximum/],
  ['drainMs=20001', /'\/drainMs': maximum/],
  ['resources.limits.cpu=lots', /'\/resources\/limits\/cpu': .*does not match pattern/],
  ['resources.limits.memory=null', /missing property 'memory'/],
]

for (const [setting, cause] of REFUSED) {
  test(`the chart refuses ${setting}`, async () => {
    await assert.rejects(render(...WITH_DIGEST, '--set', setting), cause)
  })
}

for (const file of valuesFiles) {
  test(`${file} renders what its snapshot says`, async () => {
    const path = snapshotOf(file)
    const rendered = await render('--values', `${CHART}${file}`, ...WITH_DIGEST)
    if (process.env.UPDATE_SNAPSHOTS === '1') {
      mkdirSync(SNAPSHOTS, { recursive: true })
      writeFileSync(path, rendered)
    }
    assert.ok(existsSync(path), `There is no ${path} yet. To write it: ${UPDATE}`)
    if (readFileSync(path, 'utf8') === rendered) return
    throw new Error(`The rendering differs from its snapshot. When that is meant: ${UPDATE}\n${await differences(path, rendered)}`)
  })
}

test('each snapshot belongs to a values file', () => {
  const kept = readdirSync(SNAPSHOTS).filter((name) => name.startsWith('chart-'))
  assert.equal(kept.sort(), valuesFiles.map((file) => basename(snapshotOf(file))).sort())
})

function snapshotOf(file: string): string {
  return join(SNAPSHOTS, `chart-${file}`)
}

/** What `diff` says; it ends with 1 when there is a difference. */
async function differences(path: string, rendered: string): Promise<string> {
  const running = execute('diff', ['-u', '--label', path, '--label', 'rendered', path, '-'])
  running.child.stdin?.end(rendered)
  return running.then(
    ({ stdout }) => stdout,
    ({ stdout, message }: Error & { stdout?: string }) => stdout || message,
  )
}

test.run()
