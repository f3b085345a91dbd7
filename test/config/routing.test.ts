/** Alertmanager's configuration: what amtool says of it, and what a real Alertmanager makes of alerts with it. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { json } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { stringify } from 'yaml'
import { exec } from '#kit/exec'
import { goBuild } from '#kit/go'
import { tool } from '#kit/tools'
import { pending, ready, waitFor } from '#kit/wait'
import { renderRouting, routeTiming, SLACK_URL_FILE } from '../../alerts/routing.ts'
import { renderRules } from '../../alerts/rules.ts'
import { stack } from '../../holdfast.config.ts'
import { assert, suite } from '../suite.ts'

const test = suite('routing')

/** The first use may build amtool and Alertmanager. */
const BUILD = { timeoutMs: 600_000 }
const ALERTMANAGER = { goMod: 'alerts/alertmanager/module', package: 'github.com/prometheus/alertmanager/cmd/alertmanager' }
const HOST = { os: process.platform, arch: process.arch === 'x64' ? 'amd64' : process.arch }
const { local } = stack.timing
const variants = Object.values(stack.timing).flatMap((timing) => [false, true].map((slack) => ({ timing, slack })))

let folder: string
test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-routing-'))
})
test.after(() => rm(folder, { recursive: true, force: true }))

async function written(name: string, content: string): Promise<string> {
  await writeFile(join(folder, name), content)
  return join(folder, name)
}

for (const { timing, slack } of variants) {
  const name = `${timing.name}${slack ? ' with a real Slack' : ''}`
  test(
    `amtool accepts the configuration and routes as it should: ${name}`,
    async () => {
      const file = await written(`${timing.name}-${slack}.yaml`, renderRouting({ timing, slack }))
      const amtool = await tool('amtool')
      const { stdout } = await exec(amtool, ['check-config', file])
      assert.match(stdout, /SUCCESS[\s\S]*4 receivers/)
      const cases = [
        { receiver: 'critical', labels: { alertname: 'HighErrorRate', namespace: 'dev', severity: 'critical' } },
        { receiver: 'warning', labels: { alertname: 'TargetDown', namespace: 'dev', job: 'service', severity: 'warning' } },
        { receiver: 'heartbeat', labels: { alertname: 'Watchdog', severity: 'none' } },
        { receiver: 'heartbeat', labels: { alertname: 'Watchdog', severity: 'critical' } },
        { receiver: 'default', labels: { alertname: 'Strange', severity: 'page' } },
        { receiver: 'default', labels: { alertname: 'Strange' } },
      ]
      for (const { receiver, labels } of cases) {
        const pairs = Object.entries(labels).map(([key, value]) => `${key}=${value}`)
        const { stdout: routed } = await exec(amtool, ['config', 'routes', 'test', `--config.file=${file}`, ...pairs])
        assert.is(routed.trim(), receiver)
        assert.is(routeTiming(labels, timing.speedup).receiver, receiver, 'read as Alertmanager reads it')
      }
    },
    BUILD,
  )
}

test('no rendered file names a Slack host', () => {
  for (const { timing, slack } of variants) {
    for (const rendered of [renderRouting({ timing, slack }), stringify(renderRules(timing))]) assert.not.match(rendered, /slack\.com/i)
  }
})

// ── A real Alertmanager, on the local clock ─────────────────────────────────────────────────────────────────────────

interface Arrival {
  readonly path: string
  readonly atMs: number
  readonly body: Body
}

interface Body {
  readonly alerts?: readonly { readonly labels: Record<string, string>; readonly status: string }[]
  readonly channel?: string
  readonly attachments?: readonly {
    readonly title: string
    readonly text: string
    readonly color: string
    readonly fields: readonly { readonly title: string; readonly value: string; readonly short: boolean }[]
  }[]
}

interface Running {
  readonly url: string
  readonly arrivals: readonly Arrival[]
  readonly post: (alerts: readonly object[]) => Promise<void>
}

