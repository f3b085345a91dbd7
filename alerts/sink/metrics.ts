/** What Prometheus sees of the sink. */
import { Counter, Gauge, Registry } from 'prom-client'
import type { Notification } from './message.ts'

/** A sender that makes up names must not make up series. */
const MAX_ALERTS = 50

export interface Metrics {
  readonly contentType: string
  render(): Promise<string>
  countMessage(notification: Notification): void
  countMalformed(): void
}

/** `heartbeatAgeMs` is asked at each scrape. */
export function createMetrics(heartbeatAgeMs: () => number): Metrics {
  const registry = new Registry()
  const registers = [registry]
  const messages = new Counter({
    name: 'sink_messages_total',
    help: `Messages that were kept since the start; alert is 'unknown' where none is named and 'other' after ${MAX_ALERTS} names.`,
    labelNames: ['alert', 'state'],
    registers,
  })
  const malformed = new Counter({ name: 'sink_malformed_total', help: 'Bodies that were refused, since the start.', registers })
  new Gauge({
    name: 'sink_heartbeat_age_seconds',
    help: 'Since the last heartbeat, or since the start while there was none.',
    registers,
    collect() {
      this.set(heartbeatAgeMs() / 1000)
    },
  })
  const alertLabel = createAlertLabel()
  return {
    contentType: registry.contentType,
    render: () => registry.metrics(),
    countMessage: ({ alert, state }) => messages.inc({ alert: alertLabel(alert), state: state ?? 'unknown' }),
    countMalformed: () => malformed.inc(),
  }
}

function createAlertLabel(): (alert: string | null) => string {
  const known = new Set<string>()
  return (alert) => {
    if (alert === null) return 'unknown'
    if (known.size < MAX_ALERTS) known.add(alert)
    return known.has(alert) ? alert : 'other'
  }
}
