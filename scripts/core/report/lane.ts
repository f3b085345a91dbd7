/** A lane of a chart: what a round recorded of one thing, over an axis of time that all lanes share. No knowledge of records is needed to read it. */
import type { Observation, RecordedEvent } from '../scenario.ts'
import { type Shape, shapeOf } from '../shapes.ts'
import type { State, Tone } from '../states.ts'
import type { History } from './histories.ts'

export type Lane = Bars | Lines | Rows

interface LaneHead {
  readonly title: string
  /** What it comes to, in a few words. */
  readonly sum: string
}

/** Amounts per second, one upon the other. */
export interface Bars extends LaneHead {
  readonly kind: 'bars'
  readonly unit: string
  readonly layers: readonly { readonly name: string; readonly tone: Tone; readonly bars: readonly Bar[] }[]
}

export interface Bar {
  readonly fromMs: number
  readonly toMs: number
  readonly value: number
}

/** Values that are measured now and then, or (`isStep`) that hold until they change. */
export interface Lines extends LaneHead {
  readonly kind: 'lines'
  readonly unit: string
  readonly isStep: boolean
  readonly series: readonly Series[]
}

export interface Series {
  readonly name: string
  readonly tone: Tone
  /** A wanted value, not a measured one. */
  readonly isWanted?: boolean
  readonly points: readonly { readonly atMs: number; readonly value: number }[]
}

/** States of things, a row each, and moments. */
export interface Rows extends LaneHead {
  readonly kind: 'rows'
  readonly rows: readonly Row[]
}

export interface Row {
  readonly name: string
  readonly spans: readonly Span[]
  readonly ticks: readonly Tick[]
}

export interface Span extends State {
  readonly fromMs: number
  readonly toMs: number
}

export interface Tick extends State {
  readonly atMs: number
}

/** What lanes are made of; `since` turns a time of the record into one of the timeline. */
export interface Source {
  /** In time order. */
  readonly events: readonly RecordedEvent[]
  readonly histories: readonly History[]
  /** By their source. */
  readonly observations: ReadonlyMap<string, readonly Observation[]>
  readonly startMs: number
  readonly endMs: number
  readonly since: (atMs: number) => number
}

/** The sources whose observations have one of these shapes. */
export function shaped({ observations }: Source, ...shapes: readonly Shape[]): (readonly [string, readonly Observation[]])[] {
  const all = [...observations].map(([name, each]) => [name, each.filter((one) => shapes.includes(shapeOf(one)))] as const)
  return all.filter(([, each]) => each.length > 0)
}

/** More rows than this are a wall. */
export const MOST_ROWS = 12
export const SECOND_MS = 1_000

/** Spans in time order, those that say the same and touch made one. */
export function joined(spans: readonly Span[]): Span[] {
  const all: Span[] = []
  for (const span of spans) {
    const last = all.at(-1)
    if (last?.text === span.text && last.toMs >= span.fromMs) all[all.length - 1] = { ...last, toMs: span.toMs }
    else all.push(span)
  }
  return all
}

/** Three digits are as much as anybody reads after the point. */
export function rounded(value: number): string {
  return String(Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(3)))
}

/** `30/s`, `12 %`. */
export function withUnit(value: number, unit: string): string {
  return `${rounded(value)}${unit === '' || unit.startsWith('/') ? '' : ' '}${unit}`
}
