/** HighLatency from its fault to its resolution. */
import { type LoadProfile, loadMeasured, noRequestFailed, type Scenario } from '#core'
import { alertTiming } from '../rules.ts'
import { timesTen } from './error-rate.ts'
import {
  evaluatedThroughout,
  fireAndResolve,
  observesOf,
  oneOfEach,
  type Subject,
  steadyOf,
  untilArrived,
  untilResolved,
} from './lifecycle.ts'
import { noErrors, ruleWith, sinkAway } from './mutants.ts'

const ALERT = 'HighLatency'
/** Seconds. */
const { threshold: THRESHOLD = Number.NaN } = alertTiming({ speedup: 1 }, ALERT)
const SLOW = { path: '/api/products', headers: { 'x-fault': 'delay=2000' } }

export const latency: Subject = {
  alert: ALERT,
  recorded: { always: 'service:requests:rate', value: 'service:latency_seconds:p95' },
  limit: THRESHOLD,
  calm: THRESHOLD / 2,
  // One slow request in twenty is a slow p95; here every one is slow.
  share: { needed: 0.05, faulty: 1 },
}

const slowLoad: LoadProfile = {
  name: 'slow',
  about: 'Every request takes two seconds, then none does.',
  stages: [
    { name: 'faulty', forMs: 25_000, ratePerS: 10, requests: [SLOW] },
    { name: 'clean', forMs: 45_000, ratePerS: 10, requests: [{ path: '/api/products' }] },
  ],
}

export const latencyAlert: Scenario = {
  name: 'latency-alert',
  kind: 'proof',
  about: `All requests become slow: ${ALERT} goes pending, firing, and exactly one notification arrives; they become fast again, and exactly one resolution does.`,
  isExtra: true,
  asks: ['prometheus', 'sink'],
  steady: steadyOf(latency),
  watches: [],
  observes: observesOf(latency),
  steps: (timing) => [...untilArrived(latency, timing, slowLoad), ...untilResolved(latency, timing)],
  claims: (timing) => [loadMeasured(slowLoad), noRequestFailed(500), oneOfEach, evaluatedThroughout(latency, timing)],
  bounds: (timing) => fireAndResolve(latency, timing),
  mutants: [ruleWith('threshold-x10', ALERT, (rule) => timesTen(rule, THRESHOLD)), sinkAway, noErrors],
}
