/** What was observed beside objects and load: alerts and their messages, values, and looks that failed. */
import { oneLine } from '#kit/text'
import type { Observation } from '../scenario.ts'
import type { State, Tone } from '../states.ts'
import { joined, type Lane, type Row, SECOND_MS, type Source, shaped, withUnit } from './lane.ts'

const ALERT_TONES: Readonly<Record<string, Tone>> = { inactive: 'idle', pending: 'busy', firing: 'bad', resolved: 'good' }
/** Two samples of one series are further apart than this only where there was none between them. */
const MOST_GAPS = 2.5

/** Every evaluation of an alert, every sample of `ALERTS`, every message about one. */
export function alertLanes(source: Source): Lane[] {
  const rows = [
    ...shaped(source, 'evaluation').map(([name, all]) => evaluatedRow(name, all, source)),
    ...shaped(source, 'alert sample').flatMap(([name, all]) => sampledRows(name, all, source)),
    ...shaped(source, 'message').map(([name, all]) => messageRow(name, all, source)),
  ]
  if (rows.length === 0) return []
  const fired = rows.flatMap(({ spans }) => spans).filter(({ text }) => text === 'firing').length
  return [{ kind: 'rows', title: 'Alerts', sum: fired === 0 ? 'none fired' : `fired ${fired === 1 ? 'once' : `${fired} times`}`, rows }]
}

const alertState = (text: string): State => ({ text, tone: ALERT_TONES[text] ?? 'info' })

function messageRow(name: string, all: readonly Observation[], { since }: Source): Row {
  const ticks = all.map(({ value, atMs }) => ({ atMs: since(atMs), ...alertState(value.state), text: `${value.title}` }))
  return { name, spans: [], ticks }
}

/** An evaluation counts until the next one. */
function evaluatedRow(name: string, all: readonly Observation[], { since, endMs }: Source): Row {
  const spans = all.map(({ value, atMs }, i) => ({
    ...alertState(value.state),
    fromMs: since(atMs),
    toMs: since(all[i + 1]?.atMs ?? atMs),
  }))
  const last = spans.at(-1)
  return { name, spans: joined(last === undefined ? [] : [...spans.slice(0, -1), { ...last, toMs: endMs }]), ticks: [] }
}

/** A series of `ALERTS` has samples while its alert is pending or firing, and none otherwise. */
function sampledRows(alert: string, all: readonly Observation[], { since }: Source): Row[] {
  const gapMs = MOST_GAPS * smallestGap(all.map(({ atMs }) => atMs))
  const bySubject = Map.groupBy(all, ({ value }) => subjectOf(value.labels))
  return [...bySubject].map(([subject, samples]) => {
    const spans = samples.map(({ value, atMs }, i) => {
      const next = samples[i + 1]?.atMs ?? Number.POSITIVE_INFINITY
      const toMs = next - atMs <= gapMs ? next : atMs + gapMs / MOST_GAPS
      return { ...alertState(value.labels.alertstate), fromMs: since(atMs), toMs: since(toMs) }
    })
    return { name: subject === '' ? alert : `${alert}: ${subject}`, spans: joined(spans), ticks: [] }
  })
}

function smallestGap(times: readonly number[]): number {
  const sorted = [...new Set(times)].sort((a, b) => a - b)
  return Math.min(...sorted.slice(1).map((atMs, i) => atMs - (sorted[i] ?? atMs)), 15 * SECOND_MS)
}

function subjectOf(labels: Readonly<Record<string, string>>): string {
  return labels.pod ?? labels.node ?? labels.instance ?? ''
}

const BYTES = { pattern: /_bytes$/, unit: 'MiB', per: 2 ** 20 }

/** Whatever was observed as a number: a recorded series that an alert judges, samples of a metric. */
export function valueLanes(source: Source): Lane[] {
  return shaped(source, 'evaluation', 'number').flatMap(([name, all]) => {
    const numbers = all.filter(({ value }) => typeof value.value === 'number')
    if (numbers.length < 2) return []
    const { unit, per } = BYTES.pattern.test(name) ? BYTES : { unit: '', per: 1 }
    const series = [...Map.groupBy(numbers, ({ value }) => subjectOf(value.labels ?? {}))].map(([subject, samples]) => ({
      name: subject === '' ? 'value' : subject,
      tone: 'info' as const,
      points: samples.map(({ value, atMs }) => ({ atMs: source.since(atMs), value: value.value / per })),
    }))
    const most = Math.max(...series.flatMap(({ points }) => points.map(({ value }) => value)))
    const title = name.startsWith(name.charAt(0).toUpperCase()) ? `What ${name} judges` : name
    return [{ kind: 'lines' as const, title, sum: `at most ${withUnit(most, unit)}`, unit, isStep: false, series }]
  })
}

/** Enough to know it again; the whole of it is in the record. */
const MOST_LETTERS = 120

/** What an act was answered, and whatever else has no shape that could be drawn. */
export function otherLanes(source: Source): Lane[] {
  const rows = shaped(source, 'other').map(([name, all]) => ({
    name,
    spans: [],
    ticks: all.map(({ value, atMs }) => ({
      atMs: source.since(atMs),
      text: oneLine(JSON.stringify(value) ?? '').slice(0, MOST_LETTERS),
      tone: 'info' as const,
    })),
  }))
  return rows.length === 0 ? [] : [{ kind: 'rows', title: 'Told by the steps', sum: '', rows }]
}

/** Looks that failed are no observations; where they are many, that is what happened. */
export function blindLanes({ events, since }: Source): Lane[] {
  const failed = events.filter((event): event is Observation => event.type === 'UNOBSERVED')
  if (failed.length === 0) return []
  const rows = [...Map.groupBy(failed, ({ source }) => source)].map(([name, all]) => ({
    name,
    spans: [],
    ticks: all.map(({ value, atMs }) => ({ atMs: since(atMs), text: String(value), tone: 'bad' as const })),
  }))
  return [{ kind: 'rows', title: 'Looks that failed', sum: `${failed.length}`, rows }]
}
