/**
 * Steps with their elapsed time, on stderr, so that stdout stays clean for results. On a terminal the running steps are
 * redrawn in place; elsewhere each start and end is a plain line, and so is what a long step shows, now and then.
 */
import { stripVTControlCharacters, styleText } from 'node:util'

export interface Progress extends Disposable {
  /** Runs `work` as a named step and times it. `note` shows what the step is doing now. */
  step<T>(title: string, work: (note: Note) => Promise<T>): Promise<T>
  /**
   * Work of which one line is printed, at its end: what it gives. Its steps are shown while they run where a line can be redrawn, and timed
   * apart from those of others. Where it fails nothing is printed, and what was said before is not said again.
   */
  round(title: string, work: (inner: Progress) => Promise<string>): Promise<void>
  /** Prints a line above the running steps. */
  say(text: string): void
  /** Finished steps in order of their end. */
  readonly timings: readonly Timing[]
}

/** What a step is doing, and lines below it that are asked for anew each time they are shown. */
export type Note = (text: string, below?: (paint: Paint) => readonly string[]) => void

/** Colours text where the terminal and NO_COLOR let it. */
export type Paint = (colour: 'dim' | 'red' | 'yellow' | 'green' | 'cyan', text: string) => string

export interface Timing {
  readonly step: string
  readonly ms: number
  readonly outcome: 'ok' | 'failed'
}

/** What `--timings json` prints: one line, in whole milliseconds. @param elapsedMs of the whole command, with what is between its steps. */
export function timingsJson({ timings }: Pick<Progress, 'timings'>, elapsedMs: number): string {
  return `${JSON.stringify({ elapsedMs: Math.round(elapsedMs), steps: timings })}\n`
}

interface Running {
  readonly title: string
  readonly startedMs: number
  note: string
  below: Parameters<Note>[1]
}

const FRAME_MS = 200
/** How often a step that runs on says how it is where nothing can be redrawn. */
const PLAIN_MS = 10_000
/** Of a terminal that does not say how wide or high it is. */
const USUAL = { columns: 80, rows: 24 }

export interface ProgressOptions {
  /** @default 10 s */
  readonly plainMs?: number
}

/** @param stream where to write; a terminal is redrawn, anything else gets plain lines. */
export function createProgress(stream: NodeJS.WriteStream = process.stderr, { plainMs = PLAIN_MS }: ProgressOptions = {}): Progress {
  const running = new Set<Running>()
  const timings: Timing[] = []
  const screen = stream.isTTY ? liveScreen(stream, running) : plainScreen(stream, { running, plainMs })

  const begin = (title: string): Running => {
    const entry: Running = { title, startedMs: performance.now(), note: '', below: undefined }
    running.add(entry)
    return entry
  }

  const said = new Set<string>()
  const progress: Progress = {
    timings,
    say(text) {
      said.add(text)
      screen.print(text)
    },
    async round(title, work) {
      const entry = begin(title)
      const inner = timed({ ...progress, say: (text) => (said.has(text) ? undefined : progress.say(text)) }, (note) =>
        Object.assign(entry, { note }),
      )
      const line = await work(inner).finally(() => running.delete(entry))
      screen.print(`✓ ${line}`)
    },
    async step(title, work) {
      const entry = begin(title)
      screen.started(entry)
      const end = (outcome: Timing['outcome']) => {
        const ms = performance.now() - entry.startedMs
        running.delete(entry)
        timings.push({ step: title, ms: Math.round(ms), outcome })
        screen.print(`${outcome === 'ok' ? '✓' : '✗'} ${title} (${formatMs(ms)})`)
      }
      try {
        const value = await work((text, below) => Object.assign(entry, { note: text, below }))
        end('ok')
        return value
      } catch (thrown) {
        end('failed')
        throw thrown
      }
    },
    [Symbol.dispose]: () => screen.stop(),
  }
  return progress
}

