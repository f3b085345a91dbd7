/** HighErrorRate from its fault to its resolution, and what must not make it fire. */
import {
  type Bound,
  type Claim,
  type Evidence,
  isFrom,
  LOAD_SOURCE,
  type LoadProfile,
  type LoadRequest,
  loadMeasured,
  noRequestFailed,
  type RecordedEvent,
  type Scenario,
  type Step,
  SUMMARY_SOURCE,
  type TimingProfile,
} from '#core'
import { type AlertTiming, alertTiming, type Expected, expectFiring, expectResolved } from '../rules.ts'
import { noErrors, ruleWith, sinkAway } from './mutants.ts'
import { evaluations, evaluationsOf, isMessage, isState, messages, messagesOf, quiet, ruleLoaded, withoutErrors } from './observers.ts'

export const ALERT = 'HighErrorRate'
/** The same on every clock: only times are shortened. */
const { threshold: THRESHOLD = Number.NaN } = alertTiming({ speedup: 1 }, ALERT)
const RATIO = 'service:errors:ratio'
const TRAFFIC = 'service:requests:rate'
const ERROR_SHARE = 0.5
const LOAD = 'load with errors'
const CLEAN = 'the errors end'
const ARRIVED = 'the notification arrives'
const RESOLVED = 'the resolution arrives'

const ok: LoadRequest = { path: '/api/products' }
const error: LoadRequest = { path: '/api/products', headers: { 'x-fault': 'status=500' }, expect: 500 }
const mix = (good: number, bad: number): LoadRequest[] => [
  { ...ok, weight: good },
  { ...error, weight: bad },
]

/** Half of the requests fail for so long, then none. */
export function errorsFor(name: string, { faultyMs, cleanMs }: { faultyMs: number; cleanMs: number }): LoadProfile {
  return {
    name,
    about: 'Half of the requests fail, then none.',
    stages: [
      { name: 'faulty', forMs: faultyMs, ratePerS: 10, requests: mix(1, 1) },
      { name: 'clean', forMs: cleanMs, ratePerS: 10, requests: [ok] },
    ],
  }
}

export const isStage = (stage: string) => (event: RecordedEvent) => isFrom(LOAD_SOURCE, event) && event.value.stage === stage
export const isSummary = (event: RecordedEvent) => isFrom(SUMMARY_SOURCE, event)
const ratioAbove = (limit: number) => (event: RecordedEvent) => isFrom(ALERT, event) && event.value.value > limit
const isAnyMessage = (event: RecordedEvent) => isMessage('firing')(event) || isMessage('resolved')(event)

export const observes = [evaluations(ALERT, { always: TRAFFIC, value: RATIO }), messages(ALERT)]
export const steady = [quiet(ALERT), withoutErrors(RATIO), ruleLoaded(ALERT)]

/** Messages travel, and computers take their time. */
const DELIVERY_MS = 5_000

const timingOf = (timing: TimingProfile): AlertTiming => alertTiming(timing, ALERT)
const firing = (timing: TimingProfile) => delivered(expectFiring(timingOf(timing), { from: 0, to: ERROR_SHARE }))
const resolving = (timing: TimingProfile) => delivered(expectResolved(timingOf(timing), { from: ERROR_SHARE, to: 0 }))
const delivered = ({ lowerMs, partsMs }: Expected): Expected => ({ lowerMs, partsMs: { ...partsMs, delivery: DELIVERY_MS } })
const twice = ({ partsMs }: Expected) => 2 * Object.values(partsMs).reduce((sum, ms) => sum + ms, 0)

/** Load with errors until the notification is at the sink. */
export function untilArrived(timing: TimingProfile, profile: LoadProfile): Step[] {
  const timeoutMs = twice(firing(timing))
  return [
    { kind: 'load', name: LOAD, profile },
    {
      kind: 'until',
      isBite: true,
      name: 'Prometheus sees the share of errors above the threshold',
      timeoutMs,
      matches: ratioAbove(THRESHOLD),
    },
    { kind: 'until', name: 'pending', timeoutMs, matches: isState(ALERT, 'pending') },
    { kind: 'until', name: 'firing', timeoutMs, matches: isState(ALERT, 'firing') },
    { kind: 'until', name: ARRIVED, timeoutMs, matches: isMessage('firing') },
  ]
}

