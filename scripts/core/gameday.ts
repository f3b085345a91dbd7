/** A game day: experiments by lot while a soak runs, and at the end what it has cost. */
import { formatMs } from '#kit/progress'
import { createRandom, shuffled } from '#kit/random'
import type { ErrorBudget } from './alerting.ts'
import { LOAD_SOURCE } from './evidence.ts'
import { type Noticed, noticedBy } from './harm.ts'
import { type LoadProfile, selectProfile, startLoad } from './load.ts'
import { isGood, type Result } from './render.ts'
import { type OpenRun, type RunChoice, runAll } from './run.ts'
import type { RecordedEvent, Scenario } from './scenario.ts'
import type { Stack } from './types.ts'

const MINUTE_MS = 60_000
/** The last experiment may begin in the last moment. */
const OVERTIME_MS = 10 * MINUTE_MS
const SOAK = 'soak'

export interface GameDayRequest extends Pick<RunChoice, 'onBegin' | 'onResult'> {
  /** What is drawn from. */
  readonly scenarios: readonly Scenario[]
  /** None begins later. */
  readonly minutes: number
  /** The same one draws the same experiments in the same order. */
  readonly seed: number
}

export interface GameDay {
  readonly minutes: number
  readonly seed: number
  readonly results: readonly Result[]
  /** What the soak's users noticed. */
  readonly noticed: Noticed
  readonly budgets: readonly ErrorBudget[]
  readonly tookMs: number
}

/** Draws until the time is over; nothing is drawn again before all have been. */
export async function playGameDay(
  stack: Stack,
  run: OpenRun,
  { scenarios, minutes, seed, onBegin, onResult }: GameDayRequest,
): Promise<GameDay> {
  const { cluster, environment, timing } = run.context
  const events: RecordedEvent[] = []
  const results: Result[] = []
  const keep = (result: Result) => {
    results.push(result)
    onResult(result)
  }
  const startedAtMs = Date.now()
  const endsAtMs = startedAtMs + minutes * MINUTE_MS
  {
    await using _soak = await startLoad(soakOf(stack, minutes), run.context, (value, atMs) => {
      events.push({ type: 'OBSERVED', source: LOAD_SOURCE, value, atMs })
    })
    for (const scenario of draws(scenarios, seed)) {
      if (Date.now() >= endsAtMs) break
      await runAll(run, [scenario], { onResult: keep, ...(onBegin === undefined ? {} : { onBegin }) })
    }
  }
  const tookMs = Date.now() - startedAtMs
  const budgets = await stack.alerting.budgets(cluster, { environment, timing, windowMs: tookMs })
  return { minutes, seed, results, noticed: noticedBy(events), budgets, tookMs }
}

/** Without an end. */
function* draws(scenarios: readonly Scenario[], seed: number): Generator<Scenario> {
  const random = createRandom(seed)
  while (true) yield* shuffled(scenarios, random)
}

/** The soak that is known by name, for as long as the day may take. */
function soakOf({ load }: Stack, minutes: number): LoadProfile {
  const { stages, ...profile } = selectProfile(load.profiles, SOAK)
  const forMs = minutes * MINUTE_MS + OVERTIME_MS
  return { ...profile, stages: stages.map((stage) => ({ ...stage, forMs })) }
}

/** Lines for a terminal. The service counts what it answered; what found nobody to answer it, only the soak knows. */
export function renderGameDay({ seed, results, noticed, budgets, tookMs }: GameDay): string {
  const good = results.filter(isGood).length
  const { requests, failed, outageMs } = noticed
  return [
    `Game day of ${formatMs(tookMs)}, seed ${seed}: ${good} of ${results.length} experiments came out as they should`,
    `    users of the soak: ${failed} of ${requests} requests failed, ${outageMs / 1000} s without an answer`,
    ...budgets.map((budget) => `    ${budgetLine(budget, tookMs)}`),
  ].join('\n')
}

function budgetLine({ objective, badShare, allowedShare, periodMs }: ErrorBudget, tookMs: number): string {
  if (badShare === undefined) return `${objective}: no request was counted`
  const spent = badShare / allowedShare
  const percent = (share: number) => `${Number((100 * share).toFixed(2))} %`
  const ofPeriod = percent((spent * tookMs) / periodMs)
  return `${objective}: ${percent(badShare)} were not, ${percent(spent)} of this time's error budget and ${ofPeriod} of that of 30 days (${days(periodMs)} on this clock)`
}

const days = (ms: number) => `${Number((ms / 86_400_000).toFixed(1))} d`