/** Steps that print nothing, and are told to `show`. */
function timed(outer: Progress, show: (text: string) => void): Progress {
  const timings: Timing[] = []
  return {
    ...outer,
    timings,
    async step(title, work) {
      const startedMs = performance.now()
      const end = (outcome: Timing['outcome']) => timings.push({ step: title, ms: Math.round(performance.now() - startedMs), outcome })
      show(title)
      try {
        const value = await work((text) => show(`${title}: ${text}`))
        end('ok')
        return value
      } catch (thrown) {
        end('failed')
        throw thrown
      }
    },
    [Symbol.dispose]: () => {}, // the screen is another's
  }
}

interface Screen {
  started(entry: Running): void
  print(text: string): void
  stop(): void
}

const headOf = ({ title, startedMs, note }: Running) => `${title} ${formatMs(performance.now() - startedMs)} ${note}`

interface PlainOptions {
  readonly running: ReadonlySet<Running>
  readonly plainMs: number
}

function plainScreen(stream: NodeJS.WriteStream, { running, plainMs }: PlainOptions): Screen {
  const tell = ({ below, ...entry }: Running) => {
    const shown = below?.((_colour, text) => text).map((text) => text.replaceAll(/ +/g, ' ')) ?? [] // columns are for a terminal
    if (below !== undefined) stream.write(`  ${[headOf({ ...entry, below }), ...shown].join(' | ')}\n`)
  }
  const timer = setInterval(() => running.forEach(tell), plainMs)
  timer.unref()
  return {
    started: (entry) => stream.write(`▸ ${entry.title}\n`),
    print: (text) => stream.write(`${text}\n`),
    stop: () => clearInterval(timer),
  }
}

function liveScreen(stream: NodeJS.WriteStream, running: ReadonlySet<Running>): Screen {
  let drawn: readonly string[] = []
  const paint: Paint = (colour, text) => styleText(colour, text, { stream })
  const erased = () => {
    const up = rowsOf(drawn, stream.columns || USUAL.columns)
    drawn = []
    return up > 0 ? `${ESC}[${up}A${ESC}[0J` : ''
  }
  const blockOf = (entry: Running) => [`▸ ${headOf(entry)}`, ...(entry.below?.(paint) ?? []).map((line) => `    ${line}`)]
  /** One write: what is erased and drawn in two flickers. */
  const draw = (above = '') => {
    const before = erased()
    const lines = [...running].flatMap(blockOf).slice(0, (stream.rows || USUAL.rows) - 1)
    drawn = lines.map((line) => fit(line, stream.columns || USUAL.columns))
    stream.write(`${before}${above}${drawn.map((line) => `${line}\n`).join('')}`)
  }
  const redraw = () => draw()
  const timer = setInterval(redraw, FRAME_MS)
  timer.unref()
  stream.on('resize', redraw)
  return {
    started: redraw,
    print: (text) => draw(`${text}\n`),
    stop() {
      clearInterval(timer)
      stream.off('resize', redraw)
      stream.write(erased())
    },
  }
}

/** A terminal that became narrower has broken the lines that were there. */
function rowsOf(lines: readonly string[], columns: number): number {
  return lines.reduce((rows, line) => rows + Math.max(1, Math.ceil(widthOf(line) / columns)), 0)
}

const widthOf = (line: string) => stripVTControlCharacters(line).length

const ESC = '\u001b'
const COLOUR = new RegExp(`(${ESC}\\[[\\d;]*m)`)

/** Cuts a line; every colour of it stays, so that none runs on. */
function fit(line: string, columns: number): string {
  if (widthOf(line) < columns) return line
  let room = Math.max(0, columns - 2)
  const pieces = line.split(COLOUR).map((piece) => {
    if (piece.startsWith(ESC)) return piece
    const kept = piece.slice(0, room)
    room -= kept.length
    return kept
  })
  return `${pieces.join('')}…`
}

/** `850 ms`, `4.2 s`, `3 min 05 s`. */
export function formatMs(ms: number): string {
  if (Math.round(ms) < 1000) return `${Math.round(ms)} ms`
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`
  const seconds = Math.round(ms / 1000)
  return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, '0')} s`
}
