/** A machine that is cut off: network, mounts and processes of its own, the programs and the files of this one. */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { type ExecOptions, type ExecResult, exec } from '#kit/exec'
import { exitOf } from '#kit/group'
import { root } from '#kit/paths'
import { pending, ready, terminal, waitFor } from '#kit/wait'

/** What must be there: all of Debian's own. */
const PROGRAMS = ['/usr/bin/unshare', '/usr/bin/nsenter', '/usr/bin/setpriv', '/usr/sbin/ip']

export interface OwnMachine extends AsyncDisposable {
  /** Runs a program there. */
  run(program: string, args: readonly string[], options?: ExecOptions): Promise<ExecResult>
}

/** @returns why no such machine can be made here; undefined where it can. */
export function whyNotHere(): string | undefined {
  if (process.platform !== 'linux') return 'only Linux has network namespaces'
  if (process.getuid?.() !== 0) return 'only root may make a network namespace'
  const missing = PROGRAMS.filter((path) => !existsSync(path))
  return missing.length === 0 ? undefined : `there is no ${missing.join(', ')}`
}

/** All that runs there ends with its disposal. `/run` is empty: the sockets of this machine's services are in it. */
export async function openOwnMachine(signal: AbortSignal): Promise<OwnMachine> {
  await using begun = new AsyncDisposableStack()
  // All that runs there ends with its first process, and that one with this process, however it ends.
  const holder = spawn('setpriv', ['--pdeathsig', 'KILL', 'unshare', ...NAMESPACES, 'sleep', 'infinity'], { stdio: 'ignore' })
  const ended = exitOf(holder)
  begun.defer(async () => {
    holder.kill('SIGKILL')
    await ended
  })
  const pid = await firstProcess(holder, signal)
  const run: OwnMachine['run'] = (program, args, options = {}) =>
    exec('nsenter', ['--target', pid, '--net', '--mount', '--pid', `--wd=${root}`, '--', program, ...args], { signal, ...options })
  await run('ip', ['link', 'set', 'lo', 'up'])
  await run('sh', ['-ec', OWN_MOUNTS])
  const held = begun.move()
  return { run, [Symbol.asyncDispose]: () => held.disposeAsync() }
}

/** `/sys` tells of this network's interfaces; the control groups in it are the machine's. */
const OWN_MOUNTS = `
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/cgroup
mount --rbind /sys/fs/cgroup /run/cgroup
mount -t sysfs sysfs /sys
mount --rbind /run/cgroup /sys/fs/cgroup
`
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
