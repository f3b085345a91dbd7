import { parse } from 'yaml'
import { renderRouting, routeTiming, SLACK_URL_FILE } from '../../alerts/routing.ts'
import { assert, suite } from '../suite.ts'

const test = suite('routing')

interface Rendered {
  readonly global: Record<string, string>
  readonly route: Route
  readonly receivers: readonly { name: string; slack_configs?: readonly Record<string, unknown>[]; webhook_configs?: readonly object[] }[]
  readonly [key: string]: unknown
}

interface Route {
  readonly receiver: string
  readonly routes?: readonly Route[]
  readonly [key: string]: unknown
}

const rendered = (speedup: number, slack = false) => parse(renderRouting({ timing: { speedup }, slack })) as Rendered
const timesOf = ({ group_wait, group_interval, repeat_interval }: Route) => [group_wait, group_interval, repeat_interval]

test('production keeps the times that are written', () => {
  const { global, route } = rendered(1)
  assert.equal(timesOf(route), ['30s', '1m', '4h'])
  assert.is(global.resolve_timeout, '5m')
})

test('a faster clock divides the times of every route', () => {
  const { route } = rendered(15)
  assert.equal(timesOf(route), ['2s', '4s', '16m'])
  const heartbeat = route.routes?.find(({ receiver }) => receiver === 'heartbeat')
  assert.equal(timesOf(heartbeat as Route), ['0s', '4s', '3s'])
})

test('an alert without an end is not resolved before a slow sender sends it again', () => {
  assert.is(rendered(15).global.resolve_timeout, '4m')
})

test('a time that cannot be divided is refused', () => {
  assert.throws(() => rendered(7), /cannot run 7 times as fast/)
})

test('but for the times, both clocks say the same', () => {
  const without = (speedup: number) => {
    const text = renderRouting({ timing: { speedup }, slack: true })
    return text.replaceAll(/(?<key>group_wait|group_interval|repeat_interval|resolve_timeout): \w+/g, '$<key>')
  }
  assert.is(without(15), without(1))
})

test('the sink is told whatever the severity; a real Slack is told the same beside it', () => {
  for (const name of ['default', 'critical', 'warning']) {
    const configs = (slack: boolean) => rendered(15, slack).receivers.find((each) => each.name === name)?.slack_configs ?? []
    const [sink] = configs(false)
    assert.is(configs(false).length, 1)
    assert.is(sink?.api_url, 'http://sink.monitoring.svc/slack')
    assert.is(sink?.send_resolved, true)
    assert.is(sink?.channel, '#devops-alerts')
    const { api_url: _, ...message } = { ...sink }
    assert.equal(configs(true), [sink, { api_url_file: SLACK_URL_FILE, ...message }])
  }
})

test('the heartbeat goes to the sink only, and says nothing of its end', () => {
  for (const slack of [false, true]) {
    const heartbeat = rendered(15, slack).receivers.find(({ name }) => name === 'heartbeat')
    assert.equal(heartbeat, { name: 'heartbeat', webhook_configs: [{ url: 'http://sink.monitoring.svc/heartbeat', send_resolved: false }] })
  }
})

test('the heartbeat’s repeat is shorter than its interval: an equal one would lose every second beat', () => {
  const { groupIntervalMs, repeatMs } = routeTiming({ alertname: 'Watchdog' }, 15)
  assert.ok(repeatMs < groupIntervalMs)
})

test('an alert’s route inherits what it does not say, and unknown alerts have one too', () => {
  const inherited = { groupWaitMs: 2000, groupIntervalMs: 4000, repeatMs: 960_000 }
  assert.equal(routeTiming({ alertname: 'HighErrorRate', severity: 'critical' }, 15), { receiver: 'critical', ...inherited })
  assert.equal(routeTiming({ alertname: 'TargetDown', severity: 'warning' }, 15), { receiver: 'warning', ...inherited })
  assert.equal(routeTiming({ alertname: 'X', severity: 'strange' }, 15), { receiver: 'default', ...inherited })
  assert.equal(routeTiming({}, 15), { receiver: 'default', ...inherited })
  assert.equal(routeTiming({ alertname: 'Watchdog', severity: 'critical' }, 1), {
    receiver: 'heartbeat',
    groupWaitMs: 0,
    groupIntervalMs: 60_000,
    repeatMs: 45_000,
  })
})

test.run()
