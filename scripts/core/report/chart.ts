/**
 * Charts as static SVG: no script, and they grow and shrink with the page. Places along the time are percentages, so text keeps its
 * size; shapes that SVG knows no percentages for are stretched in a box of their own.
 */
import { scaleLinear } from 'd3-scale'
import { area, curveStepAfter, line } from 'd3-shape'
import { formatMs } from '#kit/progress'
import type { MeasuredTime } from '../scenario.ts'
import type { ComparedTime, Spread } from './compare.ts'
import { type Html, html } from './html.ts'
import { type Bars, type Lane, type Lines, type Row, type Rows, type Series, type Span, type Tick, withUnit } from './lane.ts'
import { readoutsOf, signedMs } from './readout.ts'
import type { BoundSpan, StepSpan, Timeline } from './timeline.ts'

/** The width of the boxes that are stretched. */
const WIDE = 1000
const BARS_HEIGHT = 56
const LINES_HEIGHT = 44
const ROW_HEIGHT = 14
const SECOND_MS = 1_000
const MINUTE_MS = 60 * SECOND_MS
const MOST_TICKS = 8
const TICK_STEPS_MS = [100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 30_000, 60_000, 120_000, 300_000, 600_000, 1_800_000, 3_600_000]

/** Where a time lies: as a percentage, and in a stretched box. */
interface Axis {
  readonly fromMs: number
  readonly endMs: number
  readonly toMs: number
  readonly percent: (ms: number) => string
  readonly wide: (ms: number) => number
}

function axisOf({ fromMs, endMs, toMs }: Pick<Timeline, 'fromMs' | 'endMs' | 'toMs'>): Axis {
  const scale = scaleLinear().domain([fromMs, toMs]).clamp(true)
  const [percents, wides] = [scale.copy().range([0, 100]), scale.copy().range([0, WIDE])]
  return { fromMs, endMs, toMs, percent: (ms) => `${tenth(percents(ms) * 10) / 10}%`, wide: (ms) => tenth(wides(ms)) }
}

const tenth = (value: number) => Math.round(value * 10) / 10

// ── The timeline ────────────────────────────────────────────────────────────────────────────────────────────────────

/** What happened in a round, everything over one axis. The same stands in a table beside it: the picture is for eyes only. */
export function renderTimeline(timeline: Timeline): Html {
  const axis = axisOf(timeline)
  return html`<div class="timeline" aria-hidden="true">
${background(timeline, axis)}
${phases(timeline, axis)}
${ticks(axis)}
<div class="group">${timeline.steps.map((step) => stepRow(step, axis))}</div>
${timeline.bounds.length > 0 && html`<div class="group">${timeline.bounds.map((bound) => boundRow(bound, axis))}</div>`}
${timeline.lanes.map((lane) => html`<div class="group">${laneRows(lane, axis)}</div>`)}
${hoverSlices(timeline, axis)}
</div>`
}

/** A name and what it comes to, beside (on a phone above) what is drawn. */
function row(name: Html | string, sum: Html | string, plot: Html): Html {
  return html`<div class="row"><div class="cap"><span class="name">${name}</span> <span class="sum">${sum}</span></div>${plot}</div>
`
}

function plotOf(height: number, content: Html): Html {
  return html`<svg class="plot" width="100%" height="${height}">${content}</svg>`
}

/** From the act to its bite, from the bite to the end of what was measured; lines at all three. */
function background({ act, endMs: toMs }: Timeline, { percent, ...axis }: Axis): Html {
  const { bittenMs, healedMs } = act
  const shade = (fromMs: number, endMs: number, kind: string) =>
    html`<rect class="${kind}" x="${percent(fromMs)}" width="${spanPercent(fromMs, endMs, axis)}" y="0" height="100%"/>`
  const rule = (ms: number, kind: string) => html`<line class="${kind}" x1="${percent(ms)}" x2="${percent(ms)}" y1="0" y2="100%"/>`
  return html`<svg class="back" width="100%" height="100%">
${shade(0, bittenMs ?? healedMs ?? toMs, 'shade-acting')}
${bittenMs !== undefined && shade(bittenMs, Math.max(healedMs ?? toMs, bittenMs), 'shade-bitten')}
${tickTimes(axis).map((ms) => rule(ms, 'grid'))}
${rule(0, 'rule-act')}${bittenMs !== undefined && rule(bittenMs, 'rule-bite')}${healedMs !== undefined && rule(healedMs, 'rule-healed')}
</svg>`
}

function spanPercent(fromMs: number, toMs: number, axis: Pick<Axis, 'fromMs' | 'toMs'>): string {
  const [from, to] = [fromMs, toMs].map((ms) => Math.min(Math.max(ms, axis.fromMs), axis.toMs)) as [number, number]
  return `${Math.max(0, Math.round((10_000 * (to - from)) / (axis.toMs - axis.fromMs)) / 100)}%`
}

