/** What a person follows while a scenario runs: load, pods, alerts, as its tape hears of them. It judges nothing. */
import type { KubeObject } from '#kit/kube'
import type { Paint } from '#kit/progress'
import { formatMs } from '#kit/progress'
import { oneLine } from '#kit/text'
import { LOAD_SOURCE } from './evidence.ts'
import type { LoadSecond } from './load.ts'
import { isChange, type Observation, type RecordedEvent } from './scenario.ts'
import { shapeOf } from './shapes.ts'
import { type State, stateOf } from './states.ts'

export interface Live {
  /** Takes an event in. */
  readonly see: (event: RecordedEvent) => void
  /** What is known now, a line for each kind of thing that anything is known of. */
  readonly lines: (paint: Paint) => string[]
}

interface Known {
  readonly seconds: LoadSecond[]
  readonly objects: Map<string, KubeObject>
  /** The state in which an object was seen first. */
  readonly first: Map<string, string | undefined>
  readonly alerts: Map<string, { readonly state: string; readonly sinceMs: number; readonly seenMs: number }>
  message: string | undefined
  failedLook: { readonly why: string; readonly atMs: number } | undefined
}

/** @param now for the tests */
export function createLive(now = Date.now): Live {
  const known: Known = { seconds: [], objects: new Map(), first: new Map(), alerts: new Map(), message: undefined, failedLook: undefined }
  return {
    see(event) {
      try {
        take(event, known)
      } catch {
        // What is only shown never ends what is recorded.
      }
    },
    lines: (paint) =>
      [
        loadLine(known, paint),
        podLine(known, paint),
        alertLine(known, now(), paint),
        otherLine(known, paint),
        blindLine(known, now(), paint),
      ].filter((line) => line !== undefined),
  }
}

function take(event: RecordedEvent, known: Known): void {
  if (event.type === 'OBSERVED') observe(event, known)
  else if (event.type === 'UNOBSERVED') known.failedLook = { why: oneLine(String(event.value)), atMs: event.atMs }
  else if (isChange(event)) {
    const { kind, metadata } = event.object
    const key = `${kind}/${metadata.namespace}/${metadata.name}/${metadata.uid}`
    if (!known.first.has(key)) known.first.set(key, stateOf(event.object)?.text)
    if (event.type === 'DELETED') known.objects.delete(key)
    else known.objects.set(key, event.object)
  }
}

function observe(event: Observation, known: Known): void {
  const { source, value, atMs } = event
  switch (shapeOf(event)) {
    case 'second':
      if (source === LOAD_SOURCE) known.seconds.push(value as LoadSecond)
      break
    case 'message':
      known.message = oneLine(String(value.title))
      break
    case 'alert sample':
      noteAlert(source, { state: value.labels.alertstate, atMs }, known)
      break
    case 'evaluation':
      noteAlert(source, { state: value.state, atMs }, known)
      break
  }
}

function noteAlert(name: string, { state, atMs }: { state: string; atMs: number }, { alerts }: Known): void {
  const before = alerts.get(name)
  alerts.set(name, { state: oneLine(state), sinceMs: before?.state === state ? before.sinceMs : atMs, seenMs: atMs })
}

// ── Lines ───────────────────────────────────────────────────────────────────────────────────────────────────────────

const LABEL_WIDTH = 8
/** They end their line: a narrow terminal cuts these, and no number. */
const SHOWN_SECONDS = 24
const LEVELS = '▁▂▃▄▅▆▇█'
/** A source is asked at least every few seconds: an alert that is told of no more is gone, a failure that is not repeated is over. */
const FORGET_MS = 6_000

const line = (label: string, text: string, paint: Paint) => `${paint('dim', label.padEnd(LABEL_WIDTH))}${text}`

function loadLine({ seconds }: Known, paint: Paint): string | undefined {
  const last = seconds.at(-1)
  if (last === undefined) return undefined
  const [requests, failed] = (['requests', 'failed'] as const).map((what) => seconds.reduce((sum, second) => sum + second[what], 0))
  const losses = `${failed} of ${requests} failed`
  const told = [`${last.requests} req/s`, failed === 0 ? losses : paint('red', losses), `p95 ${last.p95Ms} ms`]
  return line('load', [...told, sparkline(seconds.slice(-SHOWN_SECONDS), paint)].join('  '), paint)
}

/** Requests per second, those in which one failed marked. */
function sparkline(seconds: readonly LoadSecond[], paint: Paint): string {
  const most = Math.max(...seconds.map(({ requests }) => requests), 1)
  return seconds
    .map(({ requests, failed }) => paint(failed > 0 ? 'red' : 'cyan', LEVELS[Math.round((requests / most) * (LEVELS.length - 1))] ?? ''))
    .join('')
}

const COLOURS = { good: 'green', busy: 'yellow', bad: 'red', idle: 'dim', info: 'cyan' } as const

const TONES = Object.keys(COLOURS)

function podLine({ objects }: Known, paint: Paint): string | undefined {
  const states = [...objects.values()].filter(({ kind }) => kind === 'Pod').flatMap((pod) => stateOf(pod) ?? [])
  if (states.length === 0) return undefined
  const sorted = states.toSorted((a, b) => TONES.indexOf(a.tone) - TONES.indexOf(b.tone))
  const counts = [...Map.groupBy(sorted, ({ text }) => text)].map(([text, all]) =>
    paint(COLOURS[(all[0] as State).tone], `${all.length} ${text}`),
  )
  return line('pods', counts.join(', '), paint)
}

const ALERT_COLOURS: Readonly<Record<string, 'yellow' | 'red' | 'dim'>> = { pending: 'yellow', firing: 'red' }

function alertLine({ alerts, message }: Known, nowMs: number, paint: Paint): string | undefined {
  if (alerts.size === 0 && message === undefined) return undefined
  const said = [...alerts].map(([name, { state, sinceMs, seenMs }]) => {
    if (nowMs - seenMs > FORGET_MS) return paint('dim', `${name} inactive`)
    return paint(ALERT_COLOURS[state] ?? 'dim', `${name} ${state}${state === 'inactive' ? '' : ` ${formatMs(nowMs - sinceMs)}`}`)
  })
  return line('alerts', [...said, ...(message === undefined ? [] : [`last message ${message}`])].join(', '), paint)
}

/** Of everything else what has changed, and is not as it should be. */
function otherLine({ objects, first }: Known, paint: Paint): string | undefined {
  const states = [...objects].flatMap(([key, object]) => {
    const state = object.kind === 'Pod' ? undefined : stateOf(object)
    if (state === undefined || state.tone === 'good' || state.text === first.get(key)) return []
    return [paint(COLOURS[state.tone], `${object.kind} ${object.metadata.name} ${state.text}`)]
  })
  return states.length === 0 ? undefined : line('cluster', states.slice(0, 3).join(', '), paint)
}

function blindLine({ failedLook }: Known, nowMs: number, paint: Paint): string | undefined {
  if (failedLook === undefined || nowMs - failedLook.atMs > FORGET_MS) return undefined
  return line('blind', paint('red', failedLook.why), paint)
}
