/** The dashboards: that Grafana can show them, and that what they ask for is scraped, and often enough. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parse } from 'yaml'
import { parseDuration } from '#kit/duration'
import { root } from '#kit/paths'
import { type Dashboard, queriesOf, readDashboards, retimeDashboard, variableSelectors } from '../../alerts/dashboards.ts'
import { groupsOf, PRODUCTION } from '../../alerts/retime.ts'
import { readPromql } from '../../alerts/rules/promql.ts'
import { readRules } from '../../alerts/rules.ts'
import { assert, suite } from '../suite.ts'

const test = suite('dashboards')

const dashboards = [...readDashboards()]
const variables = { namespace: 'dev', node: '.+' }
/** In braces, for Grafana: whoever looks chooses which. */
const DATASOURCE = ['$', '{datasource}'].join('')
/** Grafana shows any other text as it is. */
const UNITS = ['reqps', 'percentunit', 's', 'short', 'none', 'bytes', 'Bps']

const metricsIn = (promql: string) => readPromql(promql).metrics
const panelsOf = ({ panels }: Dashboard) => panels.map((panel) => ({ ...panel, ...panel.gridPos }))

for (const [file, dashboard] of dashboards) {
  test(`${file} holds what Grafana needs: titles, units, queries, the reader's choice of a data source, and nothing upon another`, () => {
    assert.match(dashboard.title, /^Holdfast \/ \w+$/)
    assert.ok(parseDuration(dashboard.refresh) >= parseDuration(PRODUCTION.scrapeInterval), 'more often than there is anything new')
    assert.is(dashboard.templating.list[0]?.type, 'datasource')
    const panels = panelsOf(dashboard)
    for (const each of ['id', 'title'] as const) assert.is(new Set(panels.map((panel) => panel[each])).size, panels.length, each)
    for (const { title, description, datasource, fieldConfig, targets } of panels) {
      assert.ok(title !== '' && description.endsWith('.'), title)
      assert.is(datasource.uid, DATASOURCE)
      assert.ok(UNITS.includes(fieldConfig.defaults.unit ?? ''), `${title}: unit ${fieldConfig.defaults.unit}`)
      assert.ok(targets.length > 0 && targets.every(({ expr, legendFormat }) => expr !== '' && legendFormat !== ''), title)
      assert.is(new Set(targets.map(({ refId }) => refId)).size, targets.length, title)
    }
    const overlaps = panels.filter((a) =>
      panels.some((b) => a.id < b.id && a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h),
    )
    assert.equal(overlaps, [])
  })

  test(`${file} has no character that a wrong encoding would break`, async () => {
    assert.match(await readFile(join(root, 'alerts/dashboards', file), 'utf8'), /^[\n\x20-\x7e]*$/)
  })
}

test('no two dashboards have one uid, and every service panel of an alert is there', () => {
  assert.is(new Set(dashboards.map(([, { uid }]) => uid)).size, dashboards.length)
  const titles = dashboards.flatMap(([, { panels }]) => panels.map(({ title }) => title))
  for (const title of ['Request rate', 'Error share', 'Latency', 'Restarts']) assert.ok(titles.includes(title), title)
})

// ── Queries ─────────────────────────────────────────────────────────────────────────────────────────────────────────

test('every query is PromQL on either clock, and no variable is left in it', () => {
  for (const speedup of [1, 15]) {
    const queries = dashboards.flatMap(([, dashboard]) => queriesOf(dashboard, { speedup, variables }))
    assert.ok(queries.length >= 30, `${queries.length} queries`)
    for (const { promql } of queries) {
      assert.not.match(promql, /\$/)
      assert.ok(metricsIn(promql).length > 0, promql)
    }
  }
})

test('what the choices of a variable are read from is PromQL', () => {
  const selectors = dashboards.flatMap(([, dashboard]) => variableSelectors(dashboard))
  const chosen = dashboards.flatMap(([, { templating }]) => templating.list.filter(({ type }) => type === 'query'))
  assert.is(selectors.length, chosen.length)
  for (const selector of selectors) assert.is(metricsIn(selector).length, 1)
})

test('windows are Grafana’s: no query names one that another zoom or clock would make wrong', () => {
  for (const [file, { panels }] of dashboards) {
    for (const { expr } of panels.flatMap(({ targets }) => targets)) {
      const windows = [...expr.matchAll(/\[([^\]]*)\]/g)].map(([, window]) => window)
      assert.ok(
        windows.every((window) => window === '$__rate_interval'),
        `${file}: ${expr}`,
      )
    }
  }
})

