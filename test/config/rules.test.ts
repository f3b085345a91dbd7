/** The alert rules: what promtool says of them, on production's clock and on the local one, and of its tests themselves. */
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { KubeObject } from '#kit/kube'
import { createLimit } from '#kit/limit'
import { root } from '#kit/paths'
import { groupsOf } from '../../alerts/retime.ts'
import { promtool, type RuleSuite, suiteAt, writeSuite } from '../../alerts/rules/files.ts'
import { readPromql } from '../../alerts/rules/promql.ts'
import { coverageGaps, mutantsOf, type RuleMutant, type RuleTest, type RuleTests, readRuleTests } from '../../alerts/rules/promtool.ts'
import { readRules, renderRules } from '../../alerts/rules.ts'
import { stack } from '../../holdfast.config.ts'
import { assert, suite } from '../suite.ts'

const test = suite('rules')

/** The first use may build promtool. */
const BUILD = { timeoutMs: 900_000 }
/** Each is a run of promtool, and objectives over days take seconds. */
const MUTANTS = { timeoutMs: 400_000 }
const SPEEDUPS = Object.values(stack.timing).map(({ speedup }) => speedup)
const running = createLimit(2)

const ruleTests = readRuleTests()
let folder: string

test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-rules-'))
})

test.after(() => rm(folder, { recursive: true, force: true }))

const write = (name: string, suite: RuleSuite) => writeSuite(join(folder, name), suite)

/** The tests with a case for an alert of that rule file. */
function testsOf({ alert, file: rules }: RuleMutant): ReadonlyMap<string, RuleTests> {
  const isOfIt = ({ alert_rule_test }: RuleTest) => alert_rule_test.some(({ alertname }) => alertname === alert)
  const own = [...ruleTests].map(([name, file]) => [name, { ...file, tests: file.tests.filter(isOfIt) }] as const)
  return new Map(own.filter(([, { rule_files, tests }]) => rule_files.includes(rules) && tests.length > 0))
}

/** What is recorded, and one alert: the others only cost time. */
function withOnly(alert: string, rules: readonly KubeObject[]): KubeObject[] {
  return rules.map((object) => {
    const groups = groupsOf(object).map((group) => ({
      ...group,
      rules: group.rules.filter((rule) => rule.alert === undefined || rule.alert === alert),
    }))
    return { ...object, spec: { ...object.spec, groups } }
  })
}

for (const speedup of SPEEDUPS) {
  test(
    `promtool accepts the rules ${speedup} times as fast, and their tests pass`,
    async () => {
      const files = await write(`clock-${speedup}`, suiteAt(speedup))
      const checked = await promtool(['check', 'rules', '--lint=all', '--lint-fatal', ...files.rules])
      assert.is(checked.exitCode, 0, checked.stdout + checked.stderr)
      const tested = await promtool(['test', 'rules', ...files.tests])
      assert.is(tested.exitCode, 0, tested.stderr)
      assert.is(tested.stdout.match(/SUCCESS/g)?.length, ruleTests.size, 'each file was run')
    },
    BUILD,
  )
}

test('each alert has a test in which it fires, one in which it stays silent, one in which it resolves; no test names another', () => {
  assert.equal(coverageGaps(readRules(), [...ruleTests.values()]), [])
})

test('promtool passes a misspelt alert and one without tests; the coverage check does not', async () => {
  const [file, tests] = [...ruleTests].find(([name]) => name === 'platform.yaml') ?? []
  assert.ok(file !== undefined && tests !== undefined)
  const onlyWatchdog = tests.tests.filter(({ name }) => name.startsWith('Watchdog'))
  const misspelt = { eval_time: '1m', alertname: 'TragetDown', exp_alerts: [] }
  const poor = { ...tests, tests: onlyWatchdog.map((each) => ({ ...each, alert_rule_test: [...each.alert_rule_test, misspelt] })) }
  const files = await write('poor', { rules: readRules(), tests: new Map([[file, poor]]) })
  assert.is((await promtool(['test', 'rules', ...files.tests])).exitCode, 0)
  const gaps = coverageGaps(readRules(), [poor])
  for (const gap of [
    "Watchdog always fires: no rule defines the alert 'TragetDown'; did you mean 'TargetDown'?",
    'TargetDown: no test expects it to fire',
    'TargetDown: no test in which it stays silent',
    'TargetDown: no test expects it to resolve after firing',
  ]) {
    assert.ok(gaps.includes(gap), gap)
  }
})

