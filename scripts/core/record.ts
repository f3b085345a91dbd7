/** Runs a scenario and writes down what happened. It judges nothing; a crash of it still undoes. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Failure, messageOf } from '#kit/errors'
import { ensureDir, reportsDir } from '#kit/paths'
import { pending, ready, waitFor } from '#kit/wait'
import { journal, settle } from './journal.ts'
import { healedAt, plannedRounds } from './judge.ts'
import type { Context, Mutant, RecordedEvent, Round, RunRecord, Scenario, SignalResult } from './scenario.ts'

const STEADY_TIMEOUT_MS = 60_000
const RESTEADY_MS = 30_000

export interface RecordOptions {
  readonly mutant?: Mutant
  readonly versions: Readonly<Record<string, string>>
  readonly onRound?: (done: number, of: number) => void
}

/** Records one run. The record is returned also when the run was aborted; nothing is left broken. */
export async function record(scenario: Scenario, context: Context, options: RecordOptions): Promise<RunRecord> {
  const startedAt = new Date()
  const run = {
    rounds: [] as Round[],
    steadyBefore: [] as SignalResult[],
    steadyAfter: [] as SignalResult[],
    abortedBy: undefined as string | undefined,
  }
  try {
    run.steadyBefore = await steadyState(scenario, context, STEADY_TIMEOUT_MS)
    if (run.steadyBefore.every(({ ok }) => ok))
      await undone(scenario, context, () =>
        broken(options.mutant, context, () => rounds(scenario, context, { ...options, into: run.rounds })),
      )
    run.steadyAfter = await steadyState(scenario, context, RESTEADY_MS)
  } catch (thrown) {
    run.abortedBy = messageOf(context.signal.aborted ? context.signal.reason : thrown)
  }
  return {
    format: 1,
    id: `${startedAt.toISOString().replaceAll(/[:.]/g, '-')}-${scenario.name}${options.mutant === undefined ? '' : `-${options.mutant.name}`}`,
    scenario: scenario.name,
    kind: scenario.kind,
    ...(options.mutant === undefined ? {} : { mutant: options.mutant.name }),
    cluster: context.cluster.name,
    clusterKind: context.cluster.kind,
    timing: context.timing.name,
    startedAt: startedAt.toISOString(),
    endedAt: new Date().toISOString(),
    versions: options.versions,
    steadyBefore: run.steadyBefore,
    steadyAfter: run.steadyAfter,
    rounds: run.rounds,
    ...(run.abortedBy === undefined ? {} : { abortedBy: run.abortedBy }),
  }
}

/** Writes a record to a file of its own. @returns its path. */
export async function save(run: RunRecord): Promise<string> {
  const folder = ensureDir(join(reportsDir(), 'runs'))
  const path = join(folder, `${run.id}.json`)
  await writeFile(path, JSON.stringify(run, null, 1))
  return path
}

async function undone(scenario: Scenario, context: Context, work: () => Promise<void>): Promise<void> {
  const { kube } = context.cluster
  const entry = await journal(kube, scenario.name, await scenario.undo(context))
  try {
    await work()
  } finally {
    await settle(kube, entry)
  }
}

/** Breaks the healer for the time of `work`. */
async function broken(mutant: Mutant | undefined, context: Context, work: () => Promise<void>): Promise<void> {
  if (mutant?.break === undefined) return work()
  const { apply, undo } = await mutant.break(context)
  const entry = await journal(context.cluster.kube, `mutant ${mutant.name}`, undo)
  try {
    await apply()
    await work()
  } finally {
    await settle(context.cluster.kube, entry)
  }
}

async function rounds(scenario: Scenario, context: Context, options: RecordOptions & { into: Round[] }): Promise<void> {
  const { mutant, into, onRound } = options
  const count = plannedRounds(scenario, mutant?.name)
  for (let round = 0; round < count; round++) {
    // A round begins on calm ground: what is still busy with the last one would answer for both.
    if (round > 0 && (await steadyState(scenario, context, STEADY_TIMEOUT_MS)).some(({ ok }) => !ok)) return
    const done = await oneRound(scenario, context, { round, mutant })
    into.push(done)
    onRound?.(round + 1, count)
    if (healedAt(done, scenario) === undefined) return // further rounds would start from a broken state
  }
}

async function oneRound(
  scenario: Scenario,
  context: Context,
  { round, mutant }: { round: number; mutant: Mutant | undefined },
): Promise<Round> {
  const before = (await Promise.all(scenario.watches.map((ref) => context.cluster.kube.list(ref)))).flat()
  using tape = startTape(scenario, context)
  const { signal } = context
  const begun = async () => (tape.events.length >= before.length ? ready(undefined) : pending(`${tape.events.length} objects`))
  await waitFor('the watches to begin', begun, { timeoutMs: 10_000, signal, changes: tape.changes })
  const actedAtMs = Date.now()
  if (mutant?.skipAct !== true) await scenario.act(context, round)
  const soFar = (): Round => ({ actedAtMs, before, events: [...tape.events], endedAtMs: Date.now() })
  const healed = async () => (healedAt(soFar(), scenario) === undefined ? pending('broken') : ready(undefined))
  const timeoutMs = mutant?.holdMs ?? scenario.bit.timeoutMs + scenario.healed.timeoutMs
  await waitFor(scenario.healed.name, healed, { timeoutMs, signal, changes: tape.changes }).catch(unlessOverdue)
  return soFar()
}

/** Not in time is for the judge to say: the record shows it. Anything else ends the run. */
function unlessOverdue(thrown: unknown): void {
  if (!(thrown instanceof Failure)) throw thrown
}

interface Tape extends Disposable {
  readonly events: readonly RecordedEvent[]
  readonly changes: (wake: () => void) => Disposable
}

/** Every change of the scenario's objects, in the order in which it was seen. */
function startTape({ watches }: Scenario, { cluster }: Context): Tape {
  const events: RecordedEvent[] = []
  const listeners = new Set<() => void>()
  const running = watches.map((ref) =>
    cluster.kube.watch(ref, (event) => {
      events.push(event)
      for (const wake of listeners) wake()
    }),
  )
  return {
    events,
    changes(wake) {
      listeners.add(wake)
      return { [Symbol.dispose]: () => void listeners.delete(wake) }
    },
    [Symbol.dispose]() {
      for (const watch of running) watch[Symbol.dispose]()
    },
  }
}

/** The last look at each signal, once all are well or the time is over. */
async function steadyState(scenario: Scenario, context: Context, timeoutMs: number): Promise<SignalResult[]> {
  let results: SignalResult[] = []
  const look = async () => {
    results = await Promise.all(scenario.steady.map(async (signal) => ({ name: signal.name, ...(await signal.look(context)) })))
    const bad = results.filter(({ ok }) => !ok)
    return bad.length === 0 ? ready(undefined) : pending(bad.map(({ name, seen }) => `${name}: ${seen}`).join('; '))
  }
  await waitFor('the steady state', look, { timeoutMs, everyMs: 250, signal: context.signal }).catch(unlessOverdue)
  return results
}