/** The errors end; a resolution is none unless the rule itself has found the alert inactive. */
export function untilResolved(timing: TimingProfile): Step[] {
  const timeoutMs = twice(resolving(timing))
  return [
    { kind: 'until', name: CLEAN, timeoutMs: 60_000, matches: isStage('clean') },
    { kind: 'until', name: 'inactive again', timeoutMs, matches: isState(ALERT, 'inactive') },
    { kind: 'until', name: RESOLVED, timeoutMs, matches: isMessage('resolved') },
    { kind: 'never', name: 'a further message', forMs: 2 * timingOf(timing).groupIntervalMs + 2_000, matches: isAnyMessage },
    { kind: 'until', name: 'the load ends', timeoutMs: 90_000, matches: isSummary },
  ]
}

/** Counted, not sampled: whatever else arrived for this alert would be here. */
export const oneOfEach: Claim = {
  name: 'exactly one notification and one resolution, of the same alert',
  check(evidence) {
    const [firing, resolved] = [messagesOf(evidence, 'firing'), messagesOf(evidence, 'resolved')]
    const prints = new Set([...firing, ...resolved].flatMap(({ fingerprints }) => fingerprints))
    const seen = `${firing.length} firing, ${resolved.length} resolved, ${prints.size} fingerprints`
    return { outcome: firing.length === 1 && resolved.length === 1 && prints.size === 1 ? 'true' : 'false', seen }
  },
}

/** A resolution while the rules stand still would be an expiry: Prometheus dead, not the fault gone. */
export function evaluatedThroughout(timing: TimingProfile): Claim {
  const { evaluationMs } = timingOf(timing)
  return {
    name: 'the rule group was evaluated all the while',
    check(evidence) {
      const [from, to] = [evidence.at(LOAD), evidence.at(RESOLVED)]
      if (from === undefined || to === undefined) return { outcome: 'no data', seen: 'it did not come to a resolution' }
      return withoutGaps(evidence, { from, to, mostMs: 3 * evaluationMs })
    },
  }
}

function withoutGaps(evidence: Evidence, { from, to, mostMs }: { from: number; to: number; mostMs: number }) {
  const times = evaluationsOf(evidence, ALERT)
    .map(({ atMs }) => atMs)
    .filter((atMs) => atMs >= from && atMs <= to)
  const gaps = [from, ...times, to].map((atMs, i, all) => atMs - (all[i - 1] ?? atMs))
  const widest = Math.max(...gaps)
  const seen = `${times.length} evaluations in ${to - from} ms, widest gap ${widest} ms`
  return { outcome: times.length > 0 && widest <= mostMs ? ('true' as const) : ('false' as const), seen }
}

const firesLoad = errorsFor('fires', { faultyMs: 25_000, cleanMs: 30_000 })

export const alertFires: Scenario = {
  name: 'alert-fires',
  kind: 'proof',
  about: `Half of all requests fail: ${ALERT} goes pending, firing, and exactly one notification arrives; the errors end, and exactly one resolution does.`,
  asks: ['prometheus', 'sink'],
  steady,
  watches: [],
  observes,
  steps: (timing) => [...untilArrived(timing, firesLoad), ...untilResolved(timing)],
  claims: (timing) => [loadMeasured(firesLoad), noRequestFailed(400), oneOfEach, evaluatedThroughout(timing)],
  bounds: (timing) => fireAndResolve(timing),
  mutants: [ruleWith('threshold-x10', ALERT, timesTen), sinkAway, noErrors],
}

/** Bounds of the way there and back; pending may not be shorter than `for`. */
export function fireAndResolve(timing: TimingProfile): Bound[] {
  const { forMs, evaluationMs } = timingOf(timing)
  return [
    { name: 'pending', from: 'pending', to: 'firing', lowerMs: forMs, partsMs: { for: forMs, evaluations: 2 * evaluationMs } },
    { name: 'notification after the first error', from: LOAD, to: ARRIVED, ...firing(timing) },
    { name: 'resolution after the last error', from: CLEAN, to: RESOLVED, ...resolving(timing) },
  ]
}

