/** What alert proofs write down: every evaluation of a rule, and every message at the sink. */
import { type Context, type Evidence, isFrom, type Observer, polled, type RecordedEvent, type Signal, type TimingProfile } from '#core'
import { parseDuration } from '#kit/duration'
import type { KubeObject } from '#kit/kube'
import { type AskProm, promAlerts, promFormat, promQuery, promRules, promSamples, type Sample } from '#kit/prom'
import { alertTiming } from '../rules.ts'
import { type Message, sinkHeartbeat, sinkMessages } from '../sink/client.ts'

export const MESSAGES = 'messages at the sink'
const HEARTBEAT = 'the heartbeat'
/** So many that do not come are no coincidence. */
export const MISSED_BEATS = 3
const LOOK_MS = 500
/** Each look asks this far back, so that a look that failed loses nothing. */
const BACK = '30s'

/** Asks the cluster's Prometheus. */
export const prometheus =
  ({ cluster }: Pick<Context, 'cluster'>): AskProm =>
  (path, init) =>
    cluster.fetch('prometheus', path, init)

/** One evaluation of an alert's rule group. */
export interface Evaluation {
  readonly state: 'inactive' | 'pending' | 'firing'
  /** The recorded series that the alert judges; undefined where it has no value. */
  readonly value: number | undefined
}

/**
 * Every evaluation of an alert, by the samples that Prometheus itself stored: no state between two looks is missed. The group
 * also records a series, whose samples show that it was evaluated even where the alert has none. Each rule's samples are stored by
 * themselves, one rule after the other, so that a look may come in between: an evaluation is told by the look after the one that saw it.
 */
export function evaluations(alert: string, recorded: { readonly always: string; readonly value: string }): Observer {
  return polled({
    name: alert,
    everyMs: LOOK_MS,
    begin(context, sinceMs) {
      const read = (selector: string) => promSamples(prometheus(context), `${selector}[${BACK}]`)
      let toldUpToMs = sinceMs
      let seenUpToMs = sinceMs
      return async () => {
        const wholeUpToMs = seenUpToMs
        const [always, values, alerts] = await Promise.all([
          read(recorded.always),
          read(recorded.value),
          read(`ALERTS{alertname="${alert}"}`),
        ])
        seenUpToMs = Math.max(seenUpToMs, always.at(-1)?.atMs ?? 0)
        const fresh = [...new Set(always.map(({ atMs }) => atMs))].filter((atMs) => atMs > toldUpToMs && atMs <= wholeUpToMs)
        toldUpToMs = fresh.at(-1) ?? toldUpToMs
        const valueAt = (atMs: number) => values.find((each) => each.atMs === atMs)?.value
        return fresh.map((atMs) => ({ atMs, value: { state: stateAt(alerts, atMs), value: valueAt(atMs) } satisfies Evaluation }))
      }
    },
  })
}

function stateAt(alerts: readonly Sample[], atMs: number): Evaluation['state'] {
  const states = alerts.filter((each) => each.atMs === atMs).map(({ labels }) => labels.alertstate)
  if (states.includes('firing')) return 'firing'
  return states.includes('pending') ? 'pending' : 'inactive'
}

/** One stored sample of a series. */
export type Sighted = Pick<Sample, 'labels' | 'value'>

/** Every sample of the series that match, as Prometheus stored it. */
export function samples(name: string, selector: string): Observer {
  return polled({
    name,
    everyMs: LOOK_MS,
    begin(context, sinceMs) {
      const toldUpToMs = new Map<string, number>()
      return async () => {
        const found = await promSamples(prometheus(context), `${selector}[${BACK}]`)
        const fresh = found.filter(({ labels, atMs }) => atMs > (toldUpToMs.get(JSON.stringify(labels)) ?? sinceMs))
        for (const { labels, atMs } of fresh) toldUpToMs.set(JSON.stringify(labels), atMs)
        return fresh.map(({ labels, value, atMs }) => ({ atMs, value: { labels, value } satisfies Sighted }))
      }
    },
  })
}

/** Every evaluation that found an alert pending or firing. */
export const alertStates = (alert: string): Observer => samples(alert, `ALERTS{alertname="${alert}"}`)

/** Whether an event is such an evaluation. */
export const inState = (alert: string, state: 'pending' | 'firing') => (event: RecordedEvent) =>
  isFrom(alert, event) && (event.value as Sighted).labels.alertstate === state

/** Every message of one alert, as the sink received it. */
export function messages(alert: string): Observer {
  return polled({
    name: MESSAGES,
    everyMs: LOOK_MS,
    begin({ cluster, signal }, since) {
      let afterId = 0
      return async () => {
        const { messages: fresh } = await sinkMessages(cluster, { alert, since, afterId, signal })
        afterId = fresh.at(-1)?.id ?? afterId
        return fresh.map((message) => ({ value: message, atMs: message.receivedAtMs }))
      }
    },
  })
}

