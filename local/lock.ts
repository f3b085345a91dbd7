/** One `local:up`, `local:down` or `local:deploy` at a time for each cluster, on this machine. */
import { link, readdir, readFile, rm, rmdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { UserError } from '#kit/errors'
import { ensureDir, machineDir } from '#kit/paths'
import { isAlive, startTime } from '#kit/process'

interface Holder {
  readonly pid: number
  readonly started: string
  readonly command: string
}

/**
 * @param folder where locks are; tests have their own.
 * @throws UserError naming the command that holds the lock; one whose process has ended is taken over.
 */
export async function takeLock(cluster: string, command: string, folder = machineDir): Promise<AsyncDisposable> {
  const path = join(folder, `${cluster}.lock`)
  await removeDrafts(ensureDir(folder))
  const mine: Holder = { pid: process.pid, started: await startTime(process.pid), command }
  for (let attempt = 0; attempt < 2; attempt++) {
    ensureDir(folder) // the one that held it last may take the folder away
    if (await write(path, JSON.stringify(mine))) return { [Symbol.asyncDispose]: () => release(path) }
    const holder = await readHolder(path)
    if (holder !== undefined && holder.started !== 'ended' && holder.started === (await startTime(holder.pid))) {
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

/** With the folder, where nothing else is known about this machine. */
async function release(path: string): Promise<void> {
  await rm(path, { force: true })
  await rmdir(dirname(path)).catch(() => {})
}

/** What a command that was killed while it wrote its lock has left. */
async function removeDrafts(folder: string): Promise<void> {
  const drafts = (await readdir(folder)).filter((name) => {
    const pid = /\.lock\.(\d+)$/.exec(name)?.[1]
    return pid !== undefined && !isAlive(Number(pid))
  })
  for (const draft of drafts) await rm(join(folder, draft), { force: true })
}

/** Undefined where the lock is gone, or was cut off while it was written. */
async function readHolder(path: string): Promise<Holder | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Holder
  } catch {
    return undefined
  }
}

/** A link appears with its content: nobody meets a lock that is half written. */
async function write(path: string, content: string): Promise<boolean> {
  const draft = `${path}.${process.pid}`
  await writeFile(draft, content, { mode: 0o600 })
  try {
    await link(draft, path)
    return true
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw thrown
  } finally {
    await rm(draft, { force: true })
  }
}