function timesTen<Rule extends { expr: string }>(rule: Rule): Rule {
  return { ...rule, expr: rule.expr.replaceAll(`> ${THRESHOLD}`, `> ${THRESHOLD * 10}`) }
}

function halved<Rule extends { expr: string }>(rule: Rule): Rule {
  return { ...rule, expr: rule.expr.replaceAll(`> ${THRESHOLD}`, `> ${THRESHOLD / 2}`) }
}

const BELOW_SHARE = 0.08
const quietLoad = (timing: TimingProfile): LoadProfile => {
  const { forMs, windowMs } = timingOf(timing)
  const whole = (ms: number) => Math.ceil(ms / 1000) * 1000
  return {
    name: 'quiet',
    about: 'A share of errors just below the threshold; then a burst shorter than half of `for`.',
    stages: [
      { name: 'below', forMs: whole(forMs + 2 * windowMs), ratePerS: 25, requests: mix(23, 2) },
      { name: 'calm', forMs: whole(windowMs), ratePerS: 25, requests: [ok] },
      { name: 'spike', forMs: Math.floor(forMs / 2 / 1000) * 1000 - 1000, ratePerS: 25, requests: [error] },
      { name: 'after', forMs: whole(forMs + windowMs), ratePerS: 25, requests: [ok] },
    ],
  }
}

const firesOrArrives = (event: RecordedEvent) => isState(ALERT, 'firing')(event) || isAnyMessage(event)

export const alertKeepsQuiet: Scenario = {
  name: 'alert-keeps-quiet',
  kind: 'proof',
  about: `A share of errors just below the threshold and a burst shorter than half of \`for\` never make ${ALERT} fire.`,
  asks: ['prometheus', 'sink'],
  steady,
  watches: [],
  observes,
  steps: (timing) => {
    const { forMs, windowMs } = timingOf(timing)
    return [
      { kind: 'load', name: LOAD, profile: quietLoad(timing) },
      { kind: 'until', isBite: true, name: 'Prometheus sees errors', timeoutMs: windowMs, matches: ratioAbove(BELOW_SHARE / 2) },
      { kind: 'never', name: `${ALERT} fires below its threshold`, forMs: forMs + 2 * windowMs - 2_000, matches: firesOrArrives },
      { kind: 'until', name: 'the burst', timeoutMs: 3 * windowMs, matches: isStage('spike') },
      { kind: 'until', name: 'pending', timeoutMs: windowMs, matches: isState(ALERT, 'pending') },
      { kind: 'never', name: `${ALERT} fires after a burst`, forMs: forMs + windowMs - 3_000, matches: firesOrArrives },
      { kind: 'until', name: 'the load ends', timeoutMs: 60_000, matches: isSummary },
    ]
  },
  claims: (timing) => [loadMeasured(quietLoad(timing)), noRequestFailed(1_500), justBelow(timing)],
  bounds: () => [],
  mutants: [ruleWith('threshold-halved', ALERT, halved), ruleWith('without-for', ALERT, (rule) => ({ ...rule, for: '0s' })), noErrors],
}

/** What was far below would prove nothing, what was above was not the question. */
function justBelow(timing: TimingProfile): Claim {
  const { windowMs, evaluationMs } = timingOf(timing)
  return {
    name: 'the share was just below the threshold',
    check(evidence) {
      const start = (evidence.at(LOAD) ?? 0) + windowMs
      const inStage = evaluationsOf(evidence, ALERT).filter(({ atMs }) => atMs >= start && atMs <= start + windowMs)
      const values = inStage.flatMap(({ evaluation }) => evaluation.value ?? [])
      const [low, high] = [Math.min(...values), Math.max(...values)]
      const enough = values.length >= (windowMs / evaluationMs) * 0.8
      const seen =
        values.length === 0 ? 'no evaluation' : `${values.length} evaluations, ${(low * 100).toFixed(1)} to ${(high * 100).toFixed(1)} %`
      return { outcome: enough && low > BELOW_SHARE * 0.75 && high < THRESHOLD ? 'true' : 'no data', seen }
    },
  }
}
