/** The Grafana dashboards: read, brought onto a target's clock, and their queries as Grafana would ask Prometheus. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TimingProfile } from '#core'
import { formatDuration, parseDuration, sped } from '#kit/duration'
import { root } from '#kit/paths'
import { PRODUCTION } from './retime.ts'

/** Of Grafana's own model, what is looked at here. */
export interface Dashboard {
  readonly uid: string
  readonly title: string
  readonly refresh: string
  readonly templating: { readonly list: readonly DashboardVariable[] }
  readonly panels: readonly Panel[]
}

export interface DashboardVariable {
  readonly name: string
  readonly type: 'datasource' | 'query'
  readonly query: string | { readonly query: string }
}

export interface Panel {
  readonly id: number
  readonly title: string
  readonly description: string
  readonly gridPos: Readonly<Record<'x' | 'y' | 'w' | 'h', number>>
  readonly datasource: { readonly uid: string }
  readonly fieldConfig: { readonly defaults: { readonly unit?: string } }
  readonly targets: readonly PanelTarget[]
}

export interface PanelTarget {
  readonly refId: string
  readonly expr: string
  readonly legendFormat: string
  /** Grafana's Min step: how often what is asked for is scraped. @default as often as Prometheus scrapes by itself */
  readonly interval?: string
}

/** A query of a dashboard, ready to be asked. */
export interface DashboardQuery {
  readonly dashboard: string
  readonly panel: string
  readonly refId: string
  readonly unit: string
  readonly promql: string
}

/** How a dashboard is looked at. */
export interface View extends Pick<TimingProfile, 'speedup'> {
  /** What people chose; a regular expression, as Grafana makes of several. */
  readonly variables: Readonly<Record<string, string>>
  /** The time between two points of a panel: longer where more is shown. @default 0 */
  readonly stepMs?: number
}

const DASHBOARDS = 'alerts/dashboards'
const VARIABLE = /\$(?:\{(\w+)\}|(\w+))/g
const RATE_INTERVAL = '__rate_interval'
/** A rate is seen by two scrapes; one may be missed, and none falls just on the edge. */
const SCRAPES_IN_RATE = 4

/** By file name; production's clock. */
export function readDashboards(): ReadonlyMap<string, Dashboard> {
  const files = readdirSync(join(root, DASHBOARDS)).filter((name) => name.endsWith('.json'))
  return new Map(files.sort().map((name) => [name, JSON.parse(readFileSync(join(root, DASHBOARDS, name), 'utf8')) as Dashboard]))
}

/** A dashboard for a Prometheus whose scrapes come `speedup` times as often. */
export function retimeDashboard(dashboard: Dashboard, speedup: number): Dashboard {
  const target = (each: PanelTarget) => (each.interval === undefined ? each : { ...each, interval: sped(each.interval, speedup) })
  return { ...dashboard, panels: dashboard.panels.map((panel) => ({ ...panel, targets: panel.targets.map(target) })) }
}

/** @throws RangeError on a variable that the view does not know */
export function queriesOf(dashboard: Dashboard, view: View): DashboardQuery[] {
  return retimeDashboard(dashboard, view.speedup).panels.flatMap(({ title, fieldConfig, targets }) =>
    targets.map((target) => ({
      dashboard: dashboard.title,
      panel: title,
      refId: target.refId,
      unit: fieldConfig.defaults.unit ?? '',
      promql: target.expr.replaceAll(VARIABLE, (_, braced, bare) => chosen(braced ?? bare, target, view)),
    })),
  )
}

/** What the choices of a variable are read from: a series selector. */
export function variableSelectors({ templating }: Dashboard): string[] {
  return templating.list.flatMap(({ query }) => {
    const text = typeof query === 'string' ? query : query.query
    return /^label_values\((.+), \w+\)$/.exec(text)?.[1] ?? []
  })
}

function chosen(name: string, { interval }: PanelTarget, { variables, speedup, stepMs = 0 }: View): string {
  if (name === RATE_INTERVAL) return rateInterval(parseDuration(interval ?? sped(PRODUCTION.scrapeInterval, speedup)), stepMs)
  const value = variables[name]
  if (value === undefined) throw new RangeError(`no value for the variable '${name}'; there are ${Object.keys(variables).join(', ')}`)
  return value
}

/** https://grafana.com/docs/grafana/latest/datasources/prometheus/template-variables/#use-__rate_interval */
function rateInterval(scrapeMs: number, stepMs: number): string {
  return formatDuration(Math.max(stepMs + scrapeMs, SCRAPES_IN_RATE * scrapeMs))
}
