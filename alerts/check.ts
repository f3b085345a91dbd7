import { type Gate, goVersionOf, have, type Look, ownVersion } from '#kit/gate/gate'
import { type PulledTool, pulledVersion, runPulled } from '#kit/gate/pulled'
import { temporaryFolder } from '#kit/temporary'
import { oneLine } from '#kit/text'
import { tool } from '#kit/tools'
import { promtool, suiteAt, writeSuite } from './rules/files.ts'
import { coverageGaps, readRuleTests } from './rules/promtool.ts'
import { readRules } from './rules.ts'

/** Pinned by its tag alone: its digest was not at hand. UNVERIFIED by a pull. */
const PINT: PulledTool = { ref: 'ghcr.io/cloudflare/pint:0.87.0' }
const PROMETHEUS = 'alerts/prometheus/module'
const TESTS = 'alerts/rules/tests'

/** @param speedups the clocks that the rules run on: 1 is production's. */
export function rulesGate(speedups: readonly number[]): Gate {
  return {
    name: 'rules',
    checks: [
      {
        tool: 'promtool',
        source: 'Go module',
        pin: `${PROMETHEUS}/go.mod`,
        about: 'the rules and their unit tests, on each clock',
        version: () => goVersionOf(PROMETHEUS, 'github.com/prometheus/prometheus'),
        async run(look) {
          await have(() => tool('promtool', look.signal), look.signal)
          return (await Promise.all(speedups.map((speedup) => runPromtool(speedup, look)))).flat()
        },
      },
      {
        tool: 'coverage',
        source: 'ours',
        pin: 'alerts/rules/promtool.ts',
        about: 'each alert has tests in which it fires, stays silent and resolves',
        version: ownVersion,
        run: async ({ root }) =>
          coverageGaps(readRules(root), [...readRuleTests(root).values()]).map((gap) => `${TESTS}:1 — ${gap} — add the test`),
      },
      {
        tool: 'pint',
        source: 'pulled',
        pin: 'alerts/check.ts',
        about: 'queries that cannot work, labels that are not there',
        version: async () => pulledVersion(PINT),
        run: runPint,
      },
    ],
  }
}

async function runPromtool(speedup: number, { root, signal }: Look): Promise<string[]> {
  await using folder = await temporaryFolder('rules')
  const suite = suiteAt(speedup, root)
  const files = await writeSuite(folder.path, suite)
  const checked = await promtool(['check', 'rules', '--lint=all', '--lint-fatal', ...files.rules], signal)
  const tested = await promtool(['test', 'rules', ...files.tests], signal)
  const ran = tested.stdout.match(/SUCCESS/g)?.length ?? 0
  const clock = speedup === 1 ? '' : `, ${speedup} times as fast`
  const said = (text: string) => oneLine(text.replaceAll(folder.path, 'alerts/rules'))
  return [
    ...(checked.exitCode === 0
      ? []
      : [`alerts/rules:1 — promtool check${clock}: ${said(checked.stdout + checked.stderr)} — mend the rule`]),
    ...(tested.exitCode === 0 && ran === suite.tests.size
      ? []
      : [`${TESTS}:1 — ${ran} of ${suite.tests.size} files of tests pass${clock}: ${said(tested.stderr)} — npm run test:config -- rules`]),
  ]
}

async function runPint({ root, signal }: Look): Promise<string[]> {
  await using folder = await temporaryFolder('rules')
  await writeSuite(folder.path, { rules: readRules(root), tests: new Map() })
  const options = { root: folder.path, accept: [0, 1], signal }
  const { stdout, stderr, exitCode } = await runPulled(
    PINT,
    ['--no-color', '--offline', 'lint', '--min-severity=warning', '--fail-on=warning', '.'],
    options,
  )
  return exitCode === 0 ? [] : [`alerts/rules:1 — pint: ${oneLine(`${stdout}${stderr}`)} — mend the rule`]
}
