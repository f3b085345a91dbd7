/** Runs a scenario and writes down what happened. It judges nothing; a crash of it still undoes. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { messageOf } from '#kit/errors'
import { ensureDir, reportsDir } from '#kit/paths'
import { overdue, pending, ready, waitFor } from '#kit/wait'
import { LOAD_SOURCE, summaryOf } from './evidence.ts'
import { tooMuchHarm } from './harm.ts'
import { journal, settle } from './journal.ts'
import { plannedRounds } from './judge.ts'
import { startLoad } from './load.ts'
import {
  type Act,
  type Context,
  type HarmLimit,
  isFrom,
  type Mutant,
  type RecordedEvent,
  type Round,
  type RunRecord,
  type Scenario,
  type SignalResult,
  type StartLoad,
  type Step,
  type Undo,
} from './scenario.ts'
import { startTape, type Tape } from './tape.ts'
import { stepsOf, walk } from './walk.ts'

/** What a pod mounts of a ConfigMap or Secret follows its change within 60 to 90 s. */
const STEADY_TIMEOUT_MS = 120_000
/** What is observed in the last moment of a span of time is told a little later. */
const TOLD_WITHIN_MS = 2_500

export interface RecordOptions {
  readonly mutant?: Mutant
  readonly versions: Readonly<Record<string, string>>
  /** Told what is being waited for. */
  readonly onStep?: (note: string) => void
  /** Told every event as it comes. */
  readonly onEvent?: (event: RecordedEvent) => void
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
      // The healer is mended last: it may need what the scenario takes away.
      await broken(options.mutant, context, () =>
        undone(scenario, context, () => rounds(scenario, context, { ...options, into: run.rounds })),
      )
    run.steadyAfter = await steadyState(scenario, context, STEADY_TIMEOUT_MS)
  } catch (thrown) {
    run.abortedBy = messageOf(context.signal.aborted ? context.signal.reason : thrown)
  }
  const { abortedBy, ...facts } = run
  const end = abortedBy === undefined ? {} : { abortedBy, ...(context.signal.aborted ? { interrupted: true as const } : {}) }
  return { ...header(scenario, context, { ...options, startedAt }), ...facts, ...end }
}

type HeaderOptions = Pick<RecordOptions, 'mutant' | 'versions'> & { readonly startedAt: Date }

function header(scenario: Scenario, { cluster, environment, timing }: Context, { mutant, versions, startedAt }: HeaderOptions) {
  return {
    format: 2,
    id: `${startedAt.toISOString().replaceAll(/[:.]/g, '-')}-${recordName(scenario, mutant)}`,
    scenario: scenario.name,
    kind: scenario.kind,
    ...(mutant === undefined ? {} : { mutant: mutant.name }),
    cluster: cluster.name,
    clusterKind: cluster.kind,
    environment,
    timing: timing.name,
    startedAt: startedAt.toISOString(),
    endedAt: new Date().toISOString(),
    versions,
  } as const
}

/** What a record is called, behind its time. */
export function recordName({ name }: Scenario, mutant: Mutant | undefined): string {
  return mutant === undefined ? name : `${name}-${mutant.name}`
}

/** Where records are kept. */
export function recordsDir(): string {
  return ensureDir(join(reportsDir(), 'runs'))
}

/** Writes a record to a file of its own. @returns its path. */
export async function save(run: RunRecord): Promise<string> {
  const path = join(recordsDir(), `${run.id}.json`)
  await writeFile(path, JSON.stringify(run, null, 1))
  return path
}

async function undone(scenario: Scenario, context: Context, work: () => Promise<void>): Promise<void> {
  const undo = (await scenario.undo?.(context)) ?? []
  await journalled(context, { reason: scenario.name, undo }, work)
}

/** Breaks the healer for the time of `work`. */
async function broken(mutant: Mutant | undefined, context: Context, work: () => Promise<void>): Promise<void> {
  if (mutant?.break === undefined) return work()
  const { apply, undo } = await mutant.break(context)
  await journalled(context, { reason: `mutant ${mutant.name}`, undo }, async () => {
    await apply()
    await work()
  })
}

/** Writes the undo down, works, and undoes whatever became of the work. */
async function journalled(context: Context, { reason, undo }: { reason: string; undo: Undo }, work: () => Promise<void>): Promise<void> {
  const entry = await journal(context.cluster.kube, reason, undo)
  try {
    await work()
  } finally {
    await settle(context, entry)
  }
}

async function rounds(scenario: Scenario, context: Context, options: RecordOptions & { into: Round[] }): Promise<void> {
  const { mutant, into, onStep, onEvent } = options
  const steps = stepsOf(scenario, context.timing, mutant?.name)
  const count = plannedRounds(scenario, mutant?.name)
  // With a broken healer more harm is what must be seen.
  const limit = mutant === undefined ? scenario.harm?.limit : undefined
  for (let round = 0; round < count; round++) {
    // A round begins on calm ground: what is still busy with the last one would answer for both.
    if (round > 0 && (await steadyState(scenario, context, STEADY_TIMEOUT_MS)).some(({ ok }) => !ok)) return
    const onNote = (note: string) => onStep?.(count === 1 ? note : `${round + 1} of ${count}: ${note}`)
    await oneRound(scenario, context, { round, steps, limit, onNote, onEvent, keep: (kept) => into.push(kept) })
    const done = into.at(-1)
    if (done === undefined || walk(steps, done).stop !== undefined) return // further rounds would start from a broken state
  }
}

