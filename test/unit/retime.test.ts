import type { KubeObject } from '#kit/kube'
import { retime, retimePromql } from '../../alerts/retime.ts'
import { readPromql } from '../../alerts/rules/promql.ts'
import { coverageGaps, mutantsOf, type RuleTests, retimeTests } from '../../alerts/rules/promtool.ts'
import { type AlertTiming, alertTiming, expectFiring, expectResolved } from '../../alerts/rules.ts'
import { assert, suite } from '../suite.ts'

const test = suite('retime')

const rule = {
  alert: 'Slow',
  expr: 'rate(x[5m]) > 0.1',
  for: '2m',
  keep_firing_for: '1m',
  labels: { severity: 'warning' },
  annotations: { summary: 'It is slow', description: '{{ $value | humanizePercentage }} of 100 requests in {{ $labels.k8s_zone }}' },
}

function object(changes: object = {}, group: object = {}): KubeObject {
  const groups = [{ name: 'group', interval: '15s', query_offset: '30s', limit: 5, rules: [{ ...rule, ...changes }], ...group }]
  return {
    apiVersion: 'monitoring.coreos.com/v1',
    kind: 'PrometheusRule',
    metadata: { name: 'rules', labels: { a: '5m' } },
    spec: { groups },
  }
}

test('every duration of a rule is divided by the factor, and nothing else changes', () => {
  const groups = [
    {
      name: 'group',
      interval: '1s',
      query_offset: '2s',
      limit: 5,
      rules: [{ ...rule, expr: 'rate(x[20s]) > 0.1', for: '8s', keep_firing_for: '4s' }],
    },
  ]
  assert.equal(retime(object(), 15), { ...object(), spec: { groups } })
})

test('with factor 1 the object is equal, even in its spelling, and the original is never changed', () => {
  const original = object({ expr: 'rate(x[90m]) # [5m]', for: '120s' })
  const copy = structuredClone(original)
  assert.equal(retime(original, 1), copy)
  retime(original, 15)
  assert.equal(original, copy)
})

test('windows, subqueries and offsets are found by the grammar, wherever they stand', () => {
  const cases = {
    'rate(x[5m])': 'rate(x[20s])',
    'rate(x [ 5m ] )': 'rate(x [ 20s ] )',
    'x offset 5m - x offset -1h': 'x offset 20s - x offset -4m',
    'rate(x[5m] offset 1m) / rate(y[1h30m])': 'rate(x[20s] offset 4s) / rate(y[6m])',
    'max_over_time(rate(x[1m])[30m:15s])': 'max_over_time(rate(x[4s])[2m:1s])',
    'max_over_time((x > 0)[30m:] offset 5m)': 'max_over_time((x > 0)[2m:] offset 20s)',
    'sum by (a) (\n  rate(x[5m])\n)': 'sum by (a) (\n  rate(x[20s])\n)',
    'x[5m] @ 1609746000': 'x[20s] @ 1609746000',
  }
  for (const [from, to] of Object.entries(cases)) assert.is(retimePromql(from, 15), to)
})

test('numbers, label values, names and comments that look like durations stay', () => {
  for (const promql of [
    'x{path="/[5m]", window="offset 5m"} > 0.1',
    'x{path=~"a[5m]b"} * 60 >= bool 300',
    'x > 5 # [5m] offset 1h',
    'x:rate5m_offset + on (m5) group_left (s15) y',
    'histogram_quantile(0.95, x) > 0x1d',
    'x > 1e3',
  ]) {
    assert.is(retimePromql(promql, 15), promql)
  }
})

test('what is not PromQL is refused', () => {
  for (const promql of ['', 'rate(x[5m)', 'x[5m', 'x{a="b"', 'rate(x[5min])', 'rate(x[5m*2])', 'x y', 'rate(x[1m5h])']) {
    assert.throws(() => retimePromql(promql, 15), /is not PromQL/, promql)
  }
})

test('a duration that cannot be divided, or that might be a threshold, is refused', () => {
  const cases: Record<string, RegExp> = {
    'rate(x[100s])': /'100s' cannot run 15 times as fast/,
    'x offset 10s': /'10s' cannot run 15 times as fast/,
    'max_over_time(x[1h:10s])': /'10s' cannot run 15 times as fast/,
    'rate(x[300])': /'300' is not a duration/,
    'x > 5m': /'5m' may be a time or a threshold/,
    'x * -1h': /'-1h' may be a time or a threshold/,
    'predict_linear(x[1h], 14400) < 0': /predict_linear\(\) takes a time as a plain number/,
  }
  for (const [promql, pattern] of Object.entries(cases)) assert.throws(() => retimePromql(promql, 15), pattern)
})

