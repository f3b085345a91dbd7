/** Rules are written once, with production's durations; a faster clock divides all of them by one factor, and nothing else. */
import { parseDuration, sped } from '#kit/duration'
import { UserError } from '#kit/errors'
import type { KubeObject } from '#kit/kube'
import { editLiterals, isDuration, type Literal, readPromql } from './rules/promql.ts'

/** What the rules are written for; Prometheus is configured from it. */
export const PRODUCTION = {
  scrapeInterval: '15s',
  /** How often Prometheus sends an alert again. It names an end four times as far away: then Alertmanager takes it for resolved. */
  resendDelay: '1m',
  /** For how long a series without a last word is still there: of one whose Prometheus was killed nobody says that it ended. */
  lookback: '5m',
} as const

export interface RuleGroup {
  readonly name: string
  readonly interval: string
  readonly query_offset?: string
  readonly rules: readonly Rule[]
}

export interface Rule {
  readonly record?: string
  readonly alert?: string
  readonly expr: string
  readonly for?: string
  readonly keep_firing_for?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
}

const MIN_SCRAPES_IN_WINDOW = 4
/** A field that is not listed may hold a duration. */
const FIELDS = {
  spec: ['groups'],
  group: ['name', 'interval', 'query_offset', 'limit', 'labels', 'partial_response_strategy', 'rules'],
  rule: ['record', 'alert', 'expr', 'for', 'keep_firing_for', 'labels', 'annotations'],
}
/** Functions that take seconds as a plain number. */
const TAKES_SECONDS = 'predict_linear'
const DURATION_IN_TEXT = /(?<![\w.])\d+(?:\.\d+)?[\s-]?(?:ms|[smhdwy]|(?:milli)?seconds?|minutes?|hours?|days?|weeks?|years?)\b/
const WINDOW_IN_NAME = /\d(?:ms|[smhdwy])(?=_|$)/

/**
 * A PrometheusRule on a clock that runs `factor` times as fast; thresholds and all other numbers stay. With factor 1 it is equal.
 * @throws UserError on what cannot be parsed or divided, on a window of fewer than four scrapes, and on texts and names that would lie.
 */
export function retime(rule: KubeObject, factor: number): KubeObject {
  return explained(`the rules '${rule.metadata?.name}'`, () => {
    if (rule.kind !== 'PrometheusRule') throw new RangeError(`it is a ${rule.kind}, not a PrometheusRule`)
    knowsFields(rule.spec, FIELDS.spec)
    return { ...rule, spec: { groups: groupsOf(rule).map((group) => retimeGroup(group, factor)) } }
  })
}

export function groupsOf(rule: KubeObject): readonly RuleGroup[] {
  return rule.spec.groups
}

/** @throws RangeError and SyntaxError where it cannot be retimed */
export function retimePromql(promql: string, factor: number): string {
  if (readPromql(promql).functions.includes(TAKES_SECONDS)) {
    throw new RangeError(`${TAKES_SECONDS}() takes a time as a plain number, which cannot be told from a threshold`)
  }
  return editLiterals(promql, (literal) => retimeLiteral(literal, factor))
}

function retimeGroup(group: RuleGroup, factor: number): RuleGroup {
  return explained(`the group '${group.name}'`, () => {
    knowsFields(group, FIELDS.group)
    if (group.interval === undefined) throw new RangeError('it names no interval')
    return {
      ...group,
      interval: sped(group.interval, factor),
      ...spedField(group, 'query_offset', factor),
      rules: group.rules.map((rule) => retimeRule(rule, factor)),
    }
  })
}

function retimeRule(rule: Rule, factor: number): Rule {
  const name = rule.alert ?? rule.record ?? ''
  return explained(`'${name}'`, () => {
    knowsFields(rule, FIELDS.rule)
    if (WINDOW_IN_NAME.test(name)) throw new RangeError('its name holds a window, which a faster clock would make untrue')
    for (const text of Object.values({ ...rule.labels, ...rule.annotations })) staysTrue(text)
    return {
      ...rule,
      expr: retimePromql(rule.expr, factor),
      ...spedField(rule, 'for', factor),
      ...spedField(rule, 'keep_firing_for', factor),
    }
  })
}

function spedField<K extends string>(object: Partial<Record<K, string>>, key: K, factor: number): Partial<Record<K, string>> {
  const duration = object[key]
  return duration === undefined ? {} : ({ [key]: sped(duration, factor) } as Record<K, string>)
}

function retimeLiteral({ role, text }: Literal, factor: number): string {
  if (role === 'threshold' || role === 'number') {
    if (isDuration(text)) throw new RangeError(`'${text}' may be a time or a threshold; a threshold in seconds is written as a number`)
    return text
  }
  const sign = /^[+-]?\s*/.exec(text)?.[0] ?? ''
  const duration = text.slice(sign.length)
  if (role === 'window') holdsScrapes(duration)
  return sign + sped(duration, factor)
}

/** Scrapes run faster by the same factor, so production's durations say it for every clock. */
function holdsScrapes(window: string): void {
  if (parseDuration(window) >= MIN_SCRAPES_IN_WINDOW * parseDuration(PRODUCTION.scrapeInterval)) return
  throw new RangeError(
    `its window of ${window} holds fewer than ${MIN_SCRAPES_IN_WINDOW} scrapes, which come every ${PRODUCTION.scrapeInterval}`,
  )
}

function staysTrue(text: string): void {
  const duration = DURATION_IN_TEXT.exec(text)?.[0]
  if (duration !== undefined) throw new RangeError(`'${text}' names the duration '${duration}', which a faster clock would make untrue`)
}

function knowsFields(object: object, known: readonly string[]): void {
  const unknown = Object.keys(object).find((key) => !known.includes(key))
  if (unknown !== undefined) throw new RangeError(`its field '${unknown}' is not known here, and may hold a duration`)
}

/** The innermost subject is the one that a person has to look at. */
function explained<T>(subject: string, work: () => T): T {
  try {
    return work()
  } catch (thrown) {
    if (!(thrown instanceof RangeError || thrown instanceof SyntaxError)) throw thrown
    throw new UserError({ what: `Cannot retime ${subject}`, why: thrown.message }, thrown)
  }
}
