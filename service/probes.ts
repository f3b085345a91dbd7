/**
 * The cluster's probes on a port and a thread of their own, answered from shared memory. An event loop that is only busy
 * answers them in time, so it stays in service; one that hangs stops its heartbeat, and is found out.
 */
import { Worker } from 'node:worker_threads'
import type { Phase } from './app.ts'
import { type ProbeThreadData, serveProbes } from './probe-thread.ts'

export interface ProbeOptions {
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
  readonly environment: string
  /** Asked at each heartbeat. */
  readonly phase: () => Phase
  /** An event loop that has not had its turn for that long is called unresponsive. */
  readonly heartbeatLimitMs: number
  /** Told when the thread ends by an error: nobody answers the probes then. */
  readonly onError: (error: Error) => void
}

export interface RunningProbes {
  readonly url: string
  /** Tells the phase at once, before the next heartbeat would. */
  beat(): void
  stop(): Promise<void>
}

const BEAT_MS = 250
/** The thread's index of a phase in shared memory. */
const PHASES: readonly Phase[] = ['starting', 'waiting', 'ready', 'draining']
const THREAD = {
  eval: true,
  // What the process was started with, such as a loader or an agent in NODE_OPTIONS, is not for this thread.
  execArgv: [],
  // Twice what it needs: V8 would allow it as much as the service itself.
  resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 1, codeRangeSizeMb: 1, stackSizeMb: 1 },
}

/** @returns once the port is open; @throws the listen error, such as EADDRINUSE */
export async function startProbes(options: ProbeOptions): Promise<RunningProbes> {
  // Named one by one: the thread gets a copy of all it is given, and settings hold a password.
  const { host, port, environment, heartbeatLimitMs, phase, onError } = options
  const shared = new SharedArrayBuffer(2 * BigInt64Array.BYTES_PER_ELEMENT)
  const memory = new BigInt64Array(shared)
  const beat = () => {
    Atomics.store(memory, 0, process.hrtime.bigint())
    Atomics.store(memory, 1, BigInt(PHASES.indexOf(phase())))
  }
  beat()
  const thread = await startThread({ host, port, environment, heartbeatLimitMs, shared, phases: PHASES })
  thread.worker.on('error', onError)
  const timer = setInterval(beat, BEAT_MS).unref()
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${thread.port}`,
    beat,
    async stop() {
      clearInterval(timer)
      await thread.worker.terminate()
    },
  }
}

/** From the function's own text: one way that works from the source tree and from the bundle of one file. */
async function startThread(data: ProbeThreadData): Promise<{ worker: Worker; port: number }> {
  const worker = new Worker(`(${serveProbes})()`, { ...THREAD, workerData: data })
  const said = await new Promise<{ port: number } | { error: { message: string; code?: string } }>((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
  })
  if ('port' in said) {
    worker.unref()
    return { worker, port: said.port }
  }
  await worker.terminate()
  throw Object.assign(new Error(said.error.message), { code: said.error.code })
}
