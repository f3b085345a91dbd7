/** The chart as a Rollout: where its pods are, how a canary is judged, and what Prometheus makes of the questions. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'
import type { Cluster, Environment, Target } from '#core'
import { parseDuration } from '#kit/duration'
import { exec } from '#kit/exec'
import type { KubeObject } from '#kit/kube'
import { tool } from '#kit/tools'
import { ANALYSIS } from '../../argocd/scenarios/canary.ts'
import { service } from '../../chart/part.ts'
import { stack } from '../../holdfast.config.ts'
import { assert, suite } from '../suite.ts'
import { at, CHART, DIGEST, objects, WITH_DIGEST } from './chart-fixture.ts'

const test = suite('canary')

/** The first use may build promtool. */
const BUILD = { timeoutMs: 900_000 }
const ROLLOUT = ['--set', 'workload.kind=Rollout', ...WITH_DIGEST]

test(
  'the Rollout takes its pods from the Deployment, which has none, and is what the HPA scales',
  async () => {
    const { Rollout, Deployment, HorizontalPodAutoscaler } = await objects(...ROLLOUT)
    assert.is(at(Deployment, 'spec.replicas'), 0)
    assert.is(at(Rollout, 'spec.replicas'), 2)
    assert.equal(at(Rollout, 'spec.workloadRef'), { apiVersion: 'apps/v1', kind: 'Deployment', name: 'service', scaleDown: 'never' })
    assert.is(at(Rollout, 'spec.template'), undefined)
    assert.equal(at(HorizontalPodAutoscaler, 'spec.scaleTargetRef'), {
      apiVersion: 'argoproj.io/v1alpha1',
      kind: 'Rollout',
      name: 'service',
    })
  },
  BUILD,
)

test('without a Rollout there is nothing of one, and the pods are the same but for the label that tells revisions apart', async () => {
  const [byDefault, canary] = [await objects(...WITH_DIGEST), await objects(...ROLLOUT)]
  assert.equal([byDefault.Rollout, byDefault.AnalysisTemplate], [undefined, undefined])
  const podOf = ({ Deployment }: Record<string, KubeObject>) => JSON.stringify(at(Deployment, 'spec.template'))
  assert.is(podOf(canary).replaceAll('rollouts-pod-template-hash', 'pod-template-hash'), podOf(byDefault))
  assert.match(podOf(canary), /"matchLabelKeys":\["rollouts-pod-template-hash"\]/)
  for (const kind of ['Service', 'MetricsService', 'ServiceMonitor', 'PodDisruptionBudget', 'NetworkPolicy'])
    assert.equal(canary[kind], byDefault[kind], kind)
})

test('a new version gets a third of the pods, is judged, and only then gets the rest; one that hangs is aborted', async () => {
  const { Rollout } = await objects(...ROLLOUT, '--set', 'canary.progressDeadlineSeconds=90,rollout.maxSurge=2,revisionHistoryLimit=3')
  assert.equal(at(Rollout, 'spec.strategy.canary'), {
    maxUnavailable: 0,
    maxSurge: 2,
    steps: [
      { setWeight: 33 },
      {
        analysis: {
          templates: [{ templateName: 'service-canary' }],
          args: [{ name: 'hash', valueFrom: { podTemplateHashValue: 'Latest' } }],
        },
      },
    ],
  })
  assert.is(at(Rollout, 'spec.progressDeadlineSeconds'), 90)
  assert.is(at(Rollout, 'spec.progressDeadlineAbort'), true)
  assert.is(at(Rollout, 'spec.revisionHistoryLimit'), 3)
  assert.equal(at(Rollout, 'spec.rollbackWindow'), { revisions: 3 })
})

test('no history is no way back by it', async () => {
  const { Rollout } = await objects(...ROLLOUT, '--set', 'revisionHistoryLimit=0')
  assert.is(at(Rollout, 'spec.rollbackWindow'), undefined)
})

test('another template may judge', async () => {
  const { Rollout, AnalysisTemplate } = await objects(...ROLLOUT, '--set', 'analysis.template=other')
  assert.is(at(Rollout, 'spec.strategy.canary.steps.1.analysis.templates.0.templateName'), 'other')
  assert.is(AnalysisTemplate?.metadata.name, 'service-canary')
})

interface Metric {
  readonly name: string
  readonly successCondition: string
  readonly failureCondition: string
  readonly consecutiveSuccessLimit: number
  readonly failureLimit: number
  readonly inconclusiveLimit: number
  readonly consecutiveErrorLimit: number
  readonly count: number
  readonly interval: string
  readonly initialDelay: string
  readonly provider: { readonly prometheus: { readonly address: string; readonly query: string } }
}

async function metricsOf(...settings: readonly string[]): Promise<readonly Metric[]> {
  const { AnalysisTemplate } = await objects(...ROLLOUT, ...settings.flatMap((each) => ['--set-json', each]))
  return at(AnalysisTemplate, 'spec.metrics') as readonly Metric[]
}

