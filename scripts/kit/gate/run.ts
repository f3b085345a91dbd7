/** Runs gates side by side, as many as there are cores, and says of each check what came of it. */
import { availableParallelism } from 'node:os'
import { messageOf } from '../errors.ts'
import { createLimit } from '../limit.ts'
import type { Progress } from '../progress.ts'
import { runStage } from '../stage.ts'
import type { Absence } from './absence.ts'
import { type Check, type Gate, NothingYet, Unavailable, versionOf } from './gate.ts'

export interface CheckResult {
  readonly gate: string
  readonly tool: string
  readonly version: string
  readonly problems: readonly string[]
  /** Why it did not look; undefined where it did. */
  readonly skipped?: string
  readonly ms: number
}

export interface RunOptions {
  readonly root: string
  readonly absence: Absence
  readonly progress: Progress
  readonly signal?: AbortSignal | undefined
}

export const isRed = ({ problems }: CheckResult) => problems.length > 0

/** @returns a result for each check, in the order of the gates, whatever ended first. */
export async function runGates(gates: readonly Gate[], options: RunOptions): Promise<readonly CheckResult[]> {
  const limit = createLimit(availableParallelism())
  const results = new Map<Check, CheckResult>()
  const look = async ({ name }: Gate, check: Check) => {
    results.set(check, await runCheck(name, check, options))
  }
  const beside = gates.filter(({ isAlone = false }) => !isAlone)
  await Promise.all(beside.flatMap((gate) => gate.checks.map((check) => limit(() => look(gate, check)))))
  for (const gate of gates.filter((each) => !beside.includes(each))) for (const check of gate.checks) await look(gate, check)
  return gates.flatMap(({ checks }) => checks.map((check) => results.get(check) as CheckResult))
}

/** Mends what can be mended without a person. What it cannot mend, the check that follows says: it ends nothing. */
export async function fixAll(gates: readonly Gate[], { root, progress, signal }: Omit<RunOptions, 'absence'>): Promise<void> {
  const look = { root, signal }
  for (const { name, checks } of gates)
    for (const { tool, fix } of checks)
      await fix?.(look).catch((thrown) => {
        signal?.throwIfAborted()
        progress.say(`${name}: ${tool} mended nothing: ${messageOf(thrown).split('\n')[0]}`)
      })
}

async function runCheck(gate: string, check: Check, options: RunOptions): Promise<CheckResult> {
  const { progress, absence, root, signal } = options
  const { tool } = check
  const started = performance.now()
  const isGood = (outcome: Outcome) => outcome.problems.length === 0
  const work = () => lookWith(check, { root, signal }).then((outcome) => judge(outcome, check, absence))
  const outcome = await runStage(`${gate}: ${tool}`, work, { progress, isGood })
  for (const problem of outcome.problems) progress.say(`  ${problem}`)
  if (outcome.skipped !== undefined) progress.say(`  ${tool} skipped: ${outcome.skipped}`)
  return { gate, tool, version: await versionOf(check), ...outcome, ms: Math.round(performance.now() - started) }
}

interface Outcome extends Pick<CheckResult, 'problems' | 'skipped'> {
  /** Where there was nothing to look at. */
  readonly isEarly?: boolean
}

/** A tool that breaks has not looked: that is a problem, and never a pass. */
async function lookWith(check: Check, look: Parameters<Check['run']>[0]): Promise<Outcome> {
  try {
    return { problems: await check.run(look) }
  } catch (thrown) {
    look.signal?.throwIfAborted()
    if (thrown instanceof NothingYet) return { problems: [], skipped: thrown.message, isEarly: true }
    if (thrown instanceof Unavailable) return { problems: [], skipped: thrown.message }
    const [said = '', ...rest] = (thrown instanceof TypeError ? (thrown.stack ?? '') : messageOf(thrown)).split('\n')
    return { problems: [`${check.pin}:1 — ${check.tool} could not look: ${[said, ...rest.slice(-3)].join(' | ')} — mend what it says`] }
  }
}

function judge({ problems, skipped, isEarly = false }: Outcome, { tool, pin }: Check, absence: Absence): Outcome {
  if (skipped === undefined) return { problems }
  if (isEarly) return { problems, skipped }
  const allowed = absence.allowed.find((each) => each.tool === tool)
  if (allowed !== undefined) return { problems, skipped: `${skipped} (allowed: ${allowed.reason})` }
  if (!absence.isCi) return { problems, skipped }
  return { problems: [`${pin}:1 — ${tool} cannot be had: ${skipped} — run it where it can, or name it in ${absence.file} with a reason`] }
}