interface RoundOptions {
  readonly round: number
  readonly steps: readonly Step[]
  readonly limit: HarmLimit | undefined
  readonly onNote: (note: string) => void
  readonly onEvent: RecordOptions['onEvent']
  readonly keep: (round: Round) => void
}

/** What was seen is kept also where the round is cut short. */
async function oneRound(scenario: Scenario, run: Context, { round, steps, limit, onNote, onEvent, keep }: RoundOptions): Promise<void> {
  const before = (await Promise.all(scenario.watches.map((ref) => run.cluster.kube.list(ref)))).flat()
  await using tape = await startTape(scenario, run, onEvent)
  using stop = stopButton(limit, tape)
  const ends = AbortSignal.any([stop.signal, tape.broken])
  const context = { ...run, signal: AbortSignal.any([run.signal, ends]) }
  const begun = async () => (tape.events.length >= before.length ? ready(undefined) : pending(`${tape.events.length} objects`))
  await waitFor('the watches to begin', begun, { timeoutMs: 10_000, signal: context.signal, changes: tape.changes })
  const startedAtMs = Date.now()
  const soFar = (): Round => ({ before, events: [...tape.events], startedAtMs, endedAtMs: Date.now() })
  await using loads = new AsyncDisposableStack()
  try {
    for (const step of steps) {
      onNote(step.name)
      if (step.kind === 'act') await perform(step, context, { round, tape })
      else if (step.kind === 'load') loads.use(await sendLoad(step, context, tape))
      else if (!(await seen(step, { steps, soFar, tape, signal: context.signal }))) break
    }
  } catch (thrown) {
    ends.throwIfAborted() // whatever it broke off
    throw thrown
  } finally {
    keep(soFar())
  }
}

/** Aborts once users suffer more than they may. */
function stopButton(limit: HarmLimit | undefined, tape: Tape): Disposable & { readonly signal: AbortSignal } {
  const stop = new AbortController()
  const listening = tape.changes(() => {
    const last = tape.events.at(-1)
    if (limit === undefined || last === undefined || !isFrom(LOAD_SOURCE, last)) return
    const why = tooMuchHarm(tape.events, limit)
    if (why !== undefined) stop.abort(new Error(why))
  })
  return { signal: stop.signal, [Symbol.dispose]: () => listening[Symbol.dispose]() }
}

async function perform(step: Act, context: Context, { round, tape }: { round: number; tape: Tape }): Promise<void> {
  tape.mark('BEGUN', step.name)
  await step.run(context, round, tape.tell(step.name))
  tape.mark('DONE', step.name)
}

/** Every second of it goes to the record; its end, too. */
async function sendLoad({ name, profile, source = LOAD_SOURCE }: StartLoad, context: Context, tape: Tape): Promise<AsyncDisposable> {
  tape.mark('BEGUN', name)
  const { observed, failed } = tape.tell(source)
  const running = await startLoad(profile, context, observed)
  tape.mark('DONE', name)
  running.done.then(
    (summary) => tape.tell(summaryOf(source)).observed(summary, Date.now()),
    (thrown) => failed(messageOf(thrown)),
  )
  return running
}

interface Seeing {
  readonly steps: readonly Step[]
  readonly soFar: () => Round
  readonly tape: Tape
  readonly signal: AbortSignal
}

/** Waits until the evidence leads past a step. @returns false where it does not. */
async function seen(step: Exclude<Step, Act | StartLoad>, { steps, soFar, tape, signal }: Seeing): Promise<boolean> {
  const upTo = steps.slice(0, steps.indexOf(step) + 1)
  const look = async () => {
    const { reached, stop } = walk(upTo, soFar())
    if (stop?.why === 'broken') return ready(false)
    const atMs = reached.get(step.name)
    if (atMs === undefined) return pending(stop?.seen ?? 'nothing')
    const toldAtMs = step.kind === 'until' ? atMs : atMs + TOLD_WITHIN_MS
    return Date.now() >= toldAtMs ? ready(true) : pending('its last moments are not told yet')
  }
  const timeoutMs = step.kind === 'until' ? step.timeoutMs : step.forMs + 2 * TOLD_WITHIN_MS
  // Not in time is for the judge to say: the record shows it.
  return waitFor(step.name, look, { timeoutMs, everyMs: 250, signal, changes: tape.changes }).catch(overdue)
}

/** The last look at each signal, once all are well or the time is over. */
async function steadyState(scenario: Scenario, context: Context, timeoutMs: number): Promise<SignalResult[]> {
  let results: SignalResult[] = []
  const look = async () => {
    results = await Promise.all(scenario.steady.map(async (signal) => ({ name: signal.name, ...(await signal.look(context)) })))
    const bad = results.filter(({ ok }) => !ok)
    return bad.length === 0 ? ready(undefined) : pending(bad.map(({ name, seen }) => `${name}: ${seen}`).join('; '))
  }
  await waitFor('the steady state', look, { timeoutMs, everyMs: 250, signal: context.signal }).catch(overdue)
  return results
}
