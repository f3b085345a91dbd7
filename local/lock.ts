/** One `local:up`, `local:down` or `local:deploy` at a time for each cluster, on this machine. */
import { open, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { UserError } from '#kit/errors'
import { ensureDir, machineDir } from '#kit/paths'

/** @throws UserError naming the command that holds the lock; a lock whose process has ended is taken over. */
export async function takeLock(cluster: string, command: string): Promise<AsyncDisposable> {
  const path = join(ensureDir(machineDir), `${cluster}.lock`)
  const mine = JSON.stringify({ pid: process.pid, started: await startTime(process.pid), command })
  for (let attempt = 0; attempt < 2; attempt++) {
    if (await write(path, mine)) return { [Symbol.asyncDispose]: () => rm(path, { force: true }) }
    const holder = JSON.parse((await readFile(path, 'utf8').catch(() => '')) || '{"pid":0}') as {
      pid: number
      started?: string
      command?: string
    }
    if (holder.pid > 0 && holder.started === (await startTime(holder.pid))) {
      throw new UserError({
        what: `Cannot run ${command}`,
        why: `${holder.command} of the cluster '${cluster}' is running (pid ${holder.pid})`,
        next: 'Wait for it, or stop it',
      })
    }
    await rm(path, { force: true })
  }
  throw new UserError({
    what: `Cannot run ${command}`,
    why: `another command took the cluster '${cluster}' a moment ago`,
    next: 'Wait for it',
  })
}

async function write(path: string, content: string): Promise<boolean> {
  try {
    await using file = await open(path, 'wx', 0o600)
    await file.writeFile(content)
    return true
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw thrown
  }
}

/** Tells a process from a later one with the same number. Undefined where the process is gone. */
async function startTime(pid: number): Promise<string | undefined> {
  if (process.platform !== 'linux') return isAlive(pid) ? 'alive' : undefined
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
  return stat?.slice(stat.lastIndexOf(')')).split(' ')[20]
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
