/** A timeline in words: what a pointer reads at a time, and the table that says the same as the picture. */
import { formatMs } from '#kit/progress'
import { type Lane, rounded, withUnit } from './lane.ts'
import type { Timeline } from './timeline.ts'

/** `+4.2 s`, `−850 ms`; `0 s` is the act. */
export function signedMs(ms: number): string {
  if (Math.round(ms) === 0) return '0 s'
  return `${ms < 0 ? '−' : '+'}${formatMs(Math.abs(ms))}`
}

const MOST_SLICES = 80
const LEAST_SLICE_MS = 250

export interface Readout {
  readonly fromMs: number
  readonly toMs: number
  readonly text: string
}

/** Everything that is known of each short piece of the time. */
export function readoutsOf({ fromMs, endMs: toMs, lanes }: Timeline): Readout[] {
  const count = Math.max(1, Math.min(MOST_SLICES, Math.floor((toMs - fromMs) / LEAST_SLICE_MS)))
  const widthMs = (toMs - fromMs) / count
  return Array.from({ length: count }, (_, i) => {
    const [start, end] = [fromMs + i * widthMs, fromMs + (i + 1) * widthMs]
    const said = lanes.flatMap((lane) => saidIn(lane, { fromMs: start, toMs: end }) ?? [])
    return { fromMs: start, toMs: end, text: [signedMs((start + end) / 2), ...said].join('\n') }
  })
}

interface Slice {
  readonly fromMs: number
  readonly toMs: number
}

/** What a lane says of a short piece of the time; undefined where it says nothing. */
function saidIn(lane: Lane, slice: Slice): string | undefined {
  const known = sayings(lane, slice)
  return known.length === 0 ? undefined : `${lane.title}: ${known.join(', ')}`
}

/** The state in the middle of the slice, and every moment that lies in it. */
function sayings(lane: Lane, slice: Slice): string[] {
  const atMs = (slice.fromMs + slice.toMs) / 2
  const isNow = ({ fromMs, toMs }: Slice) => fromMs <= atMs && atMs < toMs
  switch (lane.kind) {
    case 'bars':
      return lane.layers.flatMap(({ name, bars }) => bars.filter(isNow).map(({ value }) => `${rounded(value)} ${name}`))
    case 'lines':
      return lane.series.flatMap(({ name, points }) => {
        const point = points.findLast((each) => each.atMs <= atMs)
        return point === undefined ? [] : [`${name} ${withUnit(point.value, lane.unit)}`]
      })
    case 'rows':
      return lane.rows.flatMap(({ name, spans, ticks }) => {
        const moments = ticks.filter((tick) => slice.fromMs <= tick.atMs && tick.atMs < slice.toMs)
        return [...spans.filter(isNow), ...moments].map(({ text }) => `${name} ${text}`)
      })
  }
}

export interface Happening {
  readonly atMs: number
  readonly what: string
}

/** All that happened, in time order: steps, and every change that a lane shows. */
export function happeningsOf({ steps, lanes }: Timeline): Happening[] {
  const done = steps.flatMap(({ name, kind, outcome, fromMs, toMs }): Happening[] => {
    if (outcome === 'not reached') return [{ atMs: toMs, what: `not reached: ${name}` }]
    if (outcome === 'missed') return [{ atMs: toMs, what: `not seen within ${formatMs(toMs - fromMs)}: ${name}` }]
    if (kind !== 'act' && kind !== 'load') return [{ atMs: toMs, what: name }]
    return [{ atMs: fromMs, what: `${name} (done after ${formatMs(toMs - fromMs)})` }]
  })
  const changes = lanes.flatMap((lane): Happening[] => {
    if (lane.kind !== 'rows') return []
    return lane.rows.flatMap(({ name, spans, ticks }) => [
      ...spans.map(({ fromMs, text }) => ({ atMs: fromMs, what: `${lane.title}: ${name} ${text}` })),
      ...ticks.map(({ atMs, text }) => ({ atMs, what: `${lane.title}: ${name} ${text}` })),
    ])
  })
  return [...done, ...changes].toSorted((a, b) => a.atMs - b.atMs)
}
