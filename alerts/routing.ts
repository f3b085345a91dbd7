/** Alertmanager's configuration for a target: its times on the target's clock, a real Slack where there is one. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse, stringify } from 'yaml'
import type { TimingProfile } from '#core'
import { formatDuration, parseDuration, sped } from '#kit/duration'
import { Failure } from '#kit/errors'
import { root } from '#kit/paths'

/** Where the pod finds the address of the real Slack: the Secret `alertmanager-slack`, key `url`. */
export const SLACK_URL_FILE = '/etc/alertmanager/secrets/alertmanager-slack/url'

export interface RoutingOptions {
  readonly timing: Pick<TimingProfile, 'speedup'>
  /** Whether every Slack receiver tells a real Slack too. */
  readonly slack: boolean
}

interface Config {
  readonly global: { readonly resolve_timeout: string }
  readonly route: Route
  readonly receivers: readonly Receiver[]
}

interface Route {
  readonly receiver: string
  readonly matchers?: readonly string[]
  readonly group_wait?: string
  readonly group_interval?: string
  readonly repeat_interval?: string
  readonly routes?: readonly Route[]
}

interface Receiver {
  readonly name: string
  readonly slack_configs?: readonly { readonly api_url: string }[]
}

const CONFIG = 'alerts/alertmanager/alertmanager.yaml'
const ROUTE_TIMES = ['group_wait', 'group_interval', 'repeat_interval'] as const
/** People and scripts that send alerts without an end do not run faster: four of Prometheus's default resends may go missing. */
const MIN_RESOLVE_TIMEOUT_MS = 4 * 60_000
const EQUALS = /^(\w+)="([^"]*)"$/

/** @returns the YAML text. @throws RangeError on a time that cannot be divided */
export function renderRouting({ timing: { speedup }, slack }: RoutingOptions): string {
  const config = retimeConfig(readConfig(), speedup)
  const receivers = slack ? config.receivers.map(withSlack) : config.receivers
  return stringify({ ...config, receivers }, { lineWidth: 0, aliasDuplicateObjects: false })
}

export interface RouteTiming {
  readonly receiver: string
  readonly groupWaitMs: number
  readonly groupIntervalMs: number
  readonly repeatMs: number
}

/** Where an alert with these labels goes, and when. */
export function routeTiming(labels: Readonly<Record<string, string>>, speedup: number): RouteTiming {
  const route = routeOf(retimeConfig(readConfig(), speedup).route, labels)
  const timeOf = (key: (typeof ROUTE_TIMES)[number]) => parseDuration(route[key] ?? '')
  return {
    receiver: route.receiver,
    groupWaitMs: timeOf('group_wait'),
    groupIntervalMs: timeOf('group_interval'),
    repeatMs: timeOf('repeat_interval'),
  }
}

function readConfig(): Config {
  return parse(readFileSync(join(root, CONFIG), 'utf8')) as Config
}

function retimeConfig(config: Config, factor: number): Config {
  const timeoutMs = Math.max(parseDuration(sped(config.global.resolve_timeout, factor)), MIN_RESOLVE_TIMEOUT_MS)
  return {
    ...config,
    global: { ...config.global, resolve_timeout: formatDuration(timeoutMs) },
    route: retimeRoute(config.route, factor),
  }
}

function retimeRoute(route: Route, factor: number): Route {
  const times = ROUTE_TIMES.flatMap((key) => (route[key] === undefined ? [] : [[key, sped(route[key], factor)]]))
  const routes = route.routes?.map((child) => retimeRoute(child, factor))
  return { ...route, ...Object.fromEntries(times), ...(routes === undefined ? {} : { routes }) }
}

/** The same message once more, to the address in the file. */
function withSlack(receiver: Receiver): Receiver {
  if (receiver.slack_configs === undefined) return receiver
  const real = receiver.slack_configs.map(({ api_url: _, ...config }) => ({ api_url_file: SLACK_URL_FILE, ...config }))
  return { ...receiver, slack_configs: [...receiver.slack_configs, ...(real as unknown as typeof receiver.slack_configs)] }
}

/** The first child that matches, and what it inherits. */
function routeOf(route: Route, labels: Readonly<Record<string, string>>): Route {
  const child = route.routes?.find(({ matchers = [] }) => matchers.every((matcher) => matches(matcher, labels)))
  const { routes: _, ...inherited } = route
  return child === undefined ? route : routeOf({ ...inherited, ...child }, labels)
}

function matches(matcher: string, labels: Readonly<Record<string, string>>): boolean {
  const [, name = '', value] = EQUALS.exec(matcher) ?? []
  if (value === undefined) throw new Failure({ what: 'Cannot follow a route', why: `only name="value" is understood here, not ${matcher}` })
  return (labels[name] ?? '') === value
}
