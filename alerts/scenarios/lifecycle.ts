/** An alert from its fault to its end: what is observed of it, what must come in which order, and within which times. */
import {
  type Bound,
  type Claim,
  type Evidence,
  isFrom,
  LOAD_SOURCE,
  type LoadProfile,
  loadEnds,
  type Observer,
  prometheusScrapes,
  type RecordedEvent,
  type Signal,
  type Step,
  type Stretch,
  type TimingProfile,
  untils,
} from '#core'
import { type AlertTiming, alertTiming, type Expected, expectFiring, expectResolved } from '../rules.ts'
import { evaluations, evaluationsOf, isMessage, isState, messages, messagesOf, quiet, ruleLoaded, valueAtMost } from './observers.ts'

export interface Subject {
  readonly alert: string
  /** Series that the alert's own group records: one that always has a value, and the one that the alert judges. */
  readonly recorded: { readonly always: string; readonly value: string }
  /** The alert may fire above this value, and is calm at or below the other. */
  readonly limit: number
  readonly calm: number
  /** The share of the requests in a window that makes it true, and the share that the load makes faulty. */
  readonly share: { readonly needed: number; readonly faulty: number }
}

export const LOAD = 'faulty load'
export const CLEAN = 'the fault ends'
export const ARRIVED = 'the notification arrives'
export const RESOLVED = 'the resolution arrives'

/** Messages travel, and computers take their time. */
const DELIVERY_MS = 5_000

export const isStage = (stage: string) => (event: RecordedEvent) => isFrom(LOAD_SOURCE, event) && event.value.stage === stage
export const isAnyMessage = (event: RecordedEvent) => isMessage('firing')(event) || isMessage('resolved')(event)
export const isAbove =
  ({ alert }: Subject, limit: number) =>
  (event: RecordedEvent) =>
    isFrom(alert, event) && event.value.value > limit

export const observesOf = ({ alert, recorded }: Subject): Observer[] => [evaluations(alert, recorded), messages(alert)]
export const steadyOf = ({ alert, recorded, calm }: Subject): Signal[] => [
  quiet(alert),
  valueAtMost(recorded.value, calm),
  ruleLoaded(alert),
  prometheusScrapes,
]

export const timingOf = ({ alert }: Subject, timing: TimingProfile): AlertTiming => alertTiming(timing, alert)

/** Pending for its time, firing, at the sink: so long after the share has become faulty. */
export function arrives(subject: Subject): Stretch {
  const { alert, share } = subject
  return {
    sights: [
      { name: 'pending', matches: isState(alert, 'pending') },
      { name: 'firing', matches: isState(alert, 'firing') },
      { name: ARRIVED, matches: isMessage('firing') },
    ],
    within: (timing) => delivered(expectFiring({ ...timingOf(subject, timing), threshold: share.needed }, { from: 0, to: share.faulty })),
  }
}

/** So long after nothing is faulty any more. A resolution is none unless the rule itself has found the alert inactive. */
export function resolves(subject: Subject): Stretch {
  const { alert, share } = subject
  return {
    sights: [
      { name: 'inactive again', matches: isState(alert, 'inactive') },
      { name: RESOLVED, matches: isMessage('resolved') },
    ],
    within: (timing) => delivered(expectResolved({ ...timingOf(subject, timing), threshold: share.needed }, { from: share.faulty, to: 0 })),
  }
}

const delivered = ({ lowerMs, partsMs }: Expected): Expected => ({ lowerMs, partsMs: { ...partsMs, delivery: DELIVERY_MS } })

/** Whatever may still come, comes within this. */
export const noFurther = (subject: Subject, timing: TimingProfile): Step => ({
  kind: 'never',
  name: 'a further message',
  forMs: 2 * timingOf(subject, timing).groupIntervalMs + 2_000,
  matches: isAnyMessage,
})

/** Faulty load until the notification is at the sink. */
export function untilArrived(subject: Subject, timing: TimingProfile, profile: LoadProfile): Step[] {
  const isLimitPassed = isAbove(subject, subject.limit)
  return [
    { kind: 'load', name: LOAD, profile },
    { kind: 'until', isBite: true, name: 'Prometheus sees the value above its limit', timeoutMs: 45_000, matches: isLimitPassed },
    ...untils(arrives(subject), timing),
  ]
}

/** The load's stage `clean` begins. */
export function untilResolved(subject: Subject, timing: TimingProfile): Step[] {
  return [...afterClean(subject, timing), loadEnds]
}

export function afterClean(subject: Subject, timing: TimingProfile): Step[] {
  const clean: Step = { kind: 'until', name: CLEAN, timeoutMs: 60_000, matches: isStage('clean') }
  return [clean, ...untils(resolves(subject), timing), noFurther(subject, timing)]
}

/** Counted, not sampled: whatever else arrived for this alert would be here. */
export const oneOfEach: Claim = {
  name: 'exactly one notification and one resolution, of the same alert',
  check(evidence) {
    const [fired, resolved] = [messagesOf(evidence, 'firing'), messagesOf(evidence, 'resolved')]
    const prints = new Set([...fired, ...resolved].flatMap(({ fingerprints }) => fingerprints))
    const seen = `${fired.length} firing, ${resolved.length} resolved, ${prints.size} fingerprints`
    return { outcome: fired.length === 1 && resolved.length === 1 && prints.size === 1 ? 'true' : 'false', seen }
  },
}

/** A resolution while the rules stand still would be an expiry: Prometheus dead, not the fault gone. @param since a step. */
export function evaluatedThroughout(subject: Subject, timing: TimingProfile, since = LOAD): Claim {
  const { evaluationMs } = timingOf(subject, timing)
  return {
    name: 'the rule group was evaluated all the while',
    check(evidence) {
      const [from, to] = [evidence.at(since), evidence.at(RESOLVED)]
      if (from === undefined || to === undefined) return { outcome: 'no data', seen: 'it did not come to a resolution' }
      return withoutGaps(evidence, subject, { from, to, mostMs: 3 * evaluationMs })
    },
  }
}

function withoutGaps(evidence: Evidence, { alert }: Subject, { from, to, mostMs }: { from: number; to: number; mostMs: number }) {
  const times = evaluationsOf(evidence, alert)
    .map(({ atMs }) => atMs)
    .filter((atMs) => atMs >= from && atMs <= to)
  const gaps = [from, ...times, to].map((atMs, i, all) => atMs - (all[i - 1] ?? atMs))
  const widest = Math.max(...gaps)
  const seen = `${times.length} evaluations in ${to - from} ms, widest gap ${widest} ms`
  return { outcome: times.length > 0 && widest <= mostMs ? ('true' as const) : ('false' as const), seen }
}

/** Bounds of the way there and back; pending may not be shorter than `for`. */
export function fireAndResolve(subject: Subject, timing: TimingProfile): Bound[] {
  const { forMs, evaluationMs } = timingOf(subject, timing)
  return [
    { name: 'pending', from: 'pending', to: 'firing', lowerMs: forMs, partsMs: { for: forMs, evaluations: 2 * evaluationMs } },
    { name: 'notification after the fault', from: LOAD, to: ARRIVED, ...arrives(subject).within(timing) },
    { name: 'resolution after its end', from: CLEAN, to: RESOLVED, ...resolves(subject).within(timing) },
  ]
}
