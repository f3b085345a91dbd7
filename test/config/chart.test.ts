/** The chart: what it renders, for which values. */
import { type Cluster, ENVIRONMENTS, type Target } from '#core'
import type { KubeObject } from '#kit/kube'
import { service } from '../../chart/part.ts'
import { stack } from '../../holdfast.config.ts'
import { assert, suite } from '../suite.ts'
import { at, BUILD, CHART, DIGEST, objects, render, TARGET, timingOf, WITH_DIGEST } from './chart-fixture.ts'

const test = suite('chart')

test(
  'the chart renders nothing without an image',
  async () => {
    await assert.rejects(render(), /No image to run: set image\.digest \(sha256:…\) or image\.tag/)
  },
  BUILD,
)

const KINDS = [
  'Deployment',
  'HorizontalPodAutoscaler',
  'MetricsService',
  'NetworkPolicy',
  'PodDisruptionBudget',
  'PrometheusRule',
  'Service',
  'ServiceAccount',
  'ServiceMonitor',
]

test('the chart renders its objects in the namespace, all labelled; the pods without the version of the chart', async () => {
  const rendered = await objects(...WITH_DIGEST)
  assert.equal(Object.keys(rendered).sort(), KINDS)
  const podLabels = {
    'app.kubernetes.io/name': 'service',
    'app.kubernetes.io/instance': 'service',
    'app.kubernetes.io/part-of': 'holdfast',
    'app.kubernetes.io/version': '0123456789ab',
    'app.kubernetes.io/managed-by': 'Helm',
  }
  const labels = { ...podLabels, 'helm.sh/chart': 'service-0.1.0' }
  for (const [name, { metadata }] of Object.entries(rendered)) {
    assert.is(metadata.namespace, 'dev')
    assert.equal(metadata.labels, { ...labels, ...(name === 'MetricsService' ? { 'app.kubernetes.io/component': 'metrics' } : {}) })
  }
  assert.equal(at(rendered.Deployment, 'spec.template.metadata.labels'), podLabels)
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
    (await objects('--set-string', `image.tag=${tag}`)).Deployment?.metadata.labels?.['app.kubernetes.io/version']
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

test('the probes ask a port of their own, which no Service has', async () => {
  const { Deployment, Service, MetricsService } = await objects(...WITH_DIGEST)
  assert.equal(at(Deployment, 'spec.template.spec.containers.0.ports'), [
    { name: 'http', containerPort: 8080, protocol: 'TCP' },
    { name: 'metrics', containerPort: 9464, protocol: 'TCP' },
    { name: 'probes', containerPort: 8081, protocol: 'TCP' },
  ])
  const probe = (name: string) => at(Deployment, `spec.template.spec.containers.0.${name}`)
  const health = { path: '/health', port: 'probes' }
  assert.equal(probe('startupProbe'), { httpGet: health, periodSeconds: 1, timeoutSeconds: 2, failureThreshold: 60 })
  assert.equal(probe('readinessProbe'), {
    httpGet: { path: '/ready', port: 'probes' },
    periodSeconds: 2,
    timeoutSeconds: 2,
    failureThreshold: 2,
  })
  assert.equal(probe('livenessProbe'), {
    httpGet: health,
    periodSeconds: 5,
    timeoutSeconds: 3,
    failureThreshold: 2,
    terminationGracePeriodSeconds: 10,
  })
  assert.not.match(JSON.stringify([Service?.spec.ports, MetricsService?.spec.ports]), /probes|8081/)
})

test('what is stuck has 5 s after the preStop hook, however long that takes', async () => {
  const { Deployment } = await objects(...WITH_DIGEST, '--set', 'preStopSeconds=12')
  assert.is(at(Deployment, 'spec.template.spec.containers.0.livenessProbe.terminationGracePeriodSeconds'), 17)
})

test('the pods are told what they need, and are replaced one by one', async () => {
  const { Deployment } = await objects(...WITH_DIGEST, '--set', 'environment=staging,faults=on,logRequests=off,drainMs=7000,stopMs=9000')
  assert.equal(at(Deployment, 'spec.template.spec.containers.0.env'), [
    { name: 'ENV', value: 'staging' },
    { name: 'VERSION', value: '0123456789ab' },
    { name: 'FAULTS', value: 'on' },
    { name: 'LOG_REQUESTS', value: 'off' },
    { name: 'DRAIN_MS', value: '7000' },
    { name: 'STOP_MS', value: '9000' },
    { name: 'PROBES_PORT', value: '8081' },
  ])
  assert.equal(at(Deployment, 'spec.strategy'), { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } })
  assert.is(at(Deployment, 'spec.revisionHistoryLimit'), 5)
  assert.equal(at(Deployment, 'spec.template.spec.containers.0.resources'), {
    requests: { cpu: '100m', memory: '128Mi' },
    limits: { cpu: '200m', memory: '256Mi' },
  })
})

test('the database and the tracing are told only where there are any', async () => {
  const settings = 'database.secretName=service-database,tracing.endpoint=http://collector.tracing.svc:4318'
  const { Deployment } = await objects(...WITH_DIGEST, '--set', settings)
  assert.equal((at(Deployment, 'spec.template.spec.containers.0.env') as object[]).slice(7), [
    { name: 'DATABASE_URL', valueFrom: { secretKeyRef: { name: 'service-database', key: 'url' } } },
    { name: 'OTEL_EXPORTER_OTLP_ENDPOINT', value: 'http://collector.tracing.svc:4318' },
    { name: 'OTEL_SERVICE_NAME', value: 'service' },
  ])
})

test('pods leave a lost node as soon as Kubernetes says, and sooner locally, as the bounds of the proofs have it', async () => {
  const tolerations = (tolerationSeconds: number) =>
    ['not-ready', 'unreachable'].map((state) => ({
      key: `node.kubernetes.io/${state}`,
      operator: 'Exists',
      effect: 'NoExecute',
      tolerationSeconds,
    }))
  const { local: timing, production } = stack.timing
  const byDefault = await objects(...WITH_DIGEST)
  assert.equal(at(byDefault.Deployment, 'spec.template.spec.tolerations'), tolerations(production.nodes.tolerationMs / 1000))
  const local = await objects('--values', `${CHART}values-local.yaml`, ...WITH_DIGEST)
  assert.equal(at(local.Deployment, 'spec.template.spec.tolerations'), tolerations(timing.nodes.tolerationMs / 1000))
})

test('a drain takes one pod at a time, and is never held up by pods that do not serve', async () => {
  const { PodDisruptionBudget, Deployment } = await objects(...WITH_DIGEST)
  assert.equal(PodDisruptionBudget?.spec, {
    maxUnavailable: 1,
    selector: at(Deployment, 'spec.selector'),
    unhealthyPodEvictionPolicy: 'AlwaysAllow',
  })
})

test('a new version takes over without a pod less than before, unless the values say otherwise', async () => {
  const strategy = async (...args: string[]) => at((await objects(...WITH_DIGEST, ...args)).Deployment, 'spec.strategy')
  assert.equal(await strategy(), { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } })
  const others = await strategy('--set', 'rollout.maxUnavailable=100%,rollout.maxSurge=2')
  assert.equal(others, { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: '100%', maxSurge: 2 } })
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

test('the HPA begins at its least, and without it the Deployment says how many pods there are', async () => {
  const scaled = await objects(...WITH_DIGEST, '--set', 'replicas=4')
  assert.ok(scaled.HorizontalPodAutoscaler)
  assert.is(at(scaled.Deployment, 'spec.revisionHistoryLimit'), 5)
  assert.is(at(scaled.Deployment, 'spec.replicas'), 2)
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

test('Prometheus knows how many pods the HPA may make, where there is one and it can make more than the least', async () => {
  const ruleOf = async (...args: string[]) => (await objects(...WITH_DIGEST, ...args)).PrometheusRule
  assert.equal(at(await ruleOf('--set', 'metrics.interval=1s,autoscaling.maxReplicas=7'), 'spec.groups'), [
    {
      name: 'dev-replicas',
      interval: '1s',
      rules: [{ record: 'service:replicas:max', expr: 'vector(7)', labels: { namespace: 'dev' } }],
    },
  ])
  for (const setting of ['autoscaling.enabled=false', 'metrics.serviceMonitor=false', 'autoscaling.maxReplicas=2'])
    assert.is(await ruleOf('--set', setting), undefined, setting)
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
    return [at(pod, 'terminationGracePeriodSeconds'), at(pod, 'containers.0.lifecycle')]
  }
  assert.equal(await endOf(), [30, { preStop: { sleep: { seconds: 5 } } }])
  assert.equal(await endOf('--set', 'preStopSeconds=0'), [30, undefined])
  // 19 s, 2 s, 8 s and the last one.
  assert.equal(await endOf('--set', 'preStopSeconds=19'), [30, { preStop: { sleep: { seconds: 19 } } }])
  assert.equal(await endOf('--set', 'preStopSeconds=60,terminationGracePeriodSeconds=71'), [71, { preStop: { sleep: { seconds: 60 } } }])
})

/** The Application's values and objects for an environment. */
function applicationOf(environment: Target['environment'], speedup: number) {
  const target: Target = { ...TARGET, environment, timing: timingOf(speedup) }
  const [project, application] = service({ databaseSecret: 'db' }).applications(target, { image: { digest: DIGEST } })
  return { values: application?.spec.sources[0].helm.valuesObject, allowed: project?.spec.namespaceResourceWhitelist, project, application }
}

test('the Application hands over values for its environment and its timing', () => {
  assert.equal(applicationOf('dev', 15).values, {
    metrics: { interval: '1s' },
    autoscaling: { scaleDownStabilizationSeconds: 20 },
    analysis: { initialDelay: '4s', window: '6s', interval: '2s' },
    database: { secretName: 'db' },
    image: { digest: DIGEST },
  })
  assert.equal(applicationOf('prod', 1).values, {
    metrics: { interval: '15s' },
    autoscaling: { scaleDownStabilizationSeconds: 300 },
    analysis: { initialDelay: '60s', window: '90s', interval: '30s' },
    database: { secretName: '' },
    image: { digest: DIGEST },
  })
})

test('each environment has an Application and a project of its own, which reaches its namespace and no other', () => {
  const seen = ENVIRONMENTS.map((environment) => {
    const { project, application } = applicationOf(environment, 1)
    assert.is(application?.spec.project, project?.metadata.name)
    const reached = project?.spec.destinations.map(({ namespace }: { namespace: string }) => namespace)
    return [application?.metadata.name, application?.spec.project, application?.spec.destination.namespace, ...reached]
  })
  assert.equal(seen, [
    ['service', 'services', 'dev', 'dev'],
    ['service-staging', 'services-staging', 'staging', 'staging'],
    ['service-prod', 'services-prod', 'prod', 'prod'],
  ])
})

test('an environment has a values file of its own; only dev is published on this machine, and only prod has no faults', async () => {
  const seen = ENVIRONMENTS.map(async (environment) => {
    const target: Target = { ...TARGET, cluster: { kind: 'k3s' } as Cluster, environment }
    const [, application] = service().applications(target, {})
    const files = application?.spec.sources[0].helm.valueFiles as string[]
    const rendered = await objects(...WITH_DIGEST, ...files.flatMap((file) => ['--values', `${CHART}${file}`]))
    const env = at(rendered.Deployment, 'spec.template.spec.containers.0.env') as { name: string; value: string }[]
    const told = (name: string) => env.find((each) => each.name === name)?.value
    return [told('ENV'), told('FAULTS'), at(rendered.Service, 'spec.type')]
  })
  assert.equal(await Promise.all(seen), [
    ['dev', 'on', 'NodePort'],
    ['staging', 'on', 'ClusterIP'],
    ['prod', 'off', 'ClusterIP'],
  ])
  const [, onEks] = service().applications({ ...TARGET, environment: 'dev' }, {})
  assert.equal(onEks?.spec.sources[0].helm.valueFiles, ['values.yaml', 'values-dev.yaml'])
})

test('the replicas that the HPA wrote are left to it, and nobody else’s', async () => {
  const [, application] = service().applications({ ...TARGET, environment: 'dev' }, {})
  const managedFieldsManagers = ['kube-controller-manager', 'k3s']
  assert.equal(application?.spec.ignoreDifferences, [
    { group: 'apps', kind: 'Deployment', managedFieldsManagers },
    { group: 'argoproj.io', kind: 'Rollout', managedFieldsManagers },
  ])
  assert.ok(application?.spec.syncPolicy.syncOptions.includes('RespectIgnoreDifferences=true'), 'else a sync would write them')
})

test('what the Application hands over renders, whatever the speed, and its project allows each kind of it', async () => {
  for (const [environment, speedup] of ENVIRONMENTS.flatMap((each) => [1, 8, 15, 40].map((speed) => [each, speed] as const))) {
    const { values, allowed } = applicationOf(environment, speedup)
    const rendered = await objects('--values', `${CHART}values-${environment}.yaml`, '--set-json', JSON.stringify(values))
    for (const { kind, apiVersion } of Object.values(rendered)) {
      const group = String(apiVersion).includes('/') ? String(apiVersion).split('/')[0] : ''
      assert.ok(
        allowed.some((each: object) => JSON.stringify(each) === JSON.stringify({ group, kind })),
        kind,
      )
    }
  }
})

test('each namespace has room for a rollout of all pods that the HPA may make', async () => {
  const { HorizontalPodAutoscaler, Deployment } = await objects(...WITH_DIGEST)
  const number = (manifest: KubeObject | undefined, path: string) => Number(at(manifest, path) ?? Number.NaN)
  const pods = 2 * number(HorizontalPodAutoscaler, 'spec.maxReplicas') + number(Deployment, 'spec.strategy.rollingUpdate.maxSurge')
  for (const { quota, name } of service().namespaces) {
    assert.ok(Number(quota.pods) >= pods, `pods in ${name}`)
    assert.ok(Number(quota['requests.cpu']) * 1000 >= pods * 100, `CPU in ${name}`)
    assert.ok(Number.parseInt(quota['limits.memory'] ?? '', 10) * 1024 >= pods * 256, `memory in ${name}`)
  }
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

test.run()