/** How long the heartbeat may be silent before the dead man's switch says so. */
export const silenceMs = (timing: TimingProfile): number => MISSED_BEATS * alertTiming(timing, 'Watchdog').groupIntervalMs

/** The dead man's switch: whether the Watchdog has been heard of late. */
export const heartbeat: Observer = polled({
  name: HEARTBEAT,
  everyMs: LOOK_MS,
  begin: (context) => async () => [{ value: await lookAtHeartbeat(context), atMs: Date.now() }],
})

async function lookAtHeartbeat({ cluster, timing, signal }: Context): Promise<{ readonly alive: boolean; readonly ageMs: number | null }> {
  const { ageMs } = await sinkHeartbeat(cluster, { signal })
  return { ageMs, alive: ageMs !== null && ageMs <= silenceMs(timing) }
}

export const isAlive = (alive: boolean) => (event: RecordedEvent) => isFrom(HEARTBEAT, event) && event.value.alive === alive

export const beating: Signal = {
  name: 'the heartbeat is heard',
  async look(context) {
    const { alive, ageMs } = await lookAtHeartbeat(context)
    return { ok: alive, seen: ageMs === null ? 'never heard' : `heard ${ageMs} ms ago` }
  },
}

/** Whether an event is an evaluation that found the alert in a state. */
export const isState = (alert: string, state: Evaluation['state']) => (event: RecordedEvent) =>
  isFrom(alert, event) && (event.value as Evaluation).state === state

/** Whether an event is a message of a state. */
export const isMessage = (state: Message['state']) => (event: RecordedEvent) =>
  isFrom(MESSAGES, event) && (event.value as Message).state === state

export function messagesOf({ events }: Pick<Evidence, 'events'>, state: Message['state']): Message[] {
  return events.filter(isMessage(state)).flatMap((event) => ('value' in event ? [event.value as Message] : []))
}

export function evaluationsOf(
  { events }: Pick<Evidence, 'events'>,
  alert: string,
): { readonly atMs: number; readonly evaluation: Evaluation }[] {
  return events.flatMap((event) => (isFrom(alert, event) ? [{ atMs: event.atMs, evaluation: event.value as Evaluation }] : []))
}

/** Nothing of an earlier run is still pending or firing. */
export function quiet(alert: string): Signal {
  return {
    name: `${alert} is inactive`,
    async look(context) {
      const alerts = await promAlerts(prometheus(context))
      const state = alerts.find(({ labels }) => labels.alertname === alert)?.state ?? 'inactive'
      return { ok: state === 'inactive', seen: state }
    },
  }
}

/** Nothing of an earlier run is left in the rule's windows: it would be taken for one of this run. */
export function valueAtMost(recorded: string, most: number): Signal {
  return {
    name: `${recorded} is at most ${most}, or has no value`,
    async look(context) {
      const worst = Math.max(0, ...(await promQuery(prometheus(context), recorded)).map(({ value }) => value))
      return { ok: worst <= most, seen: String(Number(worst.toFixed(4))) }
    },
  }
}

/**
 * The rule that Prometheus evaluates is the one that is wanted, by default the one that the cluster's object holds: a change takes its
 * time to be loaded.
 */
export function ruleLoaded(alert: string, changed?: WrittenRule | undefined): Signal {
  return {
    name: `Prometheus has loaded ${alert} as it stands in the cluster`,
    async look(context) {
      const ask = prometheus(context)
      const [objects, groups] = await Promise.all([
        context.cluster.kube.list({ apiVersion: 'monitoring.coreos.com/v1', kind: 'PrometheusRule' }),
        promRules(ask),
      ])
      const written = changed ?? ruleOf(objects, alert)
      const loaded = groups.flatMap(({ rules }) => rules).find(({ name, type }) => name === alert && type === 'alerting')
      if (written === undefined) return { ok: false, seen: 'no object has it' }
      if (loaded === undefined) return { ok: false, seen: 'it is not loaded' }
      const said = async (expr: string, forS = 0) => `${await promFormat(ask, expr)} for ${forS} s`
      const wanted = await said(written.expr, parseDuration(written.for ?? '0s') / 1000)
      const present = await said(loaded.query, loaded.duration)
      return { ok: wanted === present, seen: wanted === present ? 'loaded' : `still ${present}` }
    },
  }
}

/** A rule as an object holds it. */
export interface WrittenRule {
  readonly alert?: string
  readonly expr: string
  readonly for?: string
}

function ruleOf(objects: readonly KubeObject[], alert: string): WrittenRule | undefined {
  const rules: WrittenRule[] = objects.flatMap(({ spec }) => spec.groups).flatMap((group: { rules: WrittenRule[] }) => group.rules)
  return rules.find((rule) => rule.alert === alert)
}