function phases({ act: { bittenMs, healedMs }, fromMs, endMs: toMs }: Timeline, axis: Axis): Html {
  const afterMs = healedMs ?? toMs
  const parts = [
    { text: 'before', tone: 'idle', fromMs, toMs: 0 },
    { text: 'takes effect', tone: 'busy', fromMs: 0, toMs: bittenMs ?? afterMs },
    {
      text: healedMs === undefined ? 'never over' : 'in effect',
      tone: healedMs === undefined ? 'bad' : 'acted',
      fromMs: bittenMs ?? afterMs,
      toMs: afterMs,
    },
    { text: 'over', tone: 'good', fromMs: afterMs, toMs },
  ] as const
  const spans = parts.filter((part) => part.toMs > part.fromMs).map((part) => span(part, axis, ROW_HEIGHT + 4))
  return row('Phase', '', plotOf(ROW_HEIGHT + 4, html`${spans}`))
}

function tickTimes({ fromMs, toMs }: Pick<Axis, 'fromMs' | 'toMs'>): number[] {
  const stepMs = TICK_STEPS_MS.find((step) => (toMs - fromMs) / step <= MOST_TICKS) ?? toMs - fromMs
  const first = Math.ceil(fromMs / stepMs)
  return Array.from({ length: Math.floor(toMs / stepMs) - first + 1 }, (_, i) => (first + i) * stepMs)
}

/** Every second one is left out where there is no room; the one at 0 never is. */
function ticks(axis: Axis): Html {
  const times = tickTimes(axis)
  const zero = times.indexOf(0)
  const labels = times.map((ms, i) => {
    const anchor =
      ms - axis.fromMs < (axis.toMs - axis.fromMs) * 0.03 ? 'start' : axis.toMs - ms < (axis.toMs - axis.fromMs) * 0.04 ? 'end' : 'middle'
    const isMinor = Math.abs(i - zero) % 2 === 1
    return html`<text class="${isMinor ? 'tick minor' : 'tick'}" x="${axis.percent(ms)}" y="12" text-anchor="${anchor}">${tickLabel(ms)}</text>`
  })
  return row('', '', plotOf(ROW_HEIGHT + 2, html`${labels}`))
}

function tickLabel(ms: number): string {
  const seconds = Math.abs(ms) / SECOND_MS
  const sign = ms < 0 ? '−' : ''
  if (Math.abs(ms) < 2 * MINUTE_MS) return `${sign}${Number(seconds.toFixed(1))} s`
  const rest = Math.round(seconds % 60)
  return `${sign}${Math.floor(seconds / 60)} min${rest === 0 ? '' : ` ${rest} s`}`
}

// ── Steps and bounds ────────────────────────────────────────────────────────────────────────────────────────────────

const STEP_TONES = { act: 'act', load: 'load', until: 'wait', always: 'watch', never: 'watch' } as const

function stepRow({ name, kind, isBite, outcome, fromMs, toMs }: StepSpan, axis: Axis): Html {
  const said =
    outcome === 'done' ? signedMs(kind === 'act' || kind === 'load' ? fromMs : toMs) : outcome === 'missed' ? 'not seen' : 'not reached'
  const tone = outcome === 'missed' ? 'missed' : STEP_TONES[kind]
  const bar =
    outcome !== 'not reached' &&
    html`<rect class="step-${tone}" x="${axis.percent(fromMs)}" width="${spanPercent(fromMs, toMs, axis)}" y="4" height="6" rx="3"/>`
  const end = outcome === 'done' && kind === 'until' && html`<circle class="step-end" cx="${axis.percent(toMs)}" cy="7" r="4"/>`
  return row(html`${name}${isBite && html` <i>bite</i>`}`, said, plotOf(ROW_HEIGHT, html`${bar}${end}`))
}

/** The parts of the upper limit one after the other, what is too early before them, and where the time ended. */
function boundRow(bound: BoundSpan, axis: Axis): Html {
  const { name, fromMs, lowerMs, upperMs, valueMs } = bound
  const isKept = valueMs !== undefined && valueMs >= lowerMs && valueMs <= upperMs
  const said = valueMs === undefined ? 'not measured' : formatMs(valueMs)
  const place = (ms: number) => axis.percent(fromMs + ms)
  const width = (from: number, to: number) => spanPercent(fromMs + from, fromMs + to, axis)
  const mark =
    valueMs !== undefined && html`<rect class="${isKept ? 'mark-kept' : 'mark-broken'}" x="${place(valueMs)}" y="0" width="3" height="14"/>`
  return row(
    name,
    html`<b class="${isKept ? 'good' : 'bad'}">${said}</b> of ${formatMs(upperMs)}`,
    plotOf(ROW_HEIGHT, html`${bands(bound, { place, width })}${mark}`),
  )
}