test('a window of fewer than four scrapes is refused on every clock', () => {
  for (const factor of [1, 15]) {
    assert.is(retimePromql('rate(x[60s])', factor), factor === 1 ? 'rate(x[60s])' : 'rate(x[4s])')
    assert.throws(() => retimePromql('rate(x[59s])', factor), /its window of 59s holds fewer than 4 scrapes, which come every 15s/)
    assert.throws(() => retimePromql('max_over_time(x[45s:15s])', factor), /its window of 45s holds fewer than 4 scrapes/)
  }
})

test('a refusal names the rule and is one sentence', () => {
  assert.throws(() => retime(object({ expr: 'rate(x[5m' }), 15), /^Cannot retime 'Slow': 'rate\(x\[5m' is not PromQL$/)
  assert.throws(() => retime(object({ for: '10s' }), 15), /Cannot retime 'Slow': '10s' cannot run 15 times as fast/)
  assert.throws(() => retime(object({ for: 120 }), 15), /Cannot retime 'Slow': '120' is not a duration/)
  assert.throws(() => retime(object({}, { interval: '10s' }), 15), /Cannot retime the group 'group': '10s' cannot run/)
})

test('a group without an interval, a field that is not known, and another kind are refused', () => {
  assert.throws(() => retime(object({}, { interval: undefined }), 15), /the group 'group': it names no interval/)
  assert.throws(() => retime(object({ wait: '5m' }), 15), /'Slow': its field 'wait' is not known here/)
  assert.throws(() => retime(object({}, { delay: '5m' }), 15), /the group 'group': its field 'delay' is not known here/)
  assert.throws(() => retime({ ...object(), spec: { groups: [], every: '5m' } }, 15), /the rules 'rules': its field 'every'/)
  assert.throws(() => retime({ ...object(), kind: 'ConfigMap' }, 15), /the rules 'rules': it is a ConfigMap/)
})

test('a text or a name that a faster clock would make untrue is refused', () => {
  for (const text of ['for 5m', 'in 10 minutes', 'over 1.5 hours', 'within 30s.', '{{ query "rate(x[5m])" }}', 'a 2-day window']) {
    assert.throws(() => retime(object({ annotations: { summary: text } }), 1), /names the duration '.+', which a faster clock/, text)
    assert.throws(() => retime(object({ labels: { window: text } }), 15), /names the duration/, text)
  }
  for (const name of ['x:rate5m', 'x:ratio_rate1h', 'x:rate30s_sum']) {
    assert.throws(() => retime(object({ alert: undefined, record: name }), 15), /its name holds a window/, name)
  }
})

test('texts and names without a duration pass', () => {
  for (const text of ['5xx of 10% fail', 'k8s 1.36', '{{ $value | humanizeDuration }}', '95th percentile', '3 pods', 'every second']) {
    retime(object({ annotations: { summary: text } }), 15)
  }
  for (const name of ['x:rate', 'x:p95', 'k8s:http2:rate']) retime(object({ alert: undefined, record: name }), 15)
})

test('an expression tells its series, also behind recorded names', () => {
  const { metrics } = readPromql('sum(rate(a:b[5m])) / on (c) d{e="f"} unless absent(g offset 1h) > 2')
  assert.equal(metrics, ['a:b', 'd', 'g'])
})

// ── The times that follow ───────────────────────────────────────────────────────────────────────────────────────────

test('the times of an alert come from its rules and its route, on either clock', () => {
  const local: AlertTiming = {
    scrapeMs: 1000,
    evaluationMs: 1000,
    windowMs: 20_000,
    shortestWindowMs: 4000,
    threshold: 0.1,
    forMs: 8000,
    keepFiringMs: 0,
    groupWaitMs: 2000,
    groupIntervalMs: 4000,
    repeatMs: 960_000,
    endsMs: 16_000,
  }
  assert.equal(alertTiming({ speedup: 15 }, 'HighErrorRate'), local)
  const production = alertTiming({ speedup: 1 }, 'HighErrorRate')
  for (const [key, value] of Object.entries(local)) {
    assert.is(production[key as keyof AlertTiming], key === 'threshold' ? value : value * 15, key)
  }
})

test('an alert without windows and thresholds has none; one that no rule defines is refused by name', () => {
  const { windowMs, shortestWindowMs, threshold, forMs, groupIntervalMs } = alertTiming({ speedup: 15 }, 'Watchdog')
  assert.equal([windowMs, shortestWindowMs, threshold, forMs, groupIntervalMs], [0, 0, undefined, 0, 4000])
  assert.throws(() => alertTiming({ speedup: 15 }, 'Nothing'), /no rule defines it; there are .*HighErrorRate/)
})

