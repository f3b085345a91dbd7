/** Folders for a test's time, and programs in them that run as real processes. */
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type ChildOptions, type ChildResult, runChild } from '#kit/child'
import { exec } from '#kit/exec'
import { root } from '#kit/paths'

export interface Tree extends Disposable {
  readonly path: string
  write(path: string, text: string, mode?: number): void
}

/** A folder with these files, removed at the end of the block that is `using` it. */
export function createTree(files: Readonly<Record<string, string>> = {}): Tree {
  const path = realpathSync(mkdtempSync(join(tmpdir(), 'holdfast-test-')))
  const write = (name: string, text: string, mode = 0o644) => {
    const target = join(path, name)
    mkdirSync(dirname(target), { recursive: true })
    writeFileSync(target, text)
    chmodSync(target, mode)
  }
  for (const [name, text] of Object.entries(files)) write(name, text)
  return { path, write, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}

/** The same as a Git work tree without a commit. */
export function createRepository(files: Readonly<Record<string, string>> = {}): Tree {
  const tree = createTree(files)
  execFileSync('git', ['init', '--quiet', tree.path])
  return tree
}

/** The URL by which a file outside the project imports one of ours. */
export function urlOf(path: string): string {
  return pathToFileURL(join(root, path)).href
}

export interface Ended extends ChildResult {
  readonly output: string
}

/** Runs a file as a process of its own and keeps what it says. */
export async function runFile(file: string, options: Omit<ChildOptions, 'onLine'> = {}): Promise<Ended> {
  const lines: string[] = []
  const result = await runChild(file, { ...options, onLine: (line) => lines.push(line) })
  return { ...result, output: lines.join('\n') }
}

/** Runs the text of a module. */
export async function runSource(source: string, options: Omit<ChildOptions, 'onLine'> = {}): Promise<Ended> {
  using tree = createTree({ 'package.json': '{"type":"module"}', 'it.test.ts': source })
  return await runFile(join(tree.path, 'it.test.ts'), options)
}

/** Whether a process still runs. What was killed stays in the table until its parent looks; it runs no more. */
export async function isRunning(pid: number): Promise<boolean> {
  const { stdout } = await exec('ps', ['-o', 'stat=', '-p', String(pid)], { accept: [0, 1] })
  return !/^(Z|$)/.test(stdout.trim())
}