interface Ruler {
  readonly place: (ms: number) => string
  readonly width: (fromMs: number, toMs: number) => string
}

function bands({ lowerMs, partsMs }: Pick<MeasuredTime, 'lowerMs' | 'partsMs'>, { place, width }: Ruler): Html {
  let atMs = 0
  const parts = Object.entries(partsMs).map(([part, ms], i) => {
    const fromMs = atMs
    atMs += ms
    return html`<rect class="band band-${i % 2}" x="${place(fromMs)}" width="${width(fromMs, atMs)}" y="3" height="8"><title>${partName(part)}: ${formatMs(ms)}</title></rect>`
  })
  return html`${parts}<rect class="too-early" x="${place(0)}" width="${width(0, lowerMs)}" y="3" height="8"/>`
}

/** As a person says it: `podStartMs` is `pod start`. */
export function partName(part: string): string {
  return part.replace(/Ms$/, '').replaceAll(/(?<=[a-z])[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
}

/** All values of a measured time upon its bound; the one line of many rounds or runs. */
export function renderSpread({ lowerMs, upperMs, partsMs, valuesMs }: MeasuredTime): Html {
  const most = Math.max(upperMs, ...valuesMs)
  const axis = axisOf({ fromMs: 0, endMs: most, toMs: most * 1.04 })
  const dots = valuesMs.map((ms) => {
    const isKept = ms >= lowerMs && ms <= upperMs
    return html`<circle class="${isKept ? 'dot-kept' : 'dot-broken'}" cx="${axis.percent(ms)}" cy="7" r="4"><title>${formatMs(ms)}</title></circle>`
  })
  const ruler: Ruler = { place: axis.percent, width: (from, to) => spanPercent(from, to, axis) }
  return html`<svg class="spread" width="100%" height="${ROW_HEIGHT}" aria-hidden="true">${bands({ lowerMs, partsMs }, ruler)}${dots}</svg>`
}

/** Two spreads of one time upon its bound, the earlier one above: from the least to the most, with the median. */
export function renderRanges({ lowerMs, upperMs, before, after }: ComparedTime): Html {
  const most = Math.max(upperMs, before?.maxMs ?? 0, after?.maxMs ?? 0)
  const axis = axisOf({ fromMs: 0, endMs: most, toMs: most * 1.04 })
  const range = (spread: Spread | undefined, y: number) =>
    spread !== undefined &&
    html`<rect class="range" x="${axis.percent(spread.minMs)}" width="${spanPercent(spread.minMs, spread.maxMs, axis)}" y="${y - 1.5}" height="3"/><circle class="dot-kept" cx="${axis.percent(spread.p50Ms)}" cy="${y}" r="4"/>`
  return html`<svg class="spread" width="100%" height="26" aria-hidden="true"><rect class="band-1" x="${axis.percent(lowerMs)}" width="${spanPercent(lowerMs, upperMs, axis)}" height="26" rx="3"/>${range(before, 7)}${range(after, 19)}</svg>`
}

// ── Lanes ───────────────────────────────────────────────────────────────────────────────────────────────────────────

function laneRows(lane: Lane, axis: Axis): Html {
  switch (lane.kind) {
    case 'bars':
      return row(lane.title, lane.sum, barsPlot(lane, axis))
    case 'lines':
      return row(lane.title, lane.sum, linesPlot(lane, axis))
    case 'rows':
      return rowsOf(lane, axis)
  }
}

/** A shape in a box that is stretched to the width, and its highest value beside it. */
function stretched(height: number, { most, unit }: { most: number; unit: string }, content: readonly Html[]): Html {
  return html`<svg class="plot" width="100%" height="${height}"><line class="base" x1="0" x2="100%" y1="${height - 0.5}" y2="${height - 0.5}"/>
<svg viewBox="0 0 ${WIDE} ${height}" preserveAspectRatio="none" width="100%" height="${height}">${content}</svg>
<text class="most" x="3" y="10">${withUnit(most, unit)}</text></svg>`
}

function barsPlot({ layers, unit }: Bars, { wide }: Axis): Html {
  const sums = layers[0]?.bars.map((_, i) => layers.reduce((sum, { bars }) => sum + (bars[i]?.value ?? 0), 0)) ?? []
  const most = Math.max(...sums, 1)
  const y = scaleLinear().domain([0, most]).range([BARS_HEIGHT, 12])
  const below = sums.map(() => 0)
  const shapes = layers.map(({ bars, tone }) => {
    const path = bars.map(({ fromMs, toMs, value }, i) => {
      const base = below[i] ?? 0
      below[i] = base + value
      return value === 0 ? '' : `M${wide(fromMs)},${tenth(y(base))}V${tenth(y(base + value))}H${wide(toMs)}V${tenth(y(base))}Z`
    })
    return html`<path class="bars tone-${tone}" d="${path.join('')}"/>`
  })
  return stretched(BARS_HEIGHT, { most, unit }, shapes)
}

function linesPlot({ series, unit, isStep }: Lines, axis: Axis): Html {
  const most = Math.max(...series.flatMap(({ points }) => points.map(({ value }) => value))) || 1
  const y = scaleLinear()
    .domain([0, most])
    .range([LINES_HEIGHT - 1, 12])
  return stretched(
    LINES_HEIGHT,
    { most, unit },
    series.map((each) => seriesPath(each, axis, { y: (value) => tenth(y(value)), isStep })),
  )
}

interface Curve {
  readonly y: (value: number) => number
  readonly isStep: boolean
}

/** A value that holds is drawn to the end. */
function seriesPath({ points, tone, isWanted = false }: Series, axis: Axis, { y, isStep }: Curve): Html {
  const last = points.at(-1)
  const all = isStep && last !== undefined ? [...points, { ...last, atMs: axis.endMs }] : points
  const [outline, fill] = [line<Series['points'][number]>(), area<Series['points'][number]>()]
  const x = ({ atMs }: { atMs: number }) => axis.wide(atMs)
  outline.x(x).y(({ value }) => y(value))
  fill
    .x(x)
    .y0(LINES_HEIGHT)
    .y1(({ value }) => y(value))
  if (isStep) outline.curve(curveStepAfter)
  if (isStep) fill.curve(curveStepAfter)
  if (isWanted) return html`<path class="line wanted" d="${outline([...all]) ?? ''}"/>`
  return html`<path class="fill tone-${tone}" d="${fill([...all]) ?? ''}"/><path class="line tone-${tone}" d="${outline([...all]) ?? ''}"/>`
}

function rowsOf({ title, sum, rows }: Rows, axis: Axis): Html {
  const shorten = shortener(rows.map(({ name }) => name))
  return html`<div class="lane-title"><span>${title}</span> <span class="sum">${sum}</span></div>
${rows.map((each) => stateRow({ ...each, name: shorten(each.name) }, axis))}`
}

/** What all names begin with is said once, by the title. */
function shortener(names: readonly string[]): (name: string) => string {
  const [first = ''] = names
  const parts = first.split('-').slice(0, -1)
  const shared = parts.findLastIndex((_, i) => names.every((name) => name.startsWith(`${parts.slice(0, i + 1).join('-')}-`)))
  const length = names.length > 1 && shared >= 0 ? `${parts.slice(0, shared + 1).join('-')}-`.length : 0
  return (name) => (length === 0 ? name : `…${name.slice(length)}`)
}

function stateRow({ name, spans, ticks: moments }: Row, axis: Axis): Html {
  return row(
    name,
    '',
    plotOf(ROW_HEIGHT + 2, html`${spans.map((each) => span(each, axis, ROW_HEIGHT + 2))}${moments.map((each) => tick(each, axis))}`),
  )
}

/** How wide a letter and a plot are, in pixels: a text that is cut says less than none. */
const LETTER = 6
const PLOT = { wide: 640, phone: 310 }

function span({ fromMs, toMs, text, tone }: Omit<Span, 'tone'> & { readonly tone: string }, axis: Axis, height: number): Html {
  const share = (Math.min(toMs, axis.toMs) - fromMs) / (axis.toMs - axis.fromMs)
  const fits = (plot: number) => share * plot >= text.length * LETTER + 8
  const room = fits(PLOT.phone) ? '' : ' wide-only'
  const label = fits(PLOT.wide) && html`<text class="span-text tone-${tone}${room}" x="5" y="${height - 4}">${text}</text>`
  return html`<svg x="${axis.percent(fromMs)}" width="${spanPercent(fromMs, toMs, axis)}" height="${height}"><rect class="span tone-${tone}" width="100%" height="${height}" rx="3"/>${label}</svg>`
}

function tick({ atMs, tone, text }: Tick, axis: Axis): Html {
  return html`<circle class="moment tone-${tone}" cx="${axis.percent(atMs)}" cy="8" r="4.5"><title>${signedMs(atMs)} ${text}</title></circle>`
}

/** What a pointer reads at a time. */
function hoverSlices(timeline: Timeline, axis: Axis): Html {
  const slices = readoutsOf(timeline).map(({ fromMs, toMs, text }) => {
    const width = spanPercent(fromMs, toMs, axis)
    return html`<rect class="slice" x="${axis.percent(fromMs)}" width="${width}" height="100%"><title>${text}</title></rect>`
  })
  return html`<svg class="front" width="100%" height="100%">${slices}</svg>`
}