test('the way to firing is a sum of named parts', () => {
  const timing = alertTiming({ speedup: 15 }, 'HighErrorRate')
  const { lowerMs, partsMs } = expectFiring(timing, { from: 0, to: 0.5 })
  assert.is(lowerMs, 10_000)
  assert.equal(partsMs, {
    'window crosses': 4000,
    scrape: 1000,
    evaluation: 1000,
    for: 8000,
    'evaluation at its end': 1000,
    group_wait: 2000,
  })
})

test('the way to resolved is one too', () => {
  const timing = alertTiming({ speedup: 15 }, 'HighErrorRate')
  const { lowerMs, partsMs } = expectResolved(timing, { from: 0.5, to: 0 })
  assert.is(Math.round(lowerMs), 1200)
  assert.equal(partsMs, { 'window crosses': 3200, scrape: 1000, evaluation: 1000, keep_firing_for: 0, group_interval: 4000 })
})

test('a mean that falls crosses its threshold as well, and a step that does not cross is refused', () => {
  const timing = alertTiming({ speedup: 15 }, 'TargetDown')
  assert.is(expectFiring(timing, { from: 1, to: 0 }).partsMs['window crosses'], 4000)
  for (const step of [
    { from: 0, to: 0.05 },
    { from: 0.5, to: 1 },
    { from: 0.2, to: 0.2 },
  ]) {
    assert.throws(() => expectFiring(alertTiming({ speedup: 15 }, 'HighErrorRate'), step), /does not cross the threshold 0.1/)
  }
})

// ── promtool's tests ────────────────────────────────────────────────────────────────────────────────────────────────

const caseOf = (eval_time: string, alertname = 'Slow', fires = false) => ({ eval_time, alertname, exp_alerts: fires ? [{}] : [] })
const testsOf = (...runs: readonly (readonly object[])[]): RuleTests => ({
  rule_files: ['rules.yaml'],
  evaluation_interval: '15s',
  tests: runs.map((cases, i) => ({
    name: `run ${i}`,
    interval: '15s',
    input_series: [],
    alert_rule_test: cases as RuleTests['tests'][number]['alert_rule_test'],
  })),
})
const FIRES_AND_RESOLVES = [caseOf('1m', 'Slow', true), caseOf('2m')]
const SILENT = [caseOf('1m')]

test('the tests run on the same clock as the rules: counters count less, gauges keep their values', () => {
  const before: RuleTests = {
    ...testsOf(FIRES_AND_RESOLVES),
    tests: [
      {
        name: 'run',
        interval: '15s',
        input_series: [
          { series: 'a_total{b="c"}', values: '0+15x40 600 _x3 stale 1.5-7.5x2 30x4 _' },
          { series: 'a_bucket', values: '15' },
          { series: 'up{b="a_total"}', values: '1x20 0x19' },
        ],
        alert_rule_test: FIRES_AND_RESOLVES,
        promql_expr_test: [{ expr: 'rate(a_total[5m]) > 15', eval_time: '5m' }],
      },
    ],
  }
  const [after] = retimeTests(before, 15).tests
  assert.is(retimeTests(before, 15).evaluation_interval, '1s')
  assert.is(after?.interval, '1s')
  assert.equal(
    after?.input_series.map(({ values }) => values),
    ['0+1x40 40 _x3 stale 0.1-0.5x2 2x4 _', '1', '1x20 0x19'],
  )
  assert.equal(
    after?.alert_rule_test.map(({ eval_time }) => eval_time),
    ['4s', '8s'],
  )
  assert.equal(after?.promql_expr_test, [{ expr: 'rate(a_total[20s]) > 15', eval_time: '20s' }])
  assert.equal(retimeTests(before, 1), before)
})

test('a counter’s value that is not understood is refused', () => {
  for (const values of ['0+15', 'abc', '{{schema:1}}', '1x', '0+ax3']) {
    const [run] = testsOf(SILENT).tests
    const file = { ...testsOf(SILENT), tests: [{ ...(run as RuleTests['tests'][number]), input_series: [{ series: 'a_total', values }] }] }
    assert.throws(() => retimeTests(file, 15), /is no value of a counter/, values)
  }
})

test('an alert that fires, stays silent and resolves has no gap', () => {
  assert.equal(coverageGaps([object()], [testsOf(FIRES_AND_RESOLVES, SILENT)]), [])
})

