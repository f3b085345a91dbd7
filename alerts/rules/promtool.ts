/** The unit tests of the rules: read, brought onto another clock, and judged themselves. promtool runs them. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { formatDuration, parseDuration, sped } from '#kit/duration'
import type { KubeObject } from '#kit/kube'
import { nearest } from '#kit/nearest'
import { root } from '#kit/paths'
import { groupsOf, type Rule, retimePromql } from '../retime.ts'
import { editLiterals, readPromql } from './promql.ts'

/** A file of promtool's unit tests. */
export interface RuleTests {
  readonly rule_files: readonly string[]
  readonly evaluation_interval: string
  readonly tests: readonly RuleTest[]
}

export interface RuleTest {
  readonly name: string
  readonly interval: string
  readonly input_series: readonly { readonly series: string; readonly values: string }[]
  readonly alert_rule_test: readonly AlertCase[]
  readonly promql_expr_test?: readonly { readonly expr: string; readonly eval_time: string }[]
}

export interface AlertCase {
  readonly eval_time: string
  readonly alertname: string
  readonly exp_alerts: readonly object[]
}

/** Rules that one change made wrong. */
export interface RuleMutant {
  readonly name: string
  readonly alert: string
  /** The rule file, as tests name it: two may have an alert of one name. */
  readonly file: string
  readonly rules: readonly KubeObject[]
}

