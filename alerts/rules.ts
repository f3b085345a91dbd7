/** The alert rules for a target, and the times that follow from them. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import type { TimingProfile } from '#core'
import { parseDuration, sped } from '#kit/duration'
import { UserError } from '#kit/errors'
import type { KubeObject } from '#kit/kube'
import { root } from '#kit/paths'
import { groupsOf, PRODUCTION, type Rule, type RuleGroup, retime } from './retime.ts'
import { routeTiming } from './routing.ts'
import { readPromql } from './rules/promql.ts'

const RULES = 'alerts/rules'
/** Prometheus names as an alert's end four times the longer of resend delay and evaluation. */
const ENDS_AFTER_RESENDS = 4

/** The PrometheusRules as they are written: production's. @param at a copy of this repository */
export function readRules(at = root): readonly KubeObject[] {
  const files = readdirSync(join(at, RULES)).filter((name) => name.endsWith('.yaml'))
  return files.sort().map((name) => parse(readFileSync(join(at, RULES, name), 'utf8')) as KubeObject)
}

/** The PrometheusRules on the target's clock. @throws UserError where a rule cannot be retimed */
export function renderRules({ speedup }: Pick<TimingProfile, 'speedup'>, at = root): readonly KubeObject[] {
  return readRules(at).map((rule) => retime(rule, speedup))
}

/** The waits between a fault and the message about it. All follow from the rules and the routes; the time that computers need is extra. */
export interface AlertTiming {
  readonly scrapeMs: number
  /** Of the alert's rule group, and of each other group whose recorded series it reads. */
  readonly evaluationMs: number
  /** The longest and the shortest window that the alert looks back over; 0 where it has none. */
  readonly windowMs: number
  readonly shortestWindowMs: number
  /** What the alert's value is compared with first. */
  readonly threshold: number | undefined
  readonly forMs: number
  readonly keepFiringMs: number
  readonly groupWaitMs: number
  readonly groupIntervalMs: number
  readonly repeatMs: number
  /** Once Prometheus has fallen silent, Alertmanager calls its alerts resolved after this long. */
  readonly endsMs: number
}

/** @throws UserError on an alert that no rule defines */
export function alertTiming({ speedup }: Pick<TimingProfile, 'speedup'>, alert: string): AlertTiming {
  const { rule, group, groups, rules } = definitionOf(alert, renderRules({ speedup }))
  const literals = rules.flatMap(({ expr }) => readPromql(expr).literals)
  const windows = literals.filter(({ role }) => role === 'window').map(({ text }) => parseDuration(text))
  const threshold = readPromql(rule.expr).literals.find(({ role }) => role === 'threshold')
  const evaluationMs = groups.reduce((sum, { interval }) => sum + parseDuration(interval), 0)
  const { groupWaitMs, groupIntervalMs, repeatMs } = routeTiming({ alertname: alert, ...rule.labels }, speedup)
  return {
    scrapeMs: parseDuration(sped(PRODUCTION.scrapeInterval, speedup)),
    evaluationMs,
    windowMs: Math.max(0, ...windows),
    shortestWindowMs: windows.length === 0 ? 0 : Math.min(...windows),
    threshold: threshold === undefined ? undefined : Number(threshold.text),
    forMs: parseDuration(rule.for ?? '0s'),
    keepFiringMs: parseDuration(rule.keep_firing_for ?? '0s'),
    groupWaitMs,
    groupIntervalMs,
    repeatMs,
    endsMs: ENDS_AFTER_RESENDS * Math.max(parseDuration(group.interval), parseDuration(sped(PRODUCTION.resendDelay, speedup))),
  }
}

/** The share that the alert measures steps from one value to another, and stays there. */
export interface Step {
  readonly from: number
  readonly to: number
}

export interface Expected {
  /** It cannot be faster. */
  readonly lowerMs: number
  /** Their sum is the slowest; delivery and the computers' own time come on top. */
  readonly partsMs: Readonly<Record<string, number>>
}

/** From the step up to the message `firing`. @throws RangeError where the step does not cross the threshold */
export function expectFiring(timing: AlertTiming, step: Step): Expected {
  const { scrapeMs, evaluationMs, forMs, groupWaitMs } = timing
  return {
    lowerMs: forMs + groupWaitMs,
    partsMs: {
      'window crosses': Math.round(timing.windowMs * crossing(timing, step)),
      scrape: scrapeMs,
      evaluation: evaluationMs,
      for: forMs,
      'evaluation at its end': evaluationMs,
      group_wait: groupWaitMs,
    },
  }
}

/** From the step down to the message `resolved`, of an alert whose windows are full. @throws RangeError as above */
export function expectResolved(timing: AlertTiming, step: Step): Expected {
  const crossesMs = Math.round(timing.shortestWindowMs * crossing(timing, step))
  return {
    // A rate is known to a scrape at either end of its window.
    lowerMs: Math.max(0, crossesMs - 2 * timing.scrapeMs) + timing.keepFiringMs,
    partsMs: {
      'window crosses': crossesMs,
      scrape: timing.scrapeMs,
      evaluation: timing.evaluationMs,
      keep_firing_for: timing.keepFiringMs,
      group_interval: timing.groupIntervalMs,
    },
  }
}

/** The part of a window that must lie after the step until its mean crosses the threshold. */
function crossing({ threshold }: AlertTiming, { from, to }: Step): number {
  if (threshold === undefined) return 0
  const part = (threshold - from) / (to - from)
  if (part >= 0 && part < 1) return part
  throw new RangeError(`A step from ${from} to ${to} does not cross the threshold ${threshold}`)
}

interface Definition {
  readonly rule: Rule
  readonly group: RuleGroup
  /** The alert's own, and all that its expression reads. */
  readonly rules: readonly Rule[]
  readonly groups: readonly RuleGroup[]
}

function definitionOf(alert: string, objects: readonly KubeObject[]): Definition {
  const groups = objects.flatMap(groupsOf)
  const all = groups.flatMap((group) => group.rules)
  const rule = all.find((each) => each.alert === alert)
  const group = groups.find((each) => each.rules.some((other) => other === rule))
  if (rule === undefined || group === undefined) {
    const known = all.flatMap((each) => each.alert ?? []).join(', ')
    throw new UserError({ what: `Cannot time the alert '${alert}'`, why: `no rule defines it; there are ${known}` })
  }
  const rules = withSources(rule, all)
  return { rule, group, rules, groups: groups.filter((each) => each.rules.some((other) => rules.includes(other))) }
}

/** Recorded series may be made of recorded series. */
function withSources(rule: Rule, all: readonly Rule[]): readonly Rule[] {
  const found = new Set([rule])
  for (const each of found) {
    const { metrics } = readPromql(each.expr)
    for (const source of all) if (source.record !== undefined && metrics.includes(source.record)) found.add(source)
  }
  return [...found]
}
