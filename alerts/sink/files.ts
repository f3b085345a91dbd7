/** Writing that survives a crash: what a function here has returned from is on the disk. */
import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Ours alone: notifications can name what is broken. */
export const FILE_MODE = 0o600

/** Replaces a file at once: after a crash it has the old content or the new one. */
export async function replaceFile(path: string, content: string | Iterable<string>): Promise<void> {
  const temporary = `${path}.new`
  try {
    await using file = await open(temporary, 'w', FILE_MODE)
    await file.writeFile(content)
    await file.datasync()
  } catch (thrown) {
    await rm(temporary, { force: true })
    throw thrown
  }
  await rename(temporary, path)
  await syncFolder(dirname(path))
}

/** Makes the names in a folder last: a new file, a renamed one. */
export async function syncFolder(path: string): Promise<void> {
  await using folder = await open(path, 'r')
  await folder.sync()
}

export type Write = (file: FileHandle, bytes: Buffer) => Promise<void>

/** Writes all bytes at the file's end, and waits for the disk. */
export const appendSynced: Write = async (file, bytes) => {
  await file.appendFile(bytes)
  await file.datasync()
}

/** Runs work one after the other, in the order in which it was handed over. */
export function createQueue(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve()
  return (work) => {
    const result = last.then(work)
    last = result.catch(() => {})
    return result
  }
}