/** Takes the sink's place and the real Slack's: each under a path of its own. */
async function receiver(arrivals: Arrival[]): Promise<{ server: Server; url: string }> {
  const server = createServer(async (req, res) => {
    arrivals.push({ path: req.url ?? '', atMs: Date.now(), body: (await json(req)) as Body })
    res.end('ok')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

/** Reads its log to the end: closed, the pipe would kill what writes into it. */
function addressOf(alertmanager: ChildProcess): Promise<string> {
  let log = ''
  return new Promise((resolve, reject) => {
    alertmanager.stderr?.on('data', (chunk) => {
      log += chunk
      const address = /msg="Listening on" address=(\S+)/.exec(log)?.[1]
      if (address !== undefined) resolve(address)
    })
    alertmanager.on('error', reject)
    alertmanager.on('exit', () => reject(new Error(`Alertmanager ended: ${log}`)))
  })
}

async function withAlertmanager(work: (running: Running) => Promise<void>): Promise<void> {
  const arrivals: Arrival[] = []
  const { server, url: sink } = await receiver(arrivals)
  const slackUrl = await written('slack-url', `${sink}/real-slack\n`)
  const config = renderRouting({ timing: local, slack: true })
    .replaceAll('http://sink.monitoring.svc', sink)
    .replaceAll(SLACK_URL_FILE, slackUrl)
  const args = [`--config.file=${await written('am.yaml', config)}`, `--storage.path=${join(folder, 'data')}`]
  const alertmanager = spawn(
    await goBuild(ALERTMANAGER, HOST),
    [...args, '--web.listen-address=127.0.0.1:0', '--cluster.listen-address='],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  )
  try {
    const url = `http://${await addressOf(alertmanager)}`
    const post = async (alerts: readonly object[]) => {
      const headers = { 'content-type': 'application/json' }
      const response = await fetch(`${url}/api/v2/alerts`, { method: 'POST', headers, body: JSON.stringify(alerts) })
      assert.is(response.status, 200, await response.text())
    }
    await work({ url, arrivals, post })
  } finally {
    const ended = once(alertmanager, 'exit')
    alertmanager.kill()
    await ended
    server.closeAllConnections()
    server.close()
  }
}

const ANNOTATIONS = { summary: 'It fails', description: 'Half of it', runbook: 'docs/runbooks/X.md' }

function alert(labels: Record<string, string>, times: { startsAt: Date; endsAt: Date }): object {
  return { labels, annotations: ANNOTATIONS, ...times }
}

/** One line a message, for comparison. */
function lineOf({ path, body }: Arrival): string {
  const [message] = body.attachments ?? []
  return [
    path,
    message?.title,
    fieldOf(body, 'severity'),
    fieldOf(body, 'fingerprints')?.split(',').length,
    fieldOf(body, 'resolved') !== 'none',
  ].join(' ')
}

const fieldOf = ({ attachments }: Body, name: string) => attachments?.[0]?.fields.find(({ title }) => title === name)?.value

const slackLines = ({ arrivals }: Running, path: string) => arrivals.filter((each) => each.path === path).map(lineOf)

async function untilLines(running: Running, count: number, signal: AbortSignal): Promise<void> {
  const look = async () => {
    const lines = slackLines(running, '/slack')
    return lines.length >= count ? ready(undefined) : pending(lines.join('; ') || 'no message')
  }
  await waitFor(`${count} messages`, look, { timeoutMs: 30_000, everyMs: 100, signal })
}

const LABELS = {
  critical: { alertname: 'HighErrorRate', namespace: 'dev', severity: 'critical' },
  inhibited: { alertname: 'HighErrorRate', namespace: 'dev', severity: 'warning' },
  elsewhere: { alertname: 'HighErrorRate', namespace: 'prod', severity: 'warning' },
  targetA: { alertname: 'TargetDown', namespace: 'dev', job: 'a', severity: 'warning' },
  targetB: { alertname: 'TargetDown', namespace: 'dev', job: 'b', severity: 'warning' },
  strange: { alertname: 'Strange', namespace: 'dev', severity: 'page' },
  watchdog: { alertname: 'Watchdog', severity: 'none' },
}

test(
  'a real Alertmanager tells each alert once, its end once, inhibits, and sends the heartbeat nowhere else',
  async ({ signal }) => {
    await withAlertmanager(async (running) => {
      const { arrivals, post } = running
      const startsAt = new Date()
      const firing = { startsAt, endsAt: new Date(startsAt.getTime() + 600_000) }
      await post(Object.values(LABELS).map((labels) => alert(labels, firing)))
      await untilLines(running, 4, signal)

      const resolved = { startsAt, endsAt: new Date() }
      await post([LABELS.critical, LABELS.inhibited, LABELS.targetA].map((labels) => alert(labels, resolved)))
      await untilLines(running, 6, signal)
      const { groupIntervalMs, repeatMs } = routeTiming(LABELS.watchdog, local.speedup)
      await sleep(groupIntervalMs + 1000, undefined, { signal }) // what comes too often comes with the next interval

      const expected = [
        'Strange page 1 false',
        'HighErrorRate critical 1 false',
        'HighErrorRate warning 1 false',
        'TargetDown warning 2 false',
      ].map((line) => `/slack [FIRING:${line.startsWith('TargetDown') ? 2 : 1}] ${line}`)
      const later = ['/slack [RESOLVED] HighErrorRate critical 1 true', '/slack [FIRING:1] TargetDown warning 1 true']
      const told = slackLines(running, '/slack')
      assert.equal(told.slice(0, 4).sort(), expected.sort())
      assert.equal(told.slice(4).sort(), later.sort())
      const toldSlack = slackLines(running, '/real-slack').map((line) => line.replace('/real-slack', '/slack'))
      assert.equal(toldSlack.sort(), told.sort(), 'the real Slack is told the same')

      const beats = arrivals.filter(({ path }) => path === '/heartbeat')
      assert.ok(beats.every(({ body }) => body.alerts?.every(({ labels }) => labels.alertname === 'Watchdog')))
      assert.ok(beats.length >= 3, `${beats.length} beats`)
      const gaps = beats.slice(1).map(({ atMs }, i) => atMs - (beats[i]?.atMs ?? 0))
      assert.ok(
        gaps.every((gapMs) => gapMs > repeatMs && gapMs < groupIntervalMs + repeatMs),
        `a beat an interval: ${gaps.join(', ')} ms`,
      )
      assert.is(arrivals.length, told.length * 2 + beats.length, 'nothing else arrived')
    })
  },
  BUILD,
)

test(
  'a message says in its text and fields what people and programs need',
  async ({ signal }) => {
    await withAlertmanager(async (running) => {
      const startsAt = new Date()
      await running.post([alert(LABELS.critical, { startsAt, endsAt: new Date(startsAt.getTime() + 600_000) })])
      await untilLines(running, 1, signal)
      const [known] = (await (await fetch(`${running.url}/api/v2/alerts`)).json()) as { fingerprint: string }[]
      const { body } = running.arrivals.find(({ path }) => path === '/slack') as Arrival
      const [message] = body.attachments ?? []
      assert.is(body.channel, '#devops-alerts')
      assert.is(message?.title, '[FIRING:1] HighErrorRate')
      assert.is(message?.color, 'danger')
      assert.is(message?.text, '*It fails*\nHalf of it\nRunbook: docs/runbooks/X.md\n')
      const fields = {
        alert: 'HighErrorRate',
        status: 'firing',
        severity: 'critical',
        fingerprints: known?.fingerprint,
        starts: startsAt.toISOString(),
        resolved: 'none',
      }
      assert.equal(Object.fromEntries(message?.fields.map(({ title, value }) => [title, value]) ?? []), fields)
      assert.ok(message?.fields.every(({ short }) => short))
    })
  },
  BUILD,
)

test.run()
