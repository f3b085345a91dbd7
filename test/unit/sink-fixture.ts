/** A sink without a port, on a folder of its own, and Alertmanager's bodies. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type App, createApp } from '../../alerts/sink/app.ts'
import { Heartbeat } from '../../alerts/sink/heartbeat.ts'
import { History, type HistoryOptions } from '../../alerts/sink/history.ts'
import type { HeartbeatStatus, MessagePage } from '../../alerts/sink/message.ts'

export interface TestSink {
  readonly app: App
  readonly history: History
  readonly troubles: string[]
  /** Milliseconds that the sink's clock shows; a test sets it. */
  readonly clock: { nowMs: number }
  post(path: string, body: unknown): Promise<Response>
  get(path: string): Promise<Response>
  messages(query?: string): Promise<MessagePage>
  heartbeat(): Promise<HeartbeatStatus>
  metrics(): Promise<string>
}

export interface SinkOptions extends Pick<Partial<HistoryOptions>, 'limit' | 'write'> {
  readonly dir: string
}

export const STARTED_AT_MS = 1_700_000_000_000

/** Opened twice on one folder, it is a restart. */
export async function openSink({ dir, limit = 100, ...rest }: SinkOptions): Promise<TestSink> {
  const troubles: string[] = []
  const clock = { nowMs: STARTED_AT_MS }
  const onTrouble = (what: string) => void troubles.push(what)
  const history = await History.open({ path: join(dir, 'messages.jsonl'), limit, onTrouble, ...rest })
  const heartbeat = await Heartbeat.open(join(dir, 'heartbeat.json'), onTrouble)
  const app = createApp({ history, heartbeat, now: () => clock.nowMs, log: () => {} })
  const get = (path: string) => app.fetch(new Request(`http://sink.test${path}`))
  return {
    app,
    history,
    troubles,
    clock,
    get,
    post: (path, body) => app.fetch(new Request(`http://sink.test${path}`, { method: 'POST', body: asBody(body) })),
    messages: async (query = '') => (await get(`/messages${query}`)).json() as Promise<MessagePage>,
    heartbeat: async () => (await get('/heartbeat')).json() as Promise<HeartbeatStatus>,
    metrics: async () => (await get('/metrics')).text(),
  }
}

/** Strings and bytes are sent as they are. */
function asBody(body: unknown): string | Uint8Array<ArrayBuffer> {
  return typeof body === 'string' || body instanceof Uint8Array ? (body as string | Uint8Array<ArrayBuffer>) : JSON.stringify(body)
}

export interface TemporaryFolder extends AsyncDisposable {
  readonly path: string
}

export async function temporaryFolder(): Promise<TemporaryFolder> {
  const path = await mkdtemp(join(tmpdir(), 'holdfast-sink-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}

/** As Alertmanager 0.31 encodes its slack_config, field by field in its order; `fields` by title. */
export function slackBody(given: { title?: string; fields?: Record<string, string>; text?: string } = {}): object {
  const { title = '[FIRING:1] HighErrorRate', fields = FIELDS, text = '*Share* of errors is 12 %' } = given
  return {
    channel: '#devops-alerts',
    username: 'Alertmanager',
    attachments: [
      {
        title,
        title_link: 'http://alertmanager.test/#/alerts?receiver=critical',
        text,
        fallback: `${title} | http://alertmanager.test/#/alerts?receiver=critical`,
        callback_id: '',
        ...(Object.keys(fields).length === 0
          ? {}
          : { fields: Object.entries(fields).map(([name, value]) => ({ title: name, ...(value === '' ? {} : { value }), short: true })) }),
        footer: '',
        color: 'danger',
        mrkdwn_in: ['fallback', 'pretext', 'text'],
      },
    ],
  }
}

export const FIELDS = {
  alert: 'HighErrorRate',
  status: 'firing',
  severity: 'critical',
  fingerprints: '0123456789abcdef, fedcba9876543210',
  starts: '2026-01-01T00:00:00Z',
}

/** As Alertmanager encodes its webhook_config. */
export function webhookBody(given: { status?: string; alertname?: string; version?: string } = {}): object {
  const { status = 'firing', alertname = 'Watchdog', version = '4' } = given
  const labels = { alertname, severity: 'none' }
  const times = { startsAt: '2026-01-01T00:00:00Z', endsAt: '0001-01-01T00:00:00Z' }
  return {
    receiver: 'heartbeat',
    status,
    alerts: [{ status, labels, annotations: {}, ...times, generatorURL: 'http://prometheus.test/graph', fingerprint: '00ff00ff00ff00ff' }],
    groupLabels: { alertname },
    commonLabels: labels,
    commonAnnotations: {},
    externalURL: 'http://alertmanager.test',
    version,
    groupKey: '{}:{alertname="Watchdog"}',
    truncatedAlerts: 0,
  }
}