test('each missing case is a gap', () => {
  assert.equal(coverageGaps([object()], [testsOf(FIRES_AND_RESOLVES)]), ['Slow: no test in which it stays silent'])
  assert.equal(coverageGaps([object()], [testsOf([caseOf('1m', 'Slow', true)], SILENT)]), [
    'Slow: no test expects it to resolve after firing',
  ])
  assert.equal(coverageGaps([object()], [testsOf([caseOf('2m', 'Slow', true), caseOf('1m')], SILENT)]), [
    'Slow: no test expects it to resolve after firing',
  ])
  assert.equal(coverageGaps([object()], [testsOf(SILENT)]), [
    'Slow: no test expects it to fire',
    'Slow: no test expects it to resolve after firing',
  ])
  assert.is(coverageGaps([object()], [testsOf([])]).length, 3)
})

test('a name that no rule has is a gap, which promtool passes', () => {
  assert.equal(coverageGaps([object()], [testsOf(FIRES_AND_RESOLVES, SILENT, [caseOf('1m', 'Slwo'), caseOf('2m', 'Slwo')])]), [
    "run 2: no rule defines the alert 'Slwo'; did you mean 'Slow'?",
  ])
})

test('tests that are evaluated at another interval than the group are a gap', () => {
  const file = { ...testsOf(FIRES_AND_RESOLVES, SILENT), evaluation_interval: '1m' }
  assert.equal(coverageGaps([object()], [file]), ['group: is evaluated every 15s, its tests every 1m'])
})

test('an alert that reads no series need only fire', () => {
  const watchdog = object({ alert: 'Watchdog', expr: 'vector(1)' })
  assert.equal(coverageGaps([watchdog], [testsOf([caseOf('1m', 'Watchdog', true)])]), [])
  assert.equal(coverageGaps([watchdog], [testsOf([caseOf('1m', 'Watchdog')])]), ['Watchdog: no test expects it to fire'])
})

test('an alert of another file, of the same name, needs tests of its own and on its own interval', () => {
  const [fast, slow] = [object(), { ...object({}, { name: 'slow', interval: '2m' }), metadata: { name: 'slow' } }]
  const tests = testsOf(FIRES_AND_RESOLVES, SILENT)
  assert.is(coverageGaps([fast, slow], [tests]).length, 3)
  const own = { ...tests, rule_files: ['sources.yaml', 'slow.yaml'], evaluation_interval: '2m' }
  assert.equal(coverageGaps([fast, slow], [tests, own]), [])
  assert.equal(coverageGaps([fast, slow], [tests, { ...own, evaluation_interval: '1m' }]), [
    'slow: is evaluated every 2m, its tests every 1m',
  ])
  assert.equal([...new Set(mutantsOf([fast, slow]).map(({ file }) => file))], ['rules.yaml', 'slow.yaml'])
})

test('a threshold that may be a count is shifted to a whole number', () => {
  const exprs = mutantsOf([object({ expr: 'changes(x[5m]) >= 3', for: undefined })]).map(
    ({ rules: [changed] }) => changed?.spec.groups[0].rules[0].expr,
  )
  assert.equal(exprs, ['changes(x[5m]) >= 2', 'changes(x[5m]) >= 5'])
})

test('a mutant changes one threshold or one for, and leaves the rest', () => {
  const mutants = mutantsOf([object({ expr: 'rate(x[5m]) > 0.5 and y >= 10 and z > 0' })])
  const first = ({ rules: [changed] }: (typeof mutants)[number]) => changed?.spec.groups[0].rules[0]
  assert.equal(
    mutants.map((mutant) => [mutant.name, first(mutant).expr, first(mutant).for]),
    [
      ['Slow: threshold 1 of 2 times 0.7', 'rate(x[5m]) > 0.35 and y >= 10 and z > 0', '2m'],
      ['Slow: threshold 2 of 2 times 0.7', 'rate(x[5m]) > 0.5 and y >= 7 and z > 0', '2m'],
      ['Slow: for times 0.7', 'rate(x[5m]) > 0.5 and y >= 10 and z > 0', '1m24s'],
      ['Slow: threshold 1 of 2 times 1.4', 'rate(x[5m]) > 0.7 and y >= 10 and z > 0', '2m'],
      ['Slow: threshold 2 of 2 times 1.4', 'rate(x[5m]) > 0.5 and y >= 14 and z > 0', '2m'],
      ['Slow: for times 1.4', 'rate(x[5m]) > 0.5 and y >= 10 and z > 0', '2m48s'],
    ],
  )
})

test.run()
