/** The unit tests of the rules: read, brought onto another clock, and judged themselves. promtool runs them. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { formatDuration, parseDuration, sped } from '#kit/duration'
import type { KubeObject } from '#kit/kube'
import { nearest } from '#kit/nearest'
import { root } from '#kit/paths'
import { groupsOf, type Rule, type RuleGroup, retimePromql } from '../retime.ts'
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
  readonly rules: readonly KubeObject[]
}

const TESTS = 'alerts/rules/tests'
const COUNTER = /_(?:total|count|sum|bucket)(?:\{|$)/
const VALUES = /^(-?\d+(?:\.\d+)?)(?:(?:([+-])(\d+(?:\.\d+)?))?(x\d+))?$/
const FACTORS = [0.7, 1.4]

/** By file name. */
export function readRuleTests(): ReadonlyMap<string, RuleTests> {
  const files = readdirSync(join(root, TESTS)).filter((name) => name.endsWith('.yaml'))
  return new Map(files.sort().map((name) => [name, parse(readFileSync(join(root, TESTS, name), 'utf8')) as RuleTests]))
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
  const groups = rules.flatMap(groupsOf)
  const alerts = groups.flatMap((group) => group.rules).filter((rule) => rule.alert !== undefined)
  const tests = files.flatMap((file) => file.tests)
  return [
    ...alerts.flatMap((rule) => gapsOf(rule, tests)),
    ...unknownNames(
      alerts.map(({ alert = '' }) => alert),
      tests,
    ),
    ...otherIntervals(groups, files),
  ]
}

/** Each threshold and each `for` a little lower and a little higher, one at a time: tests that stay green with any of them test nothing. */
export function mutantsOf(rules: readonly KubeObject[]): RuleMutant[] {
  const alerts = rules.flatMap(groupsOf).flatMap((group) => group.rules.filter(({ alert }) => alert !== undefined))
  return alerts.flatMap((rule) =>
    FACTORS.flatMap((factor) => mutate(rule, factor)).map(({ change, mutated }) => ({
      name: `${rule.alert}: ${change}`,
      alert: rule.alert ?? '',
      rules: rules.map((object) => replaceRule(object, rule, mutated)),
    })),
  )
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

/** promtool evaluates every group at the test's interval, whatever its own is. */
function otherIntervals(groups: readonly RuleGroup[], files: readonly RuleTests[]): string[] {
  const tested = new Set(files.map((file) => file.evaluation_interval))
  return groups
    .filter(({ interval }) => tested.size !== 1 || !tested.has(interval))
    .map(({ name, interval }) => `${name}: is evaluated every ${interval}, its tests every ${[...tested].join(' or ')}`)
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
    const expr = editLiterals(rule.expr, (literal) => (literal.from === from ? String(Number(text) * factor) : literal.text))
    return { change: `threshold ${i + 1} of ${thresholds.length} times ${factor}`, mutated: { ...rule, expr } }
  })
  if (rule.for === undefined) return others
  const mutated = { ...rule, for: formatDuration(Math.round(parseDuration(rule.for) * factor)) }
  return [...others, { change: `for times ${factor}`, mutated }]
}

function replaceRule(object: KubeObject, from: Rule, to: Rule): KubeObject {
  const groups = groupsOf(object).map((group) => ({ ...group, rules: group.rules.map((rule) => (rule === from ? to : rule)) }))
  return { ...object, spec: { ...object.spec, groups } }
}
