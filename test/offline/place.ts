/** A machine that is cut off, with an engine of its own on the data of the one that local:up started; whoever runs this has stopped that one. */
import type { ExecResult } from '#kit/exec'
import { pending, ready, terminal, waitFor } from '#kit/wait'
import { type OwnMachine, openOwnMachine } from '../own-machine.ts'

const ENGINE_TIMEOUT_MS = 60_000

export interface CutOff extends OwnMachine {
  /** Runs one of our commands there, as its npm script does. */
  command(name: string, ...args: readonly string[]): Promise<ExecResult>
}

export async function openCutOff(signal: AbortSignal): Promise<CutOff> {
  await using begun = new AsyncDisposableStack()
  const { run } = begun.use(await openOwnMachine(signal))
  begun.use(await startEngine(run, signal))
  const held = begun.move()
  const onLine = (line: string) => console.log(`    ${line}`)
  return {
    run,
    command: (name, ...args) => run(process.execPath, ['scripts/bootstrap.mjs', name, ...args], { onLine }),
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  }
}

/** Until disposal, which stops its containers in order. */
async function startEngine(run: OwnMachine['run'], signal: AbortSignal): Promise<AsyncDisposable> {
  let ended: unknown
  const engine = run('dockerd', []).catch((thrown) => (ended = thrown))
  const look = async () => {
    if (ended !== undefined) return terminal(String(ended))
    const { exitCode, stderr } = await run('docker', ['version'], { accept: [0, 1] })
    return exitCode === 0 ? ready(undefined) : pending(stderr.trim())
  }
  await waitFor('the engine that is cut off to answer', look, { timeoutMs: ENGINE_TIMEOUT_MS, everyMs: 250, signal })
  return {
    async [Symbol.asyncDispose]() {
      await run('pkill', ['-TERM', '-x', 'dockerd'], { accept: [0, 1], signal: AbortSignal.timeout(ENGINE_TIMEOUT_MS) })
      await engine
    },
  }
}
