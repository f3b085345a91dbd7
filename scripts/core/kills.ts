/**
 * Commands of ours, killed at random points: the next run must end Healthy, and nothing may be left over. What is killed, how and when is
 * drawn by lot; the same seed draws the same.
 */
import { formatMs } from '#kit/progress'
import { createRandom, shuffled } from '#kit/random'

/** What is killed: a command, and what is there when it begins. */
export const VICTIMS = ['local:up from nothing', 'local:up', 'local:deploy', 'prove', 'local:down'] as const
export type Victim = (typeof VICTIMS)[number]

/** Ctrl-C; `kill -9` of the command alone, whose children live on; and of all that it started. */
export const WAYS = ['SIGINT', 'SIGKILL', 'SIGKILL of all'] as const
export type Way = (typeof WAYS)[number]

export interface Kill {
  /** From 1. */
  readonly number: number
  readonly victim: Victim
  readonly way: Way
  /** When, as a share of the time that the victim takes as a rule. */
  readonly share: number
}

/** Every pair of victim and way before any comes again. */
export function drawKills(seed: number, count: number): Kill[] {
  const random = createRandom(seed)
  const pairs = VICTIMS.flatMap((victim) => WAYS.map((way) => ({ victim, way })))
  const drawn = Array.from({ length: Math.ceil(count / pairs.length) }, () => shuffled(pairs, random)).flat()
  return drawn.slice(0, count).map((pair, i) => ({ number: i + 1, ...pair, share: random() }))
}

export interface KillResult extends Kill {
  /** When it was killed; undefined where it always had ended by then. */
  readonly atMs?: number
  /** How long the runs took that came after. */
  readonly healedMs?: number
  /** What was wrong; absent where all was well. */
  readonly problem?: string
}

/** A command that has ended. */
export interface EndedRun {
  readonly exitCode: number | undefined
  readonly ms: number
  /** What it said at the end. */
  readonly last: string
}

/** A command that runs. */
export interface RunningVictim {
  readonly ended: Promise<EndedRun>
  /** @returns once it, or with it all that it started, has been told. */
  kill(way: Way): Promise<void>
}

/** Where commands are run and killed. */
export interface KillingPlace {
  /** Makes what is to be there when a victim begins: a cluster or none, and for a deploy something to deploy. */
  ready(victim: Victim): Promise<void>
  start(victim: Victim): RunningVictim
  /** How long it takes as a rule. */
  usualMs(victim: Victim): number
  /** What a person would run next, all of which must end with 0. */
  next(victim: Victim): Promise<readonly EndedRun[]>
  /** What should not be there, and what is missing: empty where all is as it was. */
  differences(): Promise<readonly string[]>
}

/** How often a victim that was faster than its time is tried, each time sooner. */
const TRIES = 4
const SOONER = 0.6
/** An interrupted command puts things right first. */
const INTERRUPTED = 130

/** Kills once, and looks what comes of it. */
export async function playKill(kill: Kill, place: KillingPlace): Promise<KillResult> {
  for (let tries = 0, { share } = kill; tries < TRIES; tries++, share *= SOONER) {
    await place.ready(kill.victim)
    const running = place.start(kill.victim)
    const atMs = Math.round(share * place.usualMs(kill.victim))
    const early = await Promise.race([running.ended, after(atMs)])
    if (early !== undefined) continue
    await running.kill(kill.way)
    const ended = await running.ended
    const result = { ...kill, atMs, ...(await aftermath(kill, place)) }
    const problem = endedBadly(kill, ended) ?? result.problem
    return problem === undefined ? result : { ...result, problem }
  }
  return kill
}

const after = (ms: number) => new Promise<undefined>((resolve) => setTimeout(resolve, ms, undefined))

/** One that was about to end anyway may do so. */
function endedBadly({ way }: Kill, { exitCode, last }: EndedRun): string | undefined {
  if (way !== 'SIGINT' || exitCode === INTERRUPTED || exitCode === 0) return undefined
  return `Ctrl-C ended it with ${exitCode ?? 'a signal'}: ${last}`
}

async function aftermath({ victim }: Kill, place: KillingPlace): Promise<Pick<KillResult, 'healedMs' | 'problem'>> {
  const runs = await place.next(victim)
  const healedMs = runs.reduce((sum, { ms }) => sum + ms, 0)
  const failed = runs.find(({ exitCode }) => exitCode !== 0)
  if (failed !== undefined) return { healedMs, problem: `the next run ended with ${failed.exitCode ?? 'a signal'}: ${failed.last}` }
  const differences = await place.differences()
  return differences.length === 0 ? { healedMs } : { healedMs, problem: differences.join('; ') }
}

/** One line. */
export function renderKill({ number, victim, way, atMs, healedMs = 0, problem }: KillResult, count: number): string {
  const what = `${number}/${count} ${victim}, ${way}`
  if (atMs === undefined) return `- ${what}: it always had ended by then`
  const healed = `after ${formatMs(atMs)}: the next run took ${formatMs(healedMs)}`
  return problem === undefined ? `✓ ${what} ${healed}, nothing is left` : `✗ ${what} ${healed}: ${problem}`
}

/** What is only in one of the two: a thing that should not be there, or one that is missing. */
export function differencesOf(before: readonly string[], now: readonly string[]): string[] {
  const [was, is] = [new Set(before), new Set(now)]
  return [
    ...now.filter((each) => !was.has(each)).map((each) => `left over: ${each}`),
    ...before.filter((each) => !is.has(each)).map((each) => `missing: ${each}`),
  ]
}
