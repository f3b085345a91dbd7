/** One `local:up`, `local:down` or `local:deploy` at a time for each cluster, on this machine. */
import { link, readdir, readFile, rename, rm, rmdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { UserError } from '#kit/errors'
import { ensureDir, machineDir } from '#kit/paths'
import { isAlive, startTime } from '#kit/process'
import { ready, waitFor } from '#kit/wait'

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
  const holder: Holder = { pid: process.pid, started: await startTime(process.pid), command }
  const mine = JSON.stringify(holder)
  for (let attempt = 0; attempt < 2; attempt++) {
    ensureDir(folder) // the one that held it last may take the folder away
    if (await write(path, mine)) return { [Symbol.asyncDispose]: () => release(path, mine) }
    const content = await readFile(path, 'utf8').catch(() => '')
    const other = holderIn(content)
    if (other !== undefined && other.started !== 'ended' && other.started === (await startTime(other.pid))) {
      throw new UserError({
        what: `Cannot run ${command}`,
        why: `${other.command} of the cluster '${cluster}' is running (pid ${other.pid})`,
        next: 'Wait for it, or stop it',
      })
    }
    await removeStale(path, content)
  }
  throw new UserError({
    what: `Cannot run ${command}`,
    why: `another command took the cluster '${cluster}' a moment ago`,
    next: 'Wait for it',
  })
}

/** Waits until whoever holds it is done, for work that takes seconds. @param name no cluster's: they have no underscore. */
export function waitForLock(name: `_${string}`, command: string, signal?: AbortSignal): Promise<AsyncDisposable> {
  const take = async () => ready(await takeLock(name, command))
  return waitFor(`another command's ${command}`, take, { timeoutMs: WAIT_MS, everyMs: 200, signal })
}

const WAIT_MS = 90_000

/** Another command may take it over at the same moment: what has changed since it was read is somebody's, and is put back. */
async function removeStale(path: string, content: string): Promise<void> {
  const aside = `${path}.${process.pid}`
  const isMine = await rename(path, aside).then(
    () => true,
    () => false, // taken over by another one
  )
  if (!isMine) return
  if ((await readFile(aside, 'utf8')) !== content) await link(aside, path).catch(() => {})
  await rm(aside, { force: true })
}

/** With the folder, where nothing else is known about this machine. What is not ours any more stays. */
async function release(path: string, mine: string): Promise<void> {
  if ((await readFile(path, 'utf8').catch(() => '')) === mine) await rm(path, { force: true })
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
function holderIn(content: string): Holder | undefined {
  try {
    return JSON.parse(content) as Holder
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
