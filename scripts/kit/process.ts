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

/** Tells a process from a later one with the same number; `ended` where there is none. */
export async function startTime(pid: number): Promise<string> {
  if (process.platform !== 'linux') return isAlive(pid) ? 'alive' : 'ended'
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
  return stat?.slice(stat.lastIndexOf(')')).split(' ')[20] ?? 'ended'
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
