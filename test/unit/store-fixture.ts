/** A process of the service that is told of a database, run inside the test's own. */
import { EventEmitter, once } from 'node:events'
import { run } from '../../service/run.ts'

/** What no log and no error may hold. */
export const PASSWORD = 'correct-horse-battery'

export interface Answer {
  readonly status: number
  readonly body: unknown
}

export interface ServiceRun {
  readonly code: Promise<number>
  /** All that it wrote. */
  said(): string
  /** Asks it, as soon as it listens. */
  get(path: string): Promise<Answer>
  /** @returns its exit code, after its drain */
  stop(): Promise<number>
}

export function startRun(databaseUrl: string): ServiceRun {
  const signals = new EventEmitter()
  const written = new EventEmitter()
  let text = ''
  const write = (line: string) => {
    text += line
    written.emit('line')
  }
  const env = { PORT: '0', METRICS_PORT: '0', PROBES_PORT: '0', DATABASE_URL: databaseUrl }
  const code = run({ env, signals, stdout: write, stderr: write })
  const urlOf = () => /"message":"listening".*?"url":"(.*?)"/.exec(text)?.[1]
  return {
    code,
    said: () => text,
    async get(path) {
      while (urlOf() === undefined) await once(written, 'line')
      const response = await fetch(`${urlOf()}${path}`)
      return { status: response.status, body: await response.json() }
    },
    stop() {
      signals.emit('SIGTERM')
      return code
    },
  }
}
