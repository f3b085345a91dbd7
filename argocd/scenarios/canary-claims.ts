/** What must be true of a canary's whole evidence: who answered, what was lost, what was measured, and what serves in the end. */
import {
  type Claim,
  type ClaimResult,
  type Evidence,
  imageOf,
  isFrom,
  LOAD_SOURCE,
  type LoadSecond,
  type RecordedEvent,
  readyPods,
  total,
  versionOf,
} from '#core'
import type { KubeObject } from '#kit/kube'
import { analysisOf, countOf, isOfRevision, measured, rolloutOf, stableHash, templateIn } from './canary-place.ts'

/** The metric that a version is judged by that fails its requests. */
export const ERRORS = 'errors'
const LEAST_MEASUREMENTS = 2
/** Fewer say nothing. */
const LEAST_REQUESTS = 50
/** A node forwards to a pod for a moment after it was taken out. */
const FORWARDED_MS = 2_000
const SECOND_MS = 1_000

/** What serves before the act. */
export const oldVersion = (before: readonly KubeObject[]): string => versionOf(imageOf(templateIn(before)))

/** How many of a second's requests the new version answered. */
function newAnswers({ byVersion }: LoadSecond, before: readonly KubeObject[]): number {
  const old = oldVersion(before)
  return Object.entries(byVersion).reduce((sum, [version, count]) => sum + (version === old || version === '' ? 0 : count), 0)
}

export function newVersionAnswers(event: RecordedEvent, before: readonly KubeObject[]): boolean {
  return isFrom(LOAD_SOURCE, event) && newAnswers(event.value, before) > 0
}

/** In one second the new version answered, and requests were answered with 500. */
export function newVersionFails(event: RecordedEvent, before: readonly KubeObject[]): boolean {
  return newVersionAnswers(event, before) && isFrom(LOAD_SOURCE, event) && (event.value.byStatus['500'] ?? 0) > 0
}

/** Two pods and more take traffic, all of the revision that served before. */
export function onlyStableServes(event: RecordedEvent, before: readonly KubeObject[]): boolean {
  const pods = readyPods(event) ?? []
  return pods.length >= 2 && pods.every((pod) => isOfRevision(stableHash(before), pod))
}

/** Seconds of load within a span of time. */
function secondsIn({ events }: Evidence, fromMs: number, toMs: number): LoadSecond[] {
  return events.flatMap((event) =>
    isFrom(LOAD_SOURCE, event) && event.atMs > fromMs && event.atMs <= toMs ? [event.value as LoadSecond] : [],
  )
}

const sumOf = (seconds: readonly LoadSecond[], what: 'requests' | 'failed') => seconds.reduce((sum, each) => sum + each[what], 0)

/** The largest share of the pods in the traffic that the new version had. */
function canaryShare({ events, before }: Evidence): number {
  const stable = stableHash(before)
  const shares = events
    .map(readyPods)
    .map((pods = []) => pods.filter((pod) => !isOfRevision(stable, pod)).length / Math.max(1, pods.length))
  return Math.max(0, ...shares)
}

/** Where all failed requests may come from: the canary's share of those between its first bad answer and its end. */
export function lossWithinShare(firstBad: string, end: string): Claim {
  return {
    name: 'no more requests failed than the canary got',
    check(evidence) {
      const [fromMs, toMs] = [evidence.at(firstBad), evidence.at(end)]
      if (fromMs === undefined || toMs === undefined) return { outcome: 'no data', seen: 'the canary did not come to its end' }
      const requests = sumOf(secondsIn(evidence, fromMs - SECOND_MS, toMs + FORWARDED_MS), 'requests')
      const share = canaryShare(evidence)
      const [failed, most] = [total(evidence, 'failed'), Math.ceil(share * requests)]
      const percent = ((100 * failed) / Math.max(1, total(evidence, 'requests'))).toFixed(1)
      const seen = `${failed} failed, ${percent} % of all; at most ${most}: ${(100 * share).toFixed(0)} % of ${requests} while it served`
      if (failed > most) return { outcome: 'false', seen }
      return { outcome: failed > 0 && requests >= LEAST_REQUESTS ? 'true' : 'no data', seen }
    },
  }
}

