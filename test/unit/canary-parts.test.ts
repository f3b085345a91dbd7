/** What canaries are made of and judged by: their evidence, the version that fails, run for real, and what mutants make of the template. */
import { type Context, isRolledOut, marked, type Scenario } from '#core'
import type { KubeObject, ObjectRef } from '#kit/kube'
import { failureLimit99, metricRenamed, nanOnly, noData } from '../../argocd/scenarios/canary-mutants.ts'
import { analysisOf, measured } from '../../argocd/scenarios/canary-place.ts'
import { FAULTY_ARGS, faulty } from '../../argocd/scenarios/variants.ts'
import { assert, suite } from '../suite.ts'
import { analysis, FAILED, object, PLACE, rollout } from './canary-fixture.ts'
import { bundleMain, startMain } from './service-process.ts'

const test = suite('canary parts')

// ── Evidence ────────────────────────────────────────────────────────────────────────────────────────────────────────

test('a measurement without a number is none', () => {
  const values = ['[0]', '[0.5]', '[1e-05]', '[NaN]', '[+Inf]', '[]', '[0,1]', '', undefined]
  const run = analysis(
    'Failed',
    values.map((value) => (value === undefined ? ['Failed'] : ['Failed', value])),
  )
  assert.is(measured(run, 'errors', 'Failed'), 3)
  assert.is(measured(run, 'latency', 'Failed'), 0)
  assert.is(measured(undefined, 'errors', 'Failed'), 0)
})

test('an analysis of before is none of this round', () => {
  const event = { type: 'MODIFIED' as const, object: FAILED, atMs: 1 }
  assert.is(analysisOf(event, [])?.metadata.name, FAILED.metadata.name)
  assert.is(analysisOf(event, [FAILED]), undefined)
})

test('a rollout is at rest once it is healthy, all of one revision, and has seen the newest template', () => {
  const template = object('Deployment', 'service', {})
  const withGeneration = (of: KubeObject, generation: number) => ({ ...of, metadata: { ...of.metadata, generation } })
  const calm = { phase: 'Healthy', currentPodHash: 'aaaa', observedGeneration: '3', workloadObservedGeneration: '7' }
  const at = (status: object) => isRolledOut(withGeneration(template, 7), withGeneration(rollout({ ...calm, ...status }), 3))
  assert.ok(at({}))
  for (const status of [
    { phase: 'Degraded' },
    { phase: 'Paused' },
    { currentPodHash: 'bbbb' },
    { observedGeneration: '2' },
    { workloadObservedGeneration: '6' },
    { stableRS: undefined, currentPodHash: undefined },
  ])
    assert.not.ok(at(status), JSON.stringify(status))
  assert.not.ok(isRolledOut(undefined, rollout({ ...calm, workloadObservedGeneration: '7' })))
})

// ── Versions and mutants ────────────────────────────────────────────────────────────────────────────────────────────

test('a marked version is another one, always the same, and runs as before', () => {
  const config = { Entrypoint: ['/usr/local/bin/node', '/app/server.mjs'], Labels: { a: 'b' } }
  assert.equal(marked('good')(config), { ...config, Labels: { a: 'b', 'dev.holdfast.proof': 'good' } })
  assert.equal(faulty(config).Entrypoint, ['/usr/local/bin/node', ...FAULTY_ARGS, '/app/server.mjs'])
})

test(
  'the faulty version is ready, fails every second request as the service itself counts it, and drains',
  async () => {
    await using bundle = await bundleMain()
    const main = startMain({ VERSION: 'bad', LOG_REQUESTS: 'off' }, { bundle: bundle.file, nodeArgs: FAULTY_ARGS })
    const { url, metrics, probes } = await main.listening
    const statuses: number[] = []
    for (let i = 0; i < 20; i++) {
      const answer = await fetch(`${url}/api/products`)
      statuses.push(answer.status)
      assert.is(answer.headers.get('x-version'), 'bad')
    }
    assert.is(statuses.filter((status) => status === 500).length, 10)
    assert.is(statuses.filter((status) => status === 200).length, 10)
    for (const address of [`${url}/ready`, `${url}/health`, `${probes}/ready`, `${probes}/health`])
      assert.is((await fetch(address)).status, 200)
    const text = await (await fetch(`${metrics}/metrics`)).text()
    assert.match(text, 'app_requests_total{method="GET",endpoint="/api/products",status="500"} 10')
    main.child.kill('SIGTERM')
    assert.equal(await main.ended, [0, null])
  },
  { timeoutMs: 30_000 },
)

const TEMPLATE = object('AnalysisTemplate', 'service-canary', {
  spec: {
    args: [{ name: 'hash' }],
    metrics: [
      {
        name: 'errors',
        failureLimit: 1,
        consecutiveSuccessLimit: 3,
        count: 14,
        provider: { prometheus: { address: 'x', query: 'app_requests_total' } },
      },
    ],
  },
})
const FILES = new Map([
  ['environments/staging/service.yaml', 'image: { digest: "sha256:old" }\n'],
  [
    'applications/application.argocd.service-staging.yaml',
    JSON.stringify({ spec: { sources: [{ helm: { valuesObject: { analysis: { window: '6s' }, image: { digest: 'sha256:old' } } } }] } }),
  ],
])

/** What a mutant lays beside the chart's template, and what its undo does. */
async function brokenBy(mutant: Scenario['mutants'][number]) {
  const kube = { get: async ({ kind }: ObjectRef) => (kind === 'AnalysisTemplate' ? TEMPLATE : undefined) }
  const applied: KubeObject[] = []
  const stop = new Error('enough')
  const apply = async (given: KubeObject) => {
    applied.push(given)
    throw stop
  }
  const git = async () => ({ readDeploy: async () => ({ sha: 'x', files: FILES }) })
  const broken = await mutant.break?.({ cluster: { kube: { ...kube, apply } }, git } as unknown as Context)
  await broken?.apply().catch((thrown) => assert.is(thrown, stop))
  return { metric: applied[0]?.spec.metrics[0], copy: applied[0], undo: broken?.undo }
}

test('a mutant judges by a copy of the template, and its undo writes Git’s values back before the copy goes', async () => {
  const { copy, metric, undo } = await brokenBy(metricRenamed(PLACE))
  assert.equal(copy?.metadata, { name: 'proof-metric-renamed', namespace: 'staging' })
  assert.equal(copy?.spec.args, [{ name: 'hash' }])
  assert.is(metric.provider.prometheus.query, 'app_requests_renamed_total')
  assert.equal(
    undo?.map(({ op }) => op),
    ['commit', 'delete'],
  )
})

test('each mutant changes what its name says', async () => {
  const limits = (await brokenBy(failureLimit99(PLACE))).metric
  assert.is(limits.failureLimit, 99)
  assert.ok(limits.count >= limits.failureLimit + limits.consecutiveSuccessLimit, 'else it would be refused')
  assert.is((await brokenBy(nanOnly(PLACE))).metric.provider.prometheus.query, 'vector(0) / vector(0)')
  assert.is((await brokenBy(noData(PLACE))).metric.provider.prometheus.query, 'vector(1) < 0')
})

test.run()
