import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join, relative } from 'node:path'

/** Twelve hex digits of the SHA-256 over all values, as JSON: the key of what they make. */
export function keyOf(...values: readonly unknown[]): string {
  return createHash('sha256').update(JSON.stringify(values)).digest('hex').slice(0, 12)
}

/** SHA-256 of a file or text, in hex. */
export function sha256(content: string | Buffer): string {
  return createHash('sha256').update(content).digest('hex')
}

/** Content hash of every file below `paths` (files or folders, relative to `base`) that `counts`, in a stable order. */
export async function hashFiles(base: string, paths: readonly string[], counts = (_path: string) => true): Promise<string> {
  const files = (await Promise.all(paths.map((path) => filesBelow(join(base, path))))).flat().filter(counts).sort()
  const entries = await Promise.all(files.map(async (file) => [relative(base, file), sha256(await readFile(file))]))
  return sha256(JSON.stringify(entries))
}

/** The files below a folder; a file is its own. @throws where nothing is there */
export async function filesBelow(path: string): Promise<string[]> {
  const entries = await readdir(path, { withFileTypes: true, recursive: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOTDIR') return undefined
    throw error
  })
  if (entries === undefined) return [path]
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
}

/** SHA-256 of a file's content, in hex. */
export async function sha256OfFile(path: string): Promise<string> {
  return sha256(await readFile(path))
}
