/** HighErrorRate from its fault to its resolution, and what must not make it fire. */
import {
  type Claim,
  type LoadProfile,
  type LoadRequest,
  loadEnds,
  loadMeasured,
  noRequestFailed,
  type RecordedEvent,
  type Scenario,
  type TimingProfile,
} from '#core'
import { alertTiming } from '../rules.ts'
import {
  evaluatedThroughout,
  fireAndResolve,
  isAbove,
  isAnyMessage,
  isStage,
  LOAD,
  observesOf,
  oneOfEach,
  type Subject,
  steadyOf,
  timingOf,
  untilArrived,
  untilResolved,
} from './lifecycle.ts'
import { noErrors, ruleWith, sinkAway } from './mutants.ts'
import { evaluationsOf, isState } from './observers.ts'

const ALERT = 'HighErrorRate'
/** The same on every clock: only times are shortened. */
const { threshold: THRESHOLD = Number.NaN } = alertTiming({ speedup: 1 }, ALERT)

export const errorRate: Subject = {
  alert: ALERT,
  recorded: { always: 'service:requests:rate', value: 'service:errors:ratio' },
  limit: THRESHOLD,
  calm: 0,
  share: { needed: THRESHOLD, faulty: 0.5 },
}

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

const firesLoad = errorsFor('fires', { faultyMs: 25_000, cleanMs: 30_000 })

export const alertFires: Scenario = {
  name: 'alert-fires',
  kind: 'proof',
  about: `Half of all requests fail: ${ALERT} goes pending, firing, and exactly one notification arrives; the errors end, and exactly one resolution does.`,
  asks: ['prometheus', 'sink'],
  steady: steadyOf(errorRate),
  watches: [],
  observes: observesOf(errorRate),
  steps: (timing) => [...untilArrived(errorRate, timing, firesLoad), ...untilResolved(errorRate, timing)],
  claims: (timing) => [loadMeasured(firesLoad), noRequestFailed(400), oneOfEach, evaluatedThroughout(errorRate, timing)],
  bounds: (timing) => fireAndResolve(errorRate, timing),
  mutants: [ruleWith('threshold-x10', ALERT, (rule) => timesTen(rule, THRESHOLD)), sinkAway, noErrors],
}

/** A rule that asks for ten times as much. */
export function timesTen<Rule extends { expr: string }>(rule: Rule, threshold: number): Rule {
  return { ...rule, expr: rule.expr.replaceAll(`> ${threshold}`, `> ${threshold * 10}`) }
}

function halved<Rule extends { expr: string }>(rule: Rule): Rule {
  return { ...rule, expr: rule.expr.replaceAll(`> ${THRESHOLD}`, `> ${THRESHOLD / 2}`) }
}

const BELOW_SHARE = 0.08
const quietLoad = (timing: TimingProfile): LoadProfile => {
  const { forMs, windowMs } = timingOf(errorRate, timing)
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
  steady: steadyOf(errorRate),
  watches: [],
  observes: observesOf(errorRate),
  steps: (timing) => {
    const { forMs, windowMs } = timingOf(errorRate, timing)
    return [
      { kind: 'load', name: LOAD, profile: quietLoad(timing) },
      { kind: 'until', isBite: true, name: 'Prometheus sees errors', timeoutMs: windowMs, matches: isAbove(errorRate, BELOW_SHARE / 2) },
      { kind: 'never', name: `${ALERT} fires below its threshold`, forMs: forMs + 2 * windowMs - 2_000, matches: firesOrArrives },
      { kind: 'until', name: 'the burst', timeoutMs: 3 * windowMs, matches: isStage('spike') },
      { kind: 'until', name: 'pending', timeoutMs: windowMs, matches: isState(ALERT, 'pending') },
      { kind: 'never', name: `${ALERT} fires after a burst`, forMs: forMs + windowMs - 3_000, matches: firesOrArrives },
      loadEnds,
    ]
  },
  claims: (timing) => [loadMeasured(quietLoad(timing)), noRequestFailed(1_500), justBelow(timing)],
  bounds: () => [],
  mutants: [ruleWith('threshold-halved', ALERT, halved), ruleWith('without-for', ALERT, (rule) => ({ ...rule, for: '0s' })), noErrors],
}

/** What was far below would prove nothing, what was above was not the question. */
function justBelow(timing: TimingProfile): Claim {
  const { windowMs, evaluationMs } = timingOf(errorRate, timing)
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
