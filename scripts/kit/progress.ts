/**
 * Steps with their elapsed time, on stderr, so that stdout stays clean for results. On a terminal the running steps are
 * redrawn in place; elsewhere each start and end is a plain line.
 */

export interface Progress extends Disposable {
  /** Runs `work` as a named step and times it. `note` shows what the step is doing now. */
  step<T>(title: string, work: (note: (text: string) => void) => Promise<T>): Promise<T>
  /** Prints a line above the running steps. */
  say(text: string): void
  /** Finished steps in order of their end. */
  readonly timings: readonly Timing[]
}

export interface Timing {
  readonly step: string
  readonly ms: number
  readonly outcome: 'ok' | 'failed'
}

interface Running {
  readonly title: string
  readonly startedMs: number
  note: string
}

const FRAME_MS = 200

/** @param stream where to write; a terminal is redrawn, anything else gets plain lines. */
export function createProgress(stream: NodeJS.WriteStream = process.stderr): Progress {
  const running = new Set<Running>()
  const timings: Timing[] = []
  const screen = stream.isTTY ? liveScreen(stream, running) : plainScreen(stream)

  return {
    timings,
    say: (text) => screen.print(text),
    async step(title, work) {
      const entry: Running = { title, startedMs: performance.now(), note: '' }
      running.add(entry)
      screen.started(entry)
      const end = (outcome: Timing['outcome']) => {
        const ms = performance.now() - entry.startedMs
        running.delete(entry)
        timings.push({ step: title, ms: Math.round(ms), outcome })
        screen.print(`${outcome === 'ok' ? '✓' : '✗'} ${title} (${formatMs(ms)})`)
      }
      try {
        const value = await work((text) => {
          entry.note = text
        })
        end('ok')
        return value
      } catch (thrown) {
        end('failed')
        throw thrown
      }
    },
    [Symbol.dispose]: () => screen.stop(),
  }
}

interface Screen {
  started(entry: Running): void
  print(text: string): void
  stop(): void
}

function plainScreen(stream: NodeJS.WriteStream): Screen {
  return {
    started: (entry) => stream.write(`▸ ${entry.title}\n`),
    print: (text) => stream.write(`${text}\n`),
    stop: () => {},
  }
}

function liveScreen(stream: NodeJS.WriteStream, running: ReadonlySet<Running>): Screen {
  let drawn = 0
  const erase = () => {
    if (drawn > 0) stream.write(`\x1b[${drawn}A\x1b[0J`)
    drawn = 0
  }
  const draw = () => {
    erase()
    for (const entry of running) {
      stream.write(`${fit(`▸ ${entry.title} ${formatMs(performance.now() - entry.startedMs)} ${entry.note}`, stream.columns)}\n`)
      drawn++
    }
  }
  const timer = setInterval(draw, FRAME_MS)
  timer.unref()
  return {
    started: draw,
    print(text) {
      erase()
      stream.write(`${text}\n`)
      draw()
    },
    stop() {
      clearInterval(timer)
      erase()
    },
  }
}

const fit = (text: string, columns: number) => (text.length < columns ? text : `${text.slice(0, columns - 2)}…`)

/** `850 ms`, `4.2 s`, `3 min 05 s`. */
export function formatMs(ms: number): string {
  if (Math.round(ms) < 1000) return `${Math.round(ms)} ms`
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`
  const seconds = Math.round(ms / 1000)
  return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, '0')} s`
}