test(
  'rules with a threshold or a for that is a little wrong fail their tests',
  async () => {
    const mutants = mutantsOf(readRules())
    assert.ok(mutants.length >= 12, 'there are mutants')
    const survived = await Promise.all(
      mutants.map(async (mutant, i) => {
        const { name, alert, rules } = mutant
        const files = await write(`mutant-${i}`, { rules: withOnly(alert, rules), tests: testsOf(mutant) })
        const { exitCode, stderr } = await running(() => promtool(['test', 'rules', ...files.tests]))
        return exitCode === 1 && /alertname: |expr: /.test(stderr) ? [] : [`${name}: exit code ${exitCode} ${stderr}`]
      }),
    )
    assert.equal(survived.flat(), [])
  },
  MUTANTS,
)

test('each alert says how severe it is, what it means and where its runbook and its dashboard are', () => {
  const rules = readRules()
    .flatMap(groupsOf)
    .flatMap((group) => group.rules)
  for (const { alert, labels, annotations } of rules) {
    if (alert === undefined) continue
    assert.ok(['critical', 'warning', 'none'].includes(labels?.severity ?? ''), alert)
    assert.ok(annotations?.summary && annotations.description, alert)
    assert.is(annotations?.runbook, `docs/runbooks/${alert}.md`)
    assert.ok(existsSync(join(root, annotations?.runbook ?? '')), `${annotations?.runbook} exists`)
    assert.match(annotations?.dashboard ?? '', /^alerts\/dashboards\/\w+\.json$/)
    assert.ok(existsSync(join(root, annotations?.dashboard ?? '')), `${annotations?.dashboard} exists`)
  }
})

/** Of thirty days; https://sre.google/workbook/alerting-on-slos/ has the factors. */
const BUDGETS: Readonly<Record<string, number>> = { availability: 0.001, latency: 0.01 }
const BURNS: Readonly<Record<string, readonly (readonly [factor: number, windows: readonly string[]])[]>> = {
  fast: [
    [14.4, ['1h']], // its short window is the recorded ratio's
    [6, ['6h', '30m']],
  ],
  slow: [
    [3, ['1d', '2h']],
    [1, ['3d', '6h']],
  ],
}
const LEAST_REQUESTS = 0.1

test('each objective is watched over the same windows, with the same multiples of its own budget', () => {
  const rules = readRules()
    .flatMap(groupsOf)
    .flatMap((group) => group.rules.filter(({ labels }) => labels?.slo !== undefined))
  const pairs = rules.map(({ labels }) => `${labels?.slo} ${labels?.speed}`)
  assert.equal(pairs.sort(), ['availability fast', 'availability slow', 'latency fast', 'latency slow'])
  for (const { alert, expr, labels } of rules) {
    const { literals } = readPromql(expr)
    const budget = BUDGETS[labels?.slo ?? ''] ?? 0
    const burns = BURNS[labels?.speed ?? ''] ?? []
    assert.equal(
      literals.filter(({ role }) => role === 'threshold').map(({ text }) => text),
      burns.flatMap(([factor]) => [factor * budget, factor * budget, LEAST_REQUESTS]).map((value) => String(Number(value.toPrecision(6)))),
      `${alert} ${labels?.speed}`,
    )
    const windows = literals.filter(({ role }) => role === 'window').map(({ text }) => text)
    assert.equal(
      windows,
      burns.flatMap(([, [long = '', ...short]]) => [long, long, ...short.flatMap((each) => [each, each]), long]),
    )
  }
})

test('the rules are in monitoring, and belong to the stack', () => {
  for (const { kind, metadata } of renderRules({ speedup: 15 })) {
    assert.is(kind, 'PrometheusRule')
    assert.is(metadata.namespace, 'monitoring')
    assert.is(metadata.labels?.['app.kubernetes.io/part-of'], 'holdfast')
  }
})

test.run()