const TESTS = 'alerts/rules/tests'
const COUNTER = /_(?:total|count|sum|bucket)(?:\{|$)/
const VALUES = /^(-?\d+(?:\.\d+)?)(?:(?:([+-])(\d+(?:\.\d+)?))?(x\d+))?$/
const FACTORS = [0.7, 1.4]

/** By file name. @param at a copy of this repository */
export function readRuleTests(at = root): ReadonlyMap<string, RuleTests> {
  const files = readdirSync(join(at, TESTS)).filter((name) => name.endsWith('.yaml'))
  return new Map(files.sort().map((name) => [name, parse(readFileSync(join(at, TESTS, name), 'utf8')) as RuleTests]))
}

/**
 * The same tests on a clock that runs `factor` times as fast. A counter counts that much less between two scrapes, so that a rate
 * stays what it was; a gauge keeps its values.
 */
export function retimeTests(file: RuleTests, factor: number): RuleTests {
  const tests = file.tests.map((test) => ({
    ...test,
    interval: sped(test.interval, factor),
    input_series: test.input_series.map((each) => ({ ...each, values: retimeValues(each, factor) })),
    alert_rule_test: test.alert_rule_test.map((each) => ({ ...each, eval_time: sped(each.eval_time, factor) })),
    ...(test.promql_expr_test === undefined
      ? {}
      : {
          promql_expr_test: test.promql_expr_test.map((each) => ({
            ...each,
            expr: retimePromql(each.expr, factor),
            eval_time: sped(each.eval_time, factor),
          })),
        }),
  }))
  return { ...file, evaluation_interval: sped(file.evaluation_interval, factor), tests }
}

/**
 * What the tests leave out: promtool itself passes an alert without a case, and a case for an alert that does not exist.
 * @returns a line for each gap
 */
export function coverageGaps(rules: readonly KubeObject[], files: readonly RuleTests[]): string[] {
  const names = rules.flatMap(alertsOf).map(({ alert = '' }) => alert)
  return [
    ...rules.flatMap((object) => alertsOf(object).flatMap((rule) => gapsOf(rule, testsOf(object, files)))),
    ...unknownNames(
      names,
      files.flatMap((file) => file.tests),
    ),
    ...rules.flatMap((object) => otherIntervals(object, files)),
  ]
}

/** The file of a PrometheusRule, as tests name it. */
export function ruleFile({ metadata }: KubeObject): string {
  return `${metadata.name}.yaml`
}

/** Each threshold and each `for` a little lower and a little higher, one at a time: tests that stay green with any of them test nothing. */
export function mutantsOf(rules: readonly KubeObject[]): RuleMutant[] {
  return rules.flatMap((object) =>
    alertsOf(object).flatMap((rule) =>
      FACTORS.flatMap((factor) => mutate(rule, factor)).map(({ change, mutated }) => ({
        name: `${rule.alert}: ${change}`,
        alert: rule.alert ?? '',
        file: ruleFile(object),
        rules: rules.map((other) => replaceRule(other, rule, mutated)),
      })),
    ),
  )
}

function alertsOf(object: KubeObject): Rule[] {
  return groupsOf(object).flatMap(({ rules }) => rules.filter(({ alert }) => alert !== undefined))
}

/** The tests that load its file: those of another file with an alert of the same name say nothing of it. */
function testsOf(object: KubeObject, files: readonly RuleTests[]): RuleTest[] {
  return files.filter(({ rule_files }) => rule_files.includes(ruleFile(object))).flatMap((file) => file.tests)
}

function gapsOf(rule: Rule, tests: readonly RuleTest[]): string[] {
  const runs = tests.map((test) => expectations(test, rule.alert ?? '')).filter((run) => run.length > 0)
  const gaps = runs.some((run) => run.includes(true)) ? [] : [`${rule.alert}: no test expects it to fire`]
  // What reads no series is the same at all times.
  if (readPromql(rule.expr).metrics.length === 0) return gaps
  if (!runs.some((run) => !run.includes(true))) gaps.push(`${rule.alert}: no test in which it stays silent`)
  if (!runs.some((run) => run.lastIndexOf(false) > run.indexOf(true) && run.includes(true))) {
    gaps.push(`${rule.alert}: no test expects it to resolve after firing`)
  }
  return gaps
}

/** Whether it is to fire, at one time after the other. */
function expectations({ alert_rule_test }: RuleTest, alert: string): boolean[] {
  return alert_rule_test
    .filter(({ alertname }) => alertname === alert)
    .sort((a, b) => parseDuration(a.eval_time) - parseDuration(b.eval_time))
    .map(({ exp_alerts }) => exp_alerts.length > 0)
}

function unknownNames(known: readonly string[], tests: readonly RuleTest[]): string[] {
  return tests.flatMap(({ name, alert_rule_test }) => {
    const unknown = new Set(alert_rule_test.map(({ alertname }) => alertname).filter((each) => !known.includes(each)))
    return [...unknown].map((each) => `${name}: no rule defines the alert '${each}'; did you mean '${nearest(each, known)}'?`)
  })
}

/** promtool evaluates every group at the test's interval, whatever its own is. Groups that only record may be read at any. */
function otherIntervals(object: KubeObject, files: readonly RuleTests[]): string[] {
  return groupsOf(object).flatMap(({ name, interval, rules }) => {
    const names = rules.map(({ alert }) => alert)
    const isTested = ({ rule_files, tests }: RuleTests) =>
      rule_files.includes(ruleFile(object)) && tests.some((test) => test.alert_rule_test.some(({ alertname }) => names.includes(alertname)))
    const others = new Set(files.filter(isTested).map((file) => file.evaluation_interval))
    others.delete(interval)
    return others.size === 0 ? [] : [`${name}: is evaluated every ${interval}, its tests every ${[...others].join(' or ')}`]
  })
}

function retimeValues({ series, values }: { series: string; values: string }, factor: number): string {
  if (!COUNTER.test(series)) return values
  return values
    .trim()
    .split(/\s+/)
    .map((token) => retimeToken(token, factor))
    .join(' ')
}

function retimeToken(token: string, factor: number): string {
  if (/^(?:_(?:x\d+)?|stale)$/.test(token)) return token
  const [, start, sign = '', step, times = ''] = VALUES.exec(token) ?? []
  if (start === undefined) throw new RangeError(`'${token}' is no value of a counter such as 15, 0+15x40, _x4 or stale`)
  return `${Number(start) / factor}${step === undefined ? '' : `${sign}${Number(step) / factor}`}${times}`
}

function mutate(rule: Rule, factor: number): { change: string; mutated: Rule }[] {
  const thresholds = readPromql(rule.expr).literals.filter(({ role, text }) => role === 'threshold' && Number(text) !== 0)
  const others = thresholds.map(({ from, text }, i) => {
    const expr = editLiterals(rule.expr, (literal) => (literal.from === from ? String(shifted(Number(text), factor)) : literal.text))
    return { change: `threshold ${i + 1} of ${thresholds.length} times ${factor}`, mutated: { ...rule, expr } }
  })
  if (rule.for === undefined) return others
  const mutated = { ...rule, for: formatDuration(Math.round(parseDuration(rule.for) * factor)) }
  return [...others, { change: `for times ${factor}`, mutated }]
}

/** What is compared with several may be a count: it is shifted to a whole number, since none lies between. */
function shifted(threshold: number, factor: number): number {
  const value = threshold * factor
  if (!Number.isInteger(threshold) || threshold < 2) return value
  return factor < 1 ? Math.floor(value) : Math.ceil(value)
}

function replaceRule(object: KubeObject, from: Rule, to: Rule): KubeObject {
  const groups = groupsOf(object).map((group) => ({ ...group, rules: group.rules.map((rule) => (rule === from ? to : rule)) }))
  return { ...object, spec: { ...object.spec, groups } }
}
