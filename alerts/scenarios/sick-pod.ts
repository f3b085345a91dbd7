/** One pod is healthy by all that Kubernetes asks, and does its work badly: only what users see of it tells, so an alert must. */
import {
  experiment,
  faultVictim,
  freshVictim,
  inSync,
  isFrom,
  LOAD_SOURCE,
  type LoadSecond,
  type Loss,
  type PodFault,
  type RecordedEvent,
  rolledOut,
  type Scenario,
  steadyLoad,
  victimRefs,
  WORKLOAD_WATCHES,
} from '#core'
import { errorRate, timesTen } from './error-rate.ts'
import { latency } from './latency.ts'
import { arrives, CLEAN, evaluatedThroughout, noFurther, observesOf, oneOfEach, resolves, type Subject, steadyOf } from './lifecycle.ts'
import { ruleWith, sinkAway } from './mutants.ts'

/** So many that no second looks well by chance. */
const RATE_PER_S = 20
/** Longer than the alert takes to arrive. */
const SICK_MS = 30_000
const FAULT = 'let a pod work badly'
/** One of two. */
const PODS_SHARE = 0.5

interface SickPod {
  readonly name: string
  readonly about: string
  readonly subject: Subject
  readonly fault: Omit<PodFault, 'forMs'>
  /** Whether a second of the load shows it. */
  readonly isSick: (second: LoadSecond) => boolean
  readonly isWell: (second: LoadSecond) => boolean
  readonly loss?: Loss
  readonly isExtra?: boolean
}

const inSecond = (is: (second: LoadSecond) => boolean) => (event: RecordedEvent) => isFrom(LOAD_SOURCE, event) && is(event.value)

function sickPod({ name, about, subject, fault, isSick, isWell, loss, isExtra = false }: SickPod): Scenario {
  return experiment({
    name,
    about,
    isExtra,
    asks: ['prometheus', 'sink'],
    steady: [inSync, rolledOut, ...steadyOf(subject)],
    watches: WORKLOAD_WATCHES,
    observes: observesOf(subject),
    targets: victimRefs,
    held: `It is inside of the process and ends by itself after ${SICK_MS / 1_000} s; nobody else could end it.`,
    // A run that is cut short leaves no sick pod behind.
    undo: freshVictim,
    load: steadyLoad(name, { forMs: SICK_MS + 35_000, ratePerS: RATE_PER_S }),
    fault: { kind: 'act', name: FAULT, run: (context) => faultVictim(context, { forMs: SICK_MS, ...fault }) },
    bite: { name: 'users see it', matches: inSecond(isSick) },
    noticed: arrives(subject),
    end: { name: CLEAN, matches: inSecond(isWell) },
    healed: resolves(subject),
    after: (timing) => [noFurther(subject, timing)],
    ...(loss === undefined ? {} : { loss: () => loss }),
    limit: { failedShare: 0.7, forMs: 10_000 },
    claims: (timing) => [oneOfEach, evaluatedThroughout(subject, timing, FAULT)],
    mutants: [ruleWith('threshold-x10', subject.alert, (rule) => timesTen(rule, subject.limit)), sinkAway],
  })
}

const ERROR_SHARE = 0.8

export const servesErrors = sickPod({
  name: 'serves-errors',
  about:
    'A pod is ready and answers most of its requests with 500: nothing in Kubernetes minds, so an alert tells; it is well again, and the alert ends. Where versions come by canary, such a one is taken back.',
  subject: { ...errorRate, share: { ...errorRate.share, faulty: ERROR_SHARE * PODS_SHARE } },
  fault: { errorShare: ERROR_SHARE },
  isSick: ({ byStatus }) => (byStatus['500'] ?? 0) > 0,
  isWell: ({ requests, failed }) => failed === 0 && requests >= RATE_PER_S / 2,
  // A third more than its share: chance decides which pod is asked.
  loss: { failed: Math.ceil(ERROR_SHARE * PODS_SHARE * RATE_PER_S * (SICK_MS / 1_000) * (4 / 3)), outageMs: 2_000 },
})

export const slowAnswers = sickPod({
  name: 'slow-answers',
  about: 'A pod is ready and takes two seconds for each answer: an alert tells; it is well again, and the alert ends. No request is lost.',
  subject: { ...latency, share: { ...latency.share, faulty: PODS_SHARE } },
  fault: { latencyMs: 2_000 },
  isSick: ({ maxMs }) => maxMs >= 2_000,
  isWell: ({ requests, maxMs }) => maxMs < 1_000 && requests >= RATE_PER_S / 2,
  isExtra: true,
})
