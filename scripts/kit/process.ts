/** Processes of this machine, by their numbers. */
import { readdir, readFile } from 'node:fs/promises'

/** Whether a process with this number runs on this machine; one of another user's counts. */
export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Tells a process, or by a negative number a group; one that has ended hears nothing. */
export function signalIfThere(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ESRCH') throw thrown
  }
}

/** Tells a process from a later one with the same number; `ended` where there is none. */
export async function startTime(pid: number): Promise<string> {
  if (process.platform !== 'linux') return isAlive(pid) ? 'alive' : 'ended'
  return (await statOf(pid))?.fields[19] ?? 'ended'
}

/** The name of the program that runs under a number, cut at 15 letters; undefined where none does. Linux only. */
export async function programOf(pid: number): Promise<string | undefined> {
  return (await statOf(pid))?.program
}

/** Undefined also for one that has ended and that nobody has asked after: in a container without an init it stays for ever. */
async function statOf(pid: number): Promise<{ program: string; fields: readonly string[] } | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  const [, program = '', rest = 'Z'] = /^\d+ \((.*)\) (.*)$/s.exec(stat) ?? [] // a name may have brackets
  const fields = rest.trim().split(' ')
  return fields[0] === 'Z' || fields[0] === 'X' ? undefined : { program, fields }
}

/**
 * Numbers of the processes that were started with this variable, `NAME=value`, or by one that was; whoever lets them go. Zombies have
 * none any more. Linux only: elsewhere none are found.
 */
export async function processesWith(variable: string): Promise<number[]> {
  const pids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name))
  const found = await Promise.all(
    pids.map(async (pid) => {
      const environment = await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '')
      return environment.split('\0').includes(variable) ? [Number(pid)] : []
    }),
  )
  return found.flat()
}
