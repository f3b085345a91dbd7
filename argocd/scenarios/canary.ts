/** A new version gets a part of the traffic first: a bad one goes again, a good one takes over, and one that nobody can judge does neither. */
import { parse } from 'yaml'
import {
  actSkipped,
  type Bound,
  type Context,
  commitDeploy,
  isChange,
  type LoadProfile,
  loadEnds,
  loadMeasured,
  marked,
  noRequestFailed,
  present,
  prometheusScrapes,
  type RecordedEvent,
  rolloutIn,
  type Scenario,
  type TimingProfile,
  toYaml,
} from '#core'
import type { KubeObject } from '#kit/kube'
import {
  canaryAnswered,
  lossWithinShare,
  measuredBad,
  measuredGood,
  measuredNothing,
  neverPromoted,
  newVersionAnswers,
  newVersionFails,
  onlyStableServes,
  stableServesAgain,
} from './canary-claims.ts'
import { failureLimit99, metricRenamed, nanOnly, noData, promotedByHand } from './canary-mutants.ts'
import {
  analysisOf,
  type CanaryPlace,
  deployAt,
  type OtherFile,
  restoreAt,
  rolloutOf,
  STEADY,
  stableHash,
  watchesOf,
} from './canary-place.ts'
import { faulty } from './variants.ts'

/** As the chart has it on production's clock: see chart/part.ts and chart/values.yaml. */
export const ANALYSIS = {
  initialDelayMs: 60_000,
  windowMs: 90_000,
  intervalMs: 30_000,
  scrapeMs: 15_000,
  successes: 3,
  failureLimit: 1,
  errorLimit: 1,
}
/** Prometheus takes new targets in at most this often, and Argo Rollouts asks again after an error: no clock of ours speeds them up. */
const FIXED = { discoveryMs: 5_000, retryMs: 10_000 }
const RATE_PER_S = 20
const PULL_MS = 5_000
const REACTION_MS = 2_000
const ENDPOINTS_MS = 3_000
const BITE_TIMEOUT_MS = 60_000
const ANALYSIS_TIMEOUT_MS = 90_000
const PODS_TIMEOUT_MS = 60_000

const LOAD = 'load'
const COMMIT = 'commit another version'
const FIRST_BAD = 'the canary answers with errors'
const FIRST_GOOD = 'the canary answers'
const JUDGED = 'the analysis comes to an end'
const ONLY_STABLE = 'only the old version takes traffic'
const PROMOTED = 'the new version runs alone'

/** The proofs of one environment whose workload is a Rollout. */
export function canaryScenarios(place: CanaryPlace): readonly Scenario[] {
  return [badCanaryAborted(place), goodCanaryPromoted(place), blindCanaryNotPromoted(place)]
}

function loadOf(name: string, { environment }: CanaryPlace, forMs: number): LoadProfile {
  return {
    name,
    about: `${RATE_PER_S} requests per second to ${environment}.`,
    stages: [{ name: 'steady', forMs, ratePerS: RATE_PER_S, requests: [{ path: '/api/products' }] }],
  }
}

const analysisIn = (phase: 'Successful' | 'Failed' | 'Error') => (event: RecordedEvent, before: readonly KubeObject[]) =>
  analysisOf(event, before)?.status?.phase === phase

function isPromotedAnew(event: RecordedEvent, before: readonly KubeObject[]): boolean {
  const { phase, stableRS, currentPodHash } = rolloutOf(event)?.status ?? {}
  return phase === 'Healthy' && stableRS === currentPodHash && stableRS !== stableHash(before)
}

// ── Times ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Until a canary that serves is in Prometheus, with a window of its own. */
function watchedParts({ speedup }: TimingProfile) {
  const { initialDelayMs, windowMs, scrapeMs } = ANALYSIS
  return {
    discovery: FIXED.discoveryMs,
    scrapes: (2 * scrapeMs) / speedup,
    initialDelay: initialDelayMs / speedup,
    window: windowMs / speedup,
  }
}

/** So many measurements cannot be taken faster. A quarter: Kubernetes keeps times in whole seconds, and answers are told by the second. */
function fastest({ speedup }: TimingProfile, measurements: number): number {
  return (ANALYSIS.initialDelayMs + (measurements - 1) * ANALYSIS.intervalMs) / speedup / 4
}

const answersAfterCommit = (timing: TimingProfile, to: string): Bound => ({
  name: 'canary answers after the commit',
  from: COMMIT,
  to,
  lowerMs: 500,
  partsMs: { ...timing.delivery, pull: PULL_MS, podStart: timing.hpa.podStartMs, endpoints: ENDPOINTS_MS, told: REACTION_MS },
})

