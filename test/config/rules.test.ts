/** The alert rules: what promtool says of them, on production's clock and on the local one, and of its tests themselves. */
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { type ExecResult, exec } from '#kit/exec'
import type { KubeObject } from '#kit/kube'
import { createLimit } from '#kit/limit'
import { root } from '#kit/paths'
import { tool } from '#kit/tools'
import { groupsOf } from '../../alerts/retime.ts'
import { coverageGaps, mutantsOf, type RuleTests, readRuleTests, retimeTests } from '../../alerts/rules/promtool.ts'
import { readRules, renderRules } from '../../alerts/rules.ts'
import { stack } from '../../holdfast.config.ts'
import { assert, suite } from '../suite.ts'

const test = suite('rules')

/** The first use may build promtool. */
const BUILD = { timeoutMs: 900_000 }
const MUTANTS = { timeoutMs: 120_000 }
const SPEEDUPS = Object.values(stack.timing).map(({ speedup }) => speedup)
const running = createLimit(2)

const ruleTests = readRuleTests()
let folder: string

test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-rules-'))
})

test.after(() => rm(folder, { recursive: true, force: true }))

async function promtool(...args: readonly string[]): Promise<ExecResult> {
  return exec(await tool('promtool'), args, { accept: [0, 1, 3] })
}

interface Suite {
  readonly rules: readonly KubeObject[]
  readonly tests: ReadonlyMap<string, RuleTests>
}

/** promtool reads the groups of a rule file, not the object around them. @returns the paths of each */
async function write(name: string, { rules, tests }: Suite): Promise<{ rules: string[]; tests: string[] }> {
  const at = join(folder, name)
  await mkdir(join(at, 'tests'), { recursive: true })
  const save = async (path: string, content: unknown) => {
    await writeFile(path, stringify(content))
    return path
  }
  const testFiles = [...tests].map(([file, content]) => {
    const inFolder = { ...content, rule_files: content.rule_files.map((each) => `../${each}`) }
    return save(join(at, 'tests', file), inFolder)
  })
  return {
    rules: await Promise.all(rules.map(({ metadata, spec }) => save(join(at, `${metadata.name}.yaml`), spec))),
    tests: await Promise.all(testFiles),
  }
}

function suiteAt(speedup: number): Suite {
  return {
    rules: renderRules({ speedup }),
    tests: new Map([...ruleTests].map(([file, tests]) => [file, retimeTests(tests, speedup)])),
  }
}

/** The files with a case for an alert. */
function testsOf(alert: string): ReadonlyMap<string, RuleTests> {
  const names = (file: RuleTests) => file.tests.flatMap((each) => each.alert_rule_test.map(({ alertname }) => alertname))
  return new Map([...ruleTests].filter(([, file]) => names(file).includes(alert)))
}

for (const speedup of SPEEDUPS) {
  test(
    `promtool accepts the rules ${speedup} times as fast, and their tests pass`,
    async () => {
      const files = await write(`clock-${speedup}`, suiteAt(speedup))
      const checked = await promtool('check', 'rules', '--lint=all', '--lint-fatal', ...files.rules)
      assert.is(checked.exitCode, 0, checked.stdout + checked.stderr)
      const tested = await promtool('test', 'rules', ...files.tests)
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
  assert.is((await promtool('test', 'rules', ...files.tests)).exitCode, 0)
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
      mutants.map(async ({ name, alert, rules }, i) => {
        const files = await write(`mutant-${i}`, { rules, tests: testsOf(alert) })
        const { exitCode, stderr } = await running(() => promtool('test', 'rules', ...files.tests))
        return exitCode === 1 && /alertname: |expr: /.test(stderr) ? [] : [`${name}: exit code ${exitCode} ${stderr}`]
      }),
    )
    assert.equal(survived.flat(), [])
  },
  MUTANTS,
)

test('each alert says how severe it is, what it means and where its runbook is', () => {
  const rules = readRules()
    .flatMap(groupsOf)
    .flatMap((group) => group.rules)
  for (const { alert, labels, annotations } of rules) {
    if (alert === undefined) continue
    assert.ok(['critical', 'warning', 'none'].includes(labels?.severity ?? ''), alert)
    assert.ok(annotations?.summary && annotations.description, alert)
    assert.is(annotations?.runbook, `alerts/runbooks/${alert}.md`)
    assert.ok(existsSync(join(root, annotations?.runbook ?? '')), `${annotations?.runbook} exists`)
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
