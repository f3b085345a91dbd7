/**
 * A machine that is cut off: network, mounts and processes of its own, the programs and the data of this one. It has an engine of its own
 * on the data of the one that local:up started; whoever runs this has stopped that one.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { type ExecOptions, type ExecResult, exec } from '#kit/exec'
import { exitOf } from '#kit/group'
import { root } from '#kit/paths'
import { pending, ready, terminal, waitFor } from '#kit/wait'

/** What must be there: all of Debian's own. */
const PROGRAMS = ['/usr/bin/unshare', '/usr/bin/nsenter', '/usr/bin/setpriv', '/usr/sbin/ip']
const ENGINE_TIMEOUT_MS = 60_000

export interface CutOff extends AsyncDisposable {
  /** Runs a program there. */
  run(program: string, args: readonly string[], options?: ExecOptions): Promise<ExecResult>
  /** Runs one of our commands there, as its npm script does. */
  command(name: string, ...args: readonly string[]): Promise<ExecResult>
}

/** @returns why no such machine can be made here; undefined where it can. */
export function whyNotHere(): string | undefined {
  if (process.platform !== 'linux') return 'only Linux has network namespaces'
  if (process.getuid?.() !== 0) return 'only root may make a network namespace'
  const missing = PROGRAMS.filter((path) => !existsSync(path))
  return missing.length === 0 ? undefined : `there is no ${missing.join(', ')}`
}

export async function openCutOff(signal: AbortSignal): Promise<CutOff> {
  await using begun = new AsyncDisposableStack()
  // All that runs there ends with its first process, and that one with this process, however it ends.
  const holder = spawn('setpriv', ['--pdeathsig', 'KILL', 'unshare', ...NAMESPACES, 'sleep', 'infinity'], { stdio: 'ignore' })
  const ended = exitOf(holder)
  begun.defer(async () => {
    holder.kill('SIGKILL')
    await ended
  })
  const pid = await firstProcess(holder, signal)
  const run: CutOff['run'] = (program, args, options = {}) =>
    exec('nsenter', ['--target', pid, '--net', '--mount', '--pid', `--wd=${root}`, '--', program, ...args], { signal, ...options })
  await run('ip', ['link', 'set', 'lo', 'up'])
  await run('mount', ['-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', '/run']) // where the sockets of this machine's services are
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
async function startEngine(run: CutOff['run'], signal: AbortSignal): Promise<AsyncDisposable> {
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

const NAMESPACES = ['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc']

/** The number, on this machine, of the process that is the first one there. */
async function firstProcess(holder: ChildProcess, signal: AbortSignal): Promise<string> {
  const look = async () => {
    if (holder.exitCode !== null) return terminal(`unshare ended with exit code ${holder.exitCode}`)
    const [child] = readFileSync(`/proc/${holder.pid}/task/${holder.pid}/children`, 'utf8').split(' ')
    const isThere = child && readFileSync(`/proc/${child}/comm`, 'utf8').trim() === 'sleep' // mounted by then
    return isThere ? ready(child) : pending('not there')
  }
  return waitFor('a network namespace', look, { timeoutMs: 10_000, everyMs: 50, signal })
}