test('a measurement that is neither good nor bad is neither: both conditions are said, and neither holds for no value', async () => {
  const [errors, latency, ...others] = await metricsOf('analysis.maxErrorShare=0.1', 'analysis.maxP95Seconds=0.5')
  assert.equal([errors?.name, latency?.name, others.length], ['errors', 'latency', 0])
  assert.is(errors?.successCondition, 'len(result) == 1 && result[0] <= 0.1')
  assert.is(errors?.failureCondition, 'len(result) == 1 && result[0] > 0.1')
  assert.is(latency?.successCondition, 'len(result) == 1 && result[0] <= 0.5')
  assert.is(latency?.failureCondition, 'len(result) == 1 && result[0] > 0.5')
})

test('no verdict rests on fewer than two measurements, and only a row of good ones is a good one', async () => {
  for (const metric of await metricsOf()) {
    assert.equal([metric.consecutiveSuccessLimit, metric.failureLimit, metric.consecutiveErrorLimit], [3, 1, 1])
    // As Argo Rollouts demands: a count below is refused, and the analysis is an error from its beginning.
    assert.ok(metric.count >= metric.failureLimit + metric.consecutiveSuccessLimit)
    assert.ok(metric.count >= metric.inconclusiveLimit)
    assert.is(metric.provider.prometheus.address, 'http://prometheus.monitoring.svc.cluster.local:9090')
  }
})

test('the proofs reckon with the times and limits that the chart has', async () => {
  const metrics = await metricsOf()
  const ms = (duration: string) => parseDuration(duration)
  for (const { initialDelay, interval, consecutiveSuccessLimit, failureLimit, consecutiveErrorLimit, provider } of metrics) {
    assert.equal(ANALYSIS, {
      initialDelayMs: ms(initialDelay),
      windowMs: ms(/\[(\w+)\]/.exec(provider.prometheus.query)?.[1] ?? ''),
      intervalMs: ms(interval),
      scrapeMs: ms(applicationOf('staging', 1).spec.sources[0].helm.valuesObject.metrics.interval),
      successes: consecutiveSuccessLimit,
      failureLimit,
      errorLimit: consecutiveErrorLimit,
    })
  }
})

// ── What the queries say ────────────────────────────────────────────────────────────────────────────────────────────

const HASH = '6d4f7c9b58'
const WINDOW_S = 6

interface Pods {
  readonly pod?: string
  readonly namespace?: string
  readonly endpoint?: string
  readonly okPerS: number
  readonly badPerS?: number
  /** Of the okPerS, those that take between 2.5 and 5 s. */
  readonly slowPerS?: number
  readonly prefix?: string
}

/** A minute of a pod that is scraped every second. */
function series({ pod = `service-${HASH}-x7k2p`, namespace = 'dev', endpoint = '/api/products', okPerS, badPerS = 0, ...more }: Pods) {
  const { slowPerS = 0, prefix = 'app' } = more
  const labels = `namespace="${namespace}", pod="${pod}", endpoint="${endpoint}"`
  const counts = (perS: number) => `0+${perS}x60`
  const bucket = (le: string, perS: number) => ({
    series: `${prefix}_request_latency_seconds_bucket{${labels}, le="${le}"}`,
    values: counts(perS),
  })
  const all = okPerS + badPerS
  return [
    { series: `${prefix}_requests_total{${labels}, status="200"}`, values: counts(okPerS) },
    { series: `${prefix}_requests_total{${labels}, status="500"}`, values: counts(badPerS) },
    bucket('0.1', all - slowPerS),
    bucket('2.5', all - slowPerS),
    bucket('5', all),
    bucket('+Inf', all),
  ]
}

const STABLE = { pod: 'service-5c8b9f7d6c-aaaaa' }

/** Pods, and what the share of errors and the p95 are: undefined is no value. */
const CASES: readonly [what: string, pods: readonly Pods[], errors: number | undefined, isSlow: boolean | undefined][] = [
  ['half of its answers are errors', [{ okPerS: 5, badPerS: 5 }], 0.5, false],
  ['all is well', [{ okPerS: 10 }], 0, false],
  ['one request in ten is slow', [{ okPerS: 10, slowPerS: 1 }], 0, true],
  ['one request in forty is slow', [{ okPerS: 40, slowPerS: 1 }], 0, false],
  [
    'two pods of it add up',
    [
      { okPerS: 2, badPerS: 2 },
      { pod: `service-${HASH}-b`, okPerS: 4 },
    ],
    0.25,
    false,
  ],
  ['only the others fail', [{ okPerS: 10 }, { ...STABLE, okPerS: 0, badPerS: 50, slowPerS: 50 }], 0, false],
  ['only the others have traffic', [{ okPerS: 0 }, { ...STABLE, okPerS: 50 }], undefined, undefined],
  ['only another environment has traffic', [{ namespace: 'prod', okPerS: 50, badPerS: 50 }], undefined, undefined],
  ['only its probes are answered', [{ endpoint: '/ready', okPerS: 50 }], undefined, undefined],
  ['it has too little traffic', [{ okPerS: 1, badPerS: 2 }], undefined, undefined],
  ['it has no traffic', [{ okPerS: 0 }], undefined, undefined],
  ['there is none of it', [{ ...STABLE, okPerS: 50 }], undefined, undefined],
  ['it counts under another name', [{ prefix: 'service', okPerS: 50, badPerS: 50 }], undefined, undefined],
]

