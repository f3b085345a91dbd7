import { join } from 'node:path'
import { type ExecResult, exec } from '#kit/exec'
import { type Gate, goVersionOf, have, type Look, ownVersion } from '#kit/gate/gate'
import { root as ownRoot } from '#kit/paths'
import { temporaryFolder } from '#kit/temporary'
import { oneLine } from '#kit/text'
import { tool } from '#kit/tools'
import { promtool, suiteAt, writeSuite } from './rules/files.ts'
import { coverageGaps, readRuleTests } from './rules/promtool.ts'
import { readRules } from './rules.ts'

const PINT = 'local/tools/pint'
/** What it may not say, and why. One project has one setting, so a copy of it is judged by ours. */
const PINT_SETTINGS = join(ownRoot, 'alerts', 'rules', 'pint.hcl')
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
        source: 'Go module',
        pin: `${PINT}/go.mod`,
        about: 'queries that cannot work, labels that are not there',
        version: () => goVersionOf(PINT, 'github.com/cloudflare/pint'),
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
  const program = await have(() => tool('pint', signal), signal)
  await using folder = await temporaryFolder('rules')
  await writeSuite(folder.path, { rules: readRules(root), tests: new Map() })
  const args = ['--no-color', '--offline', '--config', PINT_SETTINGS, 'lint', '--min-severity=warning', '--fail-on=warning', '.']
  return readPint(await exec(program, args, { cwd: folder.path, accept: [0, 1], signal }))
}

/**
 * What it writes is for people, and its exit code 1 says that it found something or that it broke; what it wrote last says which:
 * https://github.com/cloudflare/pint/blob/v0.87.0/cmd/pint/lint.go. Exported for the tests.
 * @throws Error where it has not looked
 */
export function readPint({ stderr, exitCode }: Pick<ExecResult, 'stderr' | 'exitCode'>): string[] {
  const looked = /msg="Checking Prometheus rules" entries=[1-9]/.test(stderr)
  const found = /err="found \d+ problem\(s\) with severity/.test(stderr)
  if (!looked || found !== (exitCode === 1)) throw new Error(`pint has not looked: ${oneLine(stderr)}`)
  // A place within what was rendered for it helps nobody: the name of the rule does.
  const findings = stderr.matchAll(/^(?:Fatal|Bug|Warning): (.+) \(([\w/]+)\)\n {2}---> (\S+)(?: -> `(.+)`)?/gm)
  const problems = [...findings].map(
    ([, what, check, file, rule = file]) =>
      `alerts/rules:1 — ${rule}: ${what} — see https://cloudflare.github.io/pint/checks/${check}.html`,
  )
  return found && problems.length === 0 ? [`alerts/rules:1 — pint: ${oneLine(stderr)} — mend the rule`] : problems
}