test('a rate spans four scrapes of what it reads, or a step and one of them', () => {
  const target = { refId: 'A', expr: `rate(x{a="$a", b="$${'{b}'}"}[$__rate_interval])`, legendFormat: 'x' }
  const dashboard = { title: 't', templating: { list: [] }, panels: [{ title: 'p', fieldConfig: { defaults: {} }, targets: [target] }] }
  const asked = (interval: string | undefined, view: { speedup: number; stepMs?: number }) => {
    const targets = [interval === undefined ? target : { ...target, interval }]
    const changed = { ...dashboard, panels: [{ ...dashboard.panels[0], targets }] } as unknown as Dashboard
    return queriesOf(changed, { variables: { a: '1', b: '2' }, ...view })[0]?.promql
  }
  assert.is(asked(undefined, { speedup: 1 }), 'rate(x{a="1", b="2"}[1m])')
  assert.is(asked(undefined, { speedup: 15 }), 'rate(x{a="1", b="2"}[4s])')
  assert.is(asked('120s', { speedup: 1 }), 'rate(x{a="1", b="2"}[8m])')
  assert.is(asked('120s', { speedup: 15 }), 'rate(x{a="1", b="2"}[32s])')
  assert.is(asked(undefined, { speedup: 15, stepMs: 11_000 }), 'rate(x{a="1", b="2"}[12s])')
  assert.throws(() => queriesOf(dashboard as unknown as Dashboard, { speedup: 1, variables: { a: '1' } }), /no value for the variable 'b'/)
})

test('a faster clock divides the least steps, and nothing else', () => {
  for (const [, dashboard] of dashboards) {
    assert.equal(retimeDashboard(dashboard, 1), dashboard)
    const fast = JSON.stringify(retimeDashboard(dashboard, 15))
    assert.is(
      fast.replaceAll('"interval":"4s"', '"interval":"60s"').replaceAll('"interval":"8s"', '"interval":"120s"'),
      JSON.stringify(dashboard),
    )
  }
})

// ── What is scraped ─────────────────────────────────────────────────────────────────────────────────────────────────

interface Source {
  readonly keeps: RegExp
  readonly interval: string
}

interface Relabeling {
  readonly regex?: string
  readonly action?: string
}

/** What no list says: the service's own names, those of the node exporter and of the kubelet's resources, and Prometheus' own. */
const UNLISTED: readonly Source[] = [
  { keeps: /^(up|ALERTS)$/, interval: PRODUCTION.scrapeInterval },
  { keeps: /^app_(requests_total|request_latency_seconds_(bucket|sum|count))$/, interval: PRODUCTION.scrapeInterval },
  { keeps: /^service:replicas:max$/, interval: PRODUCTION.scrapeInterval },
  { keeps: /^container_(cpu_usage_seconds_total|memory_working_set_bytes|start_time_seconds)$/, interval: '60s' },
  {
    keeps:
      /^node_(cpu_seconds_total|load1|memory_Mem(Total|Available)_bytes|filesystem_(size|avail)_bytes|disk_(read|written)_bytes_total|pressure_(cpu|memory|io)_waiting_seconds_total|uname_info)$/,
    interval: '60s',
  },
]

async function sources(): Promise<Source[]> {
  const jobs = parse(await readFile(join(root, 'alerts/prometheus/scrapes.yaml'), 'utf8')) as {
    scrape_interval: string
    metric_relabel_configs?: Relabeling[]
  }[]
  const monitors = (await readFile(join(root, 'alerts/prometheus/monitors.yaml'), 'utf8')).split(/^---$/m).map((text) => parse(text))
  const recorded = readRules().flatMap(groupsOf)
  return [
    ...jobs.flatMap((job) => kept(job.metric_relabel_configs, job.scrape_interval)),
    ...monitors.flatMap(({ spec }) => kept(spec.endpoints[0].metricRelabelings, spec.endpoints[0].interval)),
    ...recorded.flatMap(({ interval, rules }) =>
      rules.flatMap(({ record }) => (record === undefined ? [] : [{ keeps: new RegExp(`^${record}$`), interval }])),
    ),
    ...UNLISTED,
  ]
}

function kept(relabelings: readonly Relabeling[] = [], interval: string): Source[] {
  return relabelings.filter(({ action }) => action === 'keep').map(({ regex }) => ({ keeps: new RegExp(`^(?:${regex})$`), interval }))
}

test('every metric of a dashboard is one that is scraped or recorded', async () => {
  const known = await sources()
  for (const [file, dashboard] of dashboards) {
    const asked = [...queriesOf(dashboard, { speedup: 1, variables }).map(({ promql }) => promql), ...variableSelectors(dashboard)]
    const unknown = asked.flatMap(metricsIn).filter((metric) => !known.some(({ keeps }) => keeps.test(metric)))
    assert.equal([...new Set(unknown)], [], file)
  }
})

test('no query has a least step shorter than the scrapes that it reads', async () => {
  const known = await sources()
  const scrapeMs = (metric: string) => parseDuration(known.find(({ keeps }) => keeps.test(metric))?.interval ?? '1h')
  for (const [file, dashboard] of dashboards) {
    const targets = dashboard.panels.flatMap(({ targets: each }) => each)
    for (const [i, { promql }] of queriesOf(dashboard, { speedup: 1, variables }).entries()) {
      if (!promql.includes('[')) continue
      const slowestMs = Math.max(...metricsIn(promql).map(scrapeMs))
      assert.ok(parseDuration(targets[i]?.interval ?? PRODUCTION.scrapeInterval) >= slowestMs, `${file}: ${promql}`)
    }
  }
})

test.run()
