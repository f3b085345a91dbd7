/** Every query of every dashboard, asked of the running Prometheus under a load whose figures are known. */
import { type LoadSecond, openRun, startLoad, unmeasured } from '#core'
import { createProgress } from '#kit/progress'
import { type AskProm, promQuery, promRules, type Sample } from '#kit/prom'
import { pending, ready, waitFor } from '#kit/wait'
import { type DashboardQuery, queriesOf, readDashboards, type View, variableSelectors } from '../../alerts/dashboards.ts'
import { stack } from '../../holdfast.config.ts'
import { assert, suite } from '../suite.ts'
import { clusterName, runningCluster } from './stack.ts'

const test = suite('dashboards')

const { local } = stack.timing
const RATE_PER_S = 20
const LOAD_S = 20
/** Rates look back this long, all of it under load. */
const SEEN_S = 12
/** A rate is stretched to its window: one of a processor that idles may come out a little above 1. */
const EXTRAPOLATED = 0.02
const PATH = '/api/products'
/** Two in ten fail, three in ten take 300 ms, which is between the buckets of 0.25 and 0.5 s. */
const PROFILE = {
  name: 'dashboards',
  about: 'Of ten requests two fail, three are slow.',
  stages: [
    {
      name: 'mixed',
      forMs: LOAD_S * 1000,
      ratePerS: RATE_PER_S,
      requests: [
        { path: PATH, weight: 5 },
        { path: PATH, headers: { 'x-fault': 'status=500' }, expect: 500, weight: 2 },
        { path: PATH, headers: { 'x-fault': 'delay=300' }, weight: 3 },
      ],
    },
  ],
}

/** What a healthy stack may have no data for, and why. */
const MAY_BE_EMPTY: Readonly<Record<string, string>> = {
  'Holdfast / Node: Pressure': 'not every kernel tells its pressure',
  'Holdfast / Node: Disk traffic': 'not every machine shows its disks to a container',
}

const files = [...readDashboards()]
/** A step of so long gives rates over SEEN_S seconds of what is scraped every second. */
const view: View = { speedup: local.speedup, variables: { namespace: 'dev', node: '.+' }, stepMs: (SEEN_S - 1) * 1000 }
const nameOf = ({ dashboard, panel }: DashboardQuery) => `${dashboard}: ${panel}`

/** A changed ConfigMap reaches the pod that mounts it within 60 to 90 s, and rules are in one. */
const RULES_TIMEOUT_MS = 120_000

let ask: AskProm
test.before(
  async ({ signal }) => {
    const cluster = await runningCluster()
    ask = (path, init) => cluster.fetch('prometheus', path, init)
    const look = async () => {
      const [objects, groups] = await Promise.all([
        cluster.kube.list({ apiVersion: 'monitoring.coreos.com/v1', kind: 'PrometheusRule' }),
        promRules(ask),
      ])
      const wanted: string[] = objects.flatMap(({ spec }) => spec.groups.map((group: { name: string }) => group.name))
      const missing = wanted.filter((name) => !groups.some((group) => group.name === name))
      return missing.length === 0 ? ready(undefined) : pending(`not loaded: ${missing.join(', ')}`)
    }
    await waitFor('Prometheus to load every rule of the cluster', look, { timeoutMs: RULES_TIMEOUT_MS, signal })
  },
  { timeoutMs: RULES_TIMEOUT_MS },
)

interface Answer {
  readonly query: DashboardQuery
  readonly samples: readonly Sample[]
}

async function askAll(): Promise<Answer[]> {
  const queries = files.flatMap(([, dashboard]) => queriesOf(dashboard, view))
  return Promise.all(queries.map(async (query) => ({ query, samples: await promQuery(ask, query.promql) })))
}

/** The one value that a query of the service's dashboard shows. */
function shown(answers: readonly Answer[], panel: string, refId = 'A'): number {
  const found = answers.find(({ query }) => nameOf(query) === `Holdfast / Service: ${panel}` && query.refId === refId)
  assert.is(found?.samples.length, 1, `${panel} ${refId}: ${JSON.stringify(found?.samples)}`)
  return found?.samples[0]?.value ?? Number.NaN
}

test(
  'under a known load the panels show its figures, and every other query has data',
  async ({ signal }) => {
    const seconds: LoadSecond[] = []
    using progress = createProgress()
    await using run = await openRun(stack, { name: clusterName, progress, signal })
    await using running = await startLoad(PROFILE, run.context, (second) => void seconds.push(second))
    const look = async () => (seconds.length > SEEN_S + 2 ? ready(undefined) : pending(`${seconds.length} seconds of load`))
    await waitFor(`${SEEN_S} seconds of load to be scraped`, look, { timeoutMs: LOAD_S * 1000, everyMs: 250, signal })
    const answers = await askAll()

    const empty = answers.filter(({ query, samples }) => samples.length === 0 && MAY_BE_EMPTY[nameOf(query)] === undefined)
    assert.equal(
      empty.map(({ query }) => `${nameOf(query)} ${query.refId}: ${query.promql}`),
      [],
    )
    for (const { query, samples } of answers) {
      assert.ok(
        samples.every(({ value }) => Number.isFinite(value) && value >= -EXTRAPOLATED),
        `${nameOf(query)}: ${JSON.stringify(samples)}`,
      )
      if (query.unit !== 'percentunit') continue
      assert.ok(
        samples.every(({ value }) => value <= 1 + EXTRAPOLATED),
        `${nameOf(query)} is a share: ${JSON.stringify(samples)}`,
      )
    }

    const [rate, share, p95] = [shown(answers, 'Request rate'), shown(answers, 'Error share'), shown(answers, 'Latency')]
    assert.ok(Math.abs(rate / RATE_PER_S - 1) <= 0.1, `${rate} requests/s instead of ${RATE_PER_S}`)
    assert.ok(Math.abs(share - 0.2) <= 0.03, `${share} of the requests fail instead of 0.2`)
    assert.ok(p95 > 0.25 && p95 <= 0.5, `the p95 is ${p95} s`)
    assert.ok(shown(answers, 'Pods') >= 2)

    const summary = await running.done
    assert.is(unmeasured(summary), undefined)
    assert.is(summary.failed, 0, 'each request was answered as it asked')
  },
  { timeoutMs: 60_000 },
)

test('there is something to choose for every variable', async () => {
  for (const selector of files.flatMap(([, dashboard]) => variableSelectors(dashboard))) {
    assert.ok((await promQuery(ask, selector)).length > 0, selector)
  }
})

test.run()
