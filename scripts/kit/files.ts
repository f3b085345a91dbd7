/** The files that belong to a clone: what Git tracks, and what it would track. */
import { lstatSync } from 'node:fs'
import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { exec } from './exec.ts'

/** Paths relative to `root`, with `/`, in order; what Git ignores, what was deleted, links and submodules are left out. */
export async function projectFiles(root: string): Promise<string[]> {
  const { stdout } = await exec('git', ['ls-files', '--cached', '--others', '--exclude-standard', '-z'], { cwd: root })
  const paths = new Set(
    stdout.split('\0').filter((path) => path !== '' && lstatSync(join(root, path), { throwIfNoEntry: false })?.isFile()),
  )
  return [...paths].sort()
}

export interface TextFile {
  readonly path: string
  readonly text: string
}

/** The contents of the files that `counts`. */
export async function readTexts(root: string, counts: (path: string) => boolean): Promise<TextFile[]> {
  const paths = (await projectFiles(root)).filter(counts)
  return Promise.all(paths.map(async (path) => ({ path, text: await readFile(join(root, path), 'utf8') })))
}

/** Writes a file that only its owner can read, at every moment, also where it was there before; it is never there by half. */
export async function writePrivate(path: string, content: string): Promise<void> {
  const draft = `${path}.${process.pid}`
  await rm(draft, { force: true }) // `mode` holds only for a new file
  await writeFile(draft, content, { mode: 0o600 })
  await rename(draft, path)
}

/** The line, from 1, of a place in a text. */
export function lineAt(text: string, index: number): number {
  return text.slice(0, index).split('\n').length
}