/** Afterwards every request is answered well, and by the version that served before. */
export function stableServesAgain(end: string): Claim {
  return {
    name: 'then the old version answered everything, and well',
    check(evidence) {
      const endMs = evidence.at(end)
      if (endMs === undefined) return { outcome: 'no data', seen: 'the canary did not come to its end' }
      const seconds = secondsIn(evidence, endMs + FORWARDED_MS + SECOND_MS, evidence.endedAtMs)
      const [requests, failed] = [sumOf(seconds, 'requests'), sumOf(seconds, 'failed')]
      const others = seconds.reduce((sum, second) => sum + newAnswers(second, evidence.before), 0)
      const seen = `${requests} requests, ${failed} failed, ${others} by the other`
      if (failed > 0 || others > 0) return { outcome: 'false', seen }
      return { outcome: requests >= LEAST_REQUESTS ? 'true' : 'no data', seen }
    },
  }
}

/** The revision that counts as good is the one before, at every moment; and the end is an abort. */
export const neverPromoted: Claim = {
  name: 'the rollout was aborted, and the old version stayed the good one',
  check({ events, before }) {
    const stable = stableHash(before)
    const seen = events.flatMap((event) => rolloutOf(event) ?? [])
    const others = new Set(seen.map(({ status }) => status?.stableRS).filter((hash) => hash !== stable))
    const { phase = 'unknown', abort = false } = seen.at(-1)?.status ?? {}
    const said = `${stable} ${others.size === 0 ? 'throughout' : `and ${[...others].join(', ')}`}; ${phase}${abort ? ', aborted' : ''}`
    if (stable === undefined || seen.length === 0) return { outcome: 'no data', seen: said }
    return { outcome: others.size === 0 && abort === true ? 'true' : 'false', seen: said }
  },
}

/** The last state of the analysis of this round. */
function lastAnalysis({ events, before }: Evidence): KubeObject | undefined {
  return events.flatMap((event) => analysisOf(event, before) ?? []).at(-1)
}

function summaryOf(run: KubeObject | undefined): string {
  const counts = (['Successful', 'Failed', 'Inconclusive', 'Error'] as const).map((phase) => `${countOf(run, phase)} ${phase}`)
  return run === undefined ? 'no analysis' : `${run.status?.phase}: ${counts.join(', ')}`
}

function judgedBy(evidence: Evidence, verdict: (run: KubeObject) => ClaimResult['outcome']): ClaimResult {
  const run = lastAnalysis(evidence)
  return { outcome: run === undefined ? 'no data' : verdict(run), seen: summaryOf(run) }
}

/** Seen, not guessed: not one failed to be taken, which would be blindness. */
export const measuredBad: Claim = {
  name: `at least ${LEAST_MEASUREMENTS} measurements found too many errors, and each was taken`,
  check: (evidence) =>
    judgedBy(evidence, (run) => (measured(run, ERRORS, 'Failed') >= LEAST_MEASUREMENTS && countOf(run, 'Error') === 0 ? 'true' : 'false')),
}

export const measuredGood: Claim = {
  name: `at least ${LEAST_MEASUREMENTS} measurements were good, and none was bad`,
  check: (evidence) =>
    judgedBy(evidence, (run) => {
      const isGood = measured(run, ERRORS, 'Successful') >= LEAST_MEASUREMENTS && countOf(run, 'Failed') + countOf(run, 'Error') === 0
      return isGood ? 'true' : 'false'
    }),
}

/** It knew nothing, and said so. */
export const measuredNothing: Claim = {
  name: 'no measurement came to a result',
  check: (evidence) =>
    judgedBy(evidence, (run) =>
      countOf(run, 'Successful') + countOf(run, 'Failed') === 0 && countOf(run, 'Error') > 0 ? 'true' : 'false',
    ),
}

/** A version is promoted by what it did, not for want of requests. */
export function canaryAnswered(least: number, until: string): Claim {
  return {
    name: `the canary answered at least ${least} requests before it was judged`,
    check(evidence) {
      const seconds = secondsIn(evidence, 0, evidence.at(until) ?? 0)
      const count = seconds.reduce((sum, second) => sum + newAnswers(second, evidence.before), 0)
      return { outcome: count >= least ? 'true' : 'no data', seen: `${count} requests` }
    },
  }
}
