/** What the gates found, for a person, for a CI's list of tests (JUnit) and for a forge's list of findings (SARIF). */
import type { Counts } from '../counts.ts'
import { formatMs } from '../progress.ts'
import { oneLine, printable, table } from '../text.ts'
import { readProblem } from './gate.ts'
import { type CheckResult, isRed } from './run.ts'

export function countsOf(results: readonly CheckResult[]): Counts {
  const failed = results.filter(isRed).length
  const skipped = results.filter(({ skipped: why, problems }) => why !== undefined && problems.length === 0).length
  return { passed: results.length - failed - skipped, failed, skipped }
}

/** A line for each check. */
export function renderTable(results: readonly CheckResult[]): string {
  const rows = results.map((result) => [result.gate, result.tool, result.version, outcomeOf(result), formatMs(result.ms)])
  return table(['gate', 'tool', 'version', 'result', 'time'], rows).join('\n')
}

function outcomeOf({ problems, skipped }: CheckResult): string {
  if (problems.length > 0) return `${problems.length} ${problems.length === 1 ? 'problem' : 'problems'}`
  return skipped === undefined ? 'clean' : 'skipped'
}

/** A test case for each check, so that a skip is a skip there too. */
export function renderGateJunit(results: readonly CheckResult[]): string {
  const { failed, skipped } = countsOf(results)
  const cases = results.map((result) => {
    const inside = result.problems.length > 0 ? failureOf(result) : result.skipped && `<skipped message="${escaped(result.skipped)}"/>`
    return `  <testcase classname="gate.${escaped(result.gate)}" name="${escaped(result.tool)}" time="${result.ms / 1000}">${inside ?? ''}</testcase>`
  })
  const counts = `tests="${results.length}" failures="${failed}" skipped="${skipped}"`
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuite name="gate" ${counts}>\n${cases.join('\n')}\n</testsuite>\n`
}

function failureOf({ problems }: CheckResult): string {
  return `<failure message="${escaped(problems[0] ?? '')}">${escaped(problems.join('\n'))}</failure>`
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
const escaped = (text: string) => printable(text).replace(/[&<>"]/g, (char) => ENTITIES[char] ?? char)

/**
 * SARIF 2.1.0, a run for each gate with a rule for each tool of it that looked; GitHub takes 20 runs of a file at most:
 * https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html, https://docs.github.com/en/code-security/reference/code-scanning/sarif-files
 */
export function renderSarif(results: readonly CheckResult[]): string {
  const looked = results.filter((result) => result.skipped === undefined || isRed(result))
  const runs = [...Map.groupBy(looked, ({ gate }) => gate)].map(([gate, checks]) => ({
    // A category of its own, or a forge would take the second run of a file for the first one again.
    automationDetails: { id: `holdfast/${gate}/` },
    tool: { driver: { name: gate, rules: checks.map(({ tool, version }) => ({ id: `${gate}/${tool}`, properties: { version } })) } },
    results: checks.flatMap(({ tool, problems }) => problems.map((problem) => sarifResult(`${gate}/${tool}`, problem))),
  }))
  const sarif = { $schema: 'https://json.schemastore.org/sarif-2.1.0.json', version: '2.1.0', runs }
  return `${JSON.stringify(sarif, undefined, 2)}\n`
}

function sarifResult(ruleId: string, problem: string): object {
  const { file, line, what, remedy } = readProblem(problem)
  const physicalLocation = { artifactLocation: { uri: encodeURI(file) }, region: { startLine: Math.max(1, line) } }
  const text = oneLine(remedy === '' ? what : `${what} — ${remedy}`)
  return { ruleId, level: 'error', message: { text }, locations: [{ physicalLocation }] }
}