test(
  'Prometheus answers about the canary alone, and not at all where it has too little traffic',
  async () => {
    const metrics = await metricsOf(`analysis.window="${WINDOW_S}s"`)
    const [errors = '', latency = ''] = metrics.map(({ provider }) => provider.prometheus.query.replaceAll('{{args.hash}}', HASH))
    const samples = (value: number | undefined) => (value === undefined ? [] : [{ labels: '{}', value }])
    const tests = CASES.map(([name, pods, share, isSlow]) => ({
      name,
      interval: '1s',
      input_series: pods.flatMap(series),
      promql_expr_test: [
        { expr: errors, eval_time: '30s', exp_samples: samples(share) },
        { expr: `(${latency}) > bool 1`, eval_time: '30s', exp_samples: samples(isSlow === undefined ? undefined : Number(isSlow)) },
      ],
    }))
    const folder = await mkdtemp(join(tmpdir(), 'holdfast-canary-'))
    try {
      const path = join(folder, 'queries.yaml')
      await writeFile(path, stringify({ evaluation_interval: '1s', rule_files: [], tests }))
      const { exitCode, stdout, stderr } = await exec(await tool('promtool'), ['test', 'rules', path], { accept: [0, 1] })
      assert.is(exitCode, 0, `${stdout}\n${stderr}`)
    } finally {
      await rm(folder, { recursive: true })
    }
  },
  BUILD,
)

// ── By environment and clock ────────────────────────────────────────────────────────────────────────────────────────

function applicationOf(environment: Environment, speedup: number, more: Partial<Target> = {}): KubeObject {
  const timing = { speedup, hpa: { scaleInWindowMs: 300_000 / speedup } }
  const target = { cluster: { kind: 'k3s' } as Cluster, environment, timing, repoUrl: 'http://git/x.git', images: new Map(), ...more }
  const [, application] = service().applications(target as unknown as Target, { image: { digest: DIGEST } })
  if (application === undefined) throw new Error('no Application')
  return application
}

test('dev runs a Deployment; staging and prod run a Rollout, which is what the HPA scales there', async () => {
  for (const [environment, kind] of [
    ['dev', 'Deployment'],
    ['staging', 'Rollout'],
    ['prod', 'Rollout'],
  ] as const) {
    const files = applicationOf(environment, 15).spec.sources[0].helm.valueFiles as string[]
    const { Rollout, HorizontalPodAutoscaler } = await objects(...files.flatMap((file) => ['--values', `${CHART}${file}`]), ...WITH_DIGEST)
    assert.is(Rollout !== undefined, kind === 'Rollout', environment)
    assert.is(at(HorizontalPodAutoscaler, 'spec.scaleTargetRef.kind'), kind)
  }
})

test('the chart is what source names, or what a promotion kept', () => {
  const revisionOf = (more: Partial<Target>) => applicationOf('staging', 15, more).spec.sources[0].targetRevision
  assert.equal([revisionOf({}), revisionOf({ sourceRevision: 'abc' })], ['source', 'abc'])
})

test('on every clock a window holds four scrapes at least, and an interval is no longer than a window', async () => {
  for (const speedup of [...Object.values(stack.timing).map((timing) => timing.speedup), 8, 40]) {
    const values = applicationOf('staging', speedup).spec.sources[0].helm.valuesObject
    const [windowMs, intervalMs, scrapeMs] = [values.analysis.window, values.analysis.interval, values.metrics.interval].map(parseDuration)
    assert.ok((windowMs ?? 0) >= 4 * (scrapeMs ?? Number.NaN), `${windowMs} of ${scrapeMs} ms`)
    assert.ok((intervalMs ?? Number.NaN) <= (windowMs ?? 0))
    const metrics = at((await objects(...ROLLOUT, '--set-json', JSON.stringify(values))).AnalysisTemplate, 'spec.metrics') as Metric[]
    for (const { interval, initialDelay, provider } of metrics) {
      assert.equal([interval, initialDelay], [values.analysis.interval, values.analysis.initialDelay])
      assert.ok(provider.prometheus.query.includes(`[${values.analysis.window}]`))
    }
  }
})

test.run()