// ── bad-canary-aborted ──────────────────────────────────────────────────────────────────────────────────────────────

const BAD_MEASUREMENTS = ANALYSIS.failureLimit + 1

export function badCanaryAborted(place: CanaryPlace): Scenario {
  const profile = loadOf('bad-canary', place, 75_000)
  return {
    name: 'bad-canary-aborted',
    kind: 'proof',
    environments: [place.environment],
    about:
      'Commits a version that is healthy and answers half of its requests with 500: its analysis fails, it gets no more traffic, and the old one serves everything, with nobody touching it.',
    asks: ['prometheus'],
    steady: [...STEADY, prometheusScrapes],
    watches: watchesOf(place),
    undo: (context) => restoreAt(place, context),
    steps: () => [
      { kind: 'load', name: LOAD, profile },
      { kind: 'act', name: COMMIT, run: (context) => deployAt(place, context, { name: 'faulty', change: faulty }) },
      { kind: 'until', isBite: true, name: FIRST_BAD, timeoutMs: BITE_TIMEOUT_MS, matches: newVersionFails },
      { kind: 'until', name: JUDGED, timeoutMs: ANALYSIS_TIMEOUT_MS, matches: analysisIn('Failed') },
      { kind: 'until', name: ONLY_STABLE, timeoutMs: PODS_TIMEOUT_MS, matches: onlyStableServes },
      loadEnds,
    ],
    claims: () => [
      loadMeasured(profile),
      stableServesAgain(ONLY_STABLE),
      lossWithinShare(FIRST_BAD, ONLY_STABLE),
      neverPromoted,
      measuredBad,
    ],
    bounds: (timing) => [
      answersAfterCommit(timing, FIRST_BAD),
      {
        name: 'aborted after the first bad answer',
        from: FIRST_BAD,
        to: ONLY_STABLE,
        lowerMs: fastest(timing, BAD_MEASUREMENTS),
        partsMs: {
          ...watchedParts(timing),
          measurements: (BAD_MEASUREMENTS * ANALYSIS.intervalMs) / timing.speedup,
          abort: REACTION_MS,
          // Where the HPA just asks for one more.
          stablePod: timing.hpa.podStartMs,
          endpoints: ENDPOINTS_MS,
        },
      },
    ],
    mutants: [metricRenamed(place), failureLimit99(place), actSkipped()],
    harm: {
      targets: present(rolloutIn(place.environment)),
      held: 'Git asks for the bad version all the while: Argo CD holds it, and only the analysis of its canary speaks against it.',
      limit: { failedShare: 0.5, forMs: 15_000 },
    },
  }
}

// ── good-canary-promoted ────────────────────────────────────────────────────────────────────────────────────────────

const LEAST_ANSWERS = 30

export function goodCanaryPromoted(place: CanaryPlace): Scenario {
  const profile = loadOf('good-canary', place, 80_000)
  return {
    name: 'good-canary-promoted',
    kind: 'proof',
    environments: [place.environment],
    about:
      'Commits a version that works: measured good again and again while it has a part of the traffic, it takes over, and no request is lost.',
    asks: ['prometheus'],
    steady: [...STEADY, prometheusScrapes],
    watches: watchesOf(place),
    undo: (context) => restoreAt(place, context),
    steps: () => [
      { kind: 'load', name: LOAD, profile },
      { kind: 'act', name: COMMIT, run: (context) => deployAt(place, context, { name: 'good', change: marked('good') }) },
      { kind: 'until', isBite: true, name: FIRST_GOOD, timeoutMs: BITE_TIMEOUT_MS, matches: newVersionAnswers },
      { kind: 'until', name: JUDGED, timeoutMs: ANALYSIS_TIMEOUT_MS, matches: analysisIn('Successful') },
      { kind: 'until', name: PROMOTED, timeoutMs: PODS_TIMEOUT_MS, matches: isPromotedAnew },
      loadEnds,
    ],
    claims: () => [loadMeasured(profile), noRequestFailed(500), canaryAnswered(LEAST_ANSWERS, JUDGED), measuredGood],
    bounds: (timing) => [
      answersAfterCommit(timing, FIRST_GOOD),
      {
        name: 'promoted after its first answer',
        from: FIRST_GOOD,
        to: PROMOTED,
        lowerMs: fastest(timing, ANALYSIS.successes),
        partsMs: {
          ...watchedParts(timing),
          measurements: ((ANALYSIS.successes + ANALYSIS.failureLimit) * ANALYSIS.intervalMs) / timing.speedup,
          podStarts: 2 * timing.hpa.podStartMs,
          endpoints: 2 * ENDPOINTS_MS,
          podEnd: 10_000,
        },
      },
    ],
    mutants: [nanOnly(place), noData(place), actSkipped()],
  }
}

// ── blind-canary-not-promoted ───────────────────────────────────────────────────────────────────────────────────────

const BLIND = 'Prometheus is gone'
const TAKE_AWAY = 'take Prometheus away'
/** Where `deploy` holds it. */
const PROMETHEUS: OtherFile = { path: 'rendered/prometheus/prometheus.monitoring.prometheus.yaml', application: 'prometheus' }
const PROMETHEUS_PODS = { apiVersion: 'v1', kind: 'Pod', namespace: 'monitoring', labelSelector: 'app.kubernetes.io/name=prometheus' }
const NEVER_MS = 20_000

/** Git itself says that there is none: nothing mends that but the undo. */
async function takePrometheusAway(context: Context): Promise<void> {
  const { files } = await (await context.git()).readDeploy()
  const object = parse(files.get(PROMETHEUS.path) ?? '')
  const content = toYaml({ ...object, spec: { ...object.spec, replicas: 0 } })
  await commitDeploy(context, {
    message: 'Proof: no Prometheus',
    files: { [PROMETHEUS.path]: content },
    applications: [PROMETHEUS.application],
  })
}

/** What Git asks for counts as good: after an abort it does not. */
function isPromotion(event: RecordedEvent): boolean {
  const { stableRS, currentPodHash } = rolloutOf(event)?.status ?? {}
  return stableRS !== undefined && stableRS === currentPodHash
}

const isGone = (event: RecordedEvent) =>
  isChange(event) &&
  event.type === 'DELETED' &&
  event.object.kind === 'Pod' &&
  event.object.metadata.namespace === PROMETHEUS_PODS.namespace

export function blindCanaryNotPromoted(place: CanaryPlace): Scenario {
  const profile = loadOf('blind-canary', place, 95_000)
  return {
    name: 'blind-canary-not-promoted',
    kind: 'proof',
    environments: [place.environment],
    about:
      'Takes Prometheus away and commits a version that works: nobody can tell that it does, so it is not promoted, and the old one serves everything.',
    isExtra: true,
    asks: ['prometheus'],
    steady: [...STEADY, prometheusScrapes],
    watches: [...watchesOf(place), PROMETHEUS_PODS],
    undo: (context) => restoreAt(place, context, [PROMETHEUS]),
    steps: () => [
      { kind: 'act', name: TAKE_AWAY, run: takePrometheusAway },
      { kind: 'until', isBite: true, name: BLIND, timeoutMs: 90_000, matches: isGone },
      { kind: 'load', name: LOAD, profile },
      { kind: 'act', name: COMMIT, run: (context) => deployAt(place, context, { name: 'unjudged', change: marked('unjudged') }) },
      { kind: 'until', name: FIRST_GOOD, timeoutMs: BITE_TIMEOUT_MS, matches: newVersionAnswers },
      { kind: 'until', name: JUDGED, timeoutMs: ANALYSIS_TIMEOUT_MS, matches: analysisIn('Error') },
      { kind: 'until', name: ONLY_STABLE, timeoutMs: PODS_TIMEOUT_MS, matches: onlyStableServes },
      { kind: 'never', name: 'it is promoted', forMs: NEVER_MS, matches: isPromotion },
      loadEnds,
    ],
    claims: () => [loadMeasured(profile), noRequestFailed(500), stableServesAgain(ONLY_STABLE), neverPromoted, measuredNothing],
    bounds: (timing) => [
      answersAfterCommit(timing, FIRST_GOOD),
      {
        name: 'given up after its first answer',
        from: FIRST_GOOD,
        to: ONLY_STABLE,
        lowerMs: FIXED.retryMs / 2,
        partsMs: {
          initialDelay: ANALYSIS.initialDelayMs / timing.speedup,
          retries: ANALYSIS.errorLimit * FIXED.retryMs,
          unanswered: (ANALYSIS.errorLimit + 1) * 5_000,
          abort: REACTION_MS,
          stablePod: timing.hpa.podStartMs,
          endpoints: ENDPOINTS_MS,
        },
      },
    ],
    mutants: [promotedByHand(place, ONLY_STABLE), actSkipped()],
  }
}
