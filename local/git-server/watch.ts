/**
 * The files that would be pushed, watched. A folder's notice only wakes: what has changed is found by looking at all of them, so that no
 * editor's way of saving, and no folder that goes and comes back, is told apart from a plain write.
 */
import { watch as watchFolder } from 'node:fs'
import { lstat, readFile, readlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { SourceChange, SourceWatch } from '#core'
import { Failure, messageOf } from '#kit/errors'
import { sha256 } from '#kit/hash'
import { git } from './git.ts'

/** A save is several writes, a checkout many. */
const QUIET_MS = 80
/** What never becomes quiet is looked at all the same. */
const LONGEST_MS = 2_000

interface Seen {
  /** Changes with every write. */
  readonly stamp: string
  /** Of mode and content. */
  readonly key: string
}

type Files = ReadonlyMap<string, Seen>

/** @param folder a folder of a repository */
export async function watchTree(folder: string): Promise<SourceWatch> {
  const bell = createBell()
  const folders = watchFolders(folder, bell.ring)
  try {
    let files = await lookAround(folder, folders, new Map())
    return {
      async next(signal) {
        while (await bell.rung(signal)) {
          const sinceMs = await bell.quiet()
          const now = await lookAround(folder, folders, files)
          const paths = differences(files, now)
          files = now
          if (paths.length > 0) return { paths, sinceMs } satisfies SourceChange
        }
        return undefined
      },
      [Symbol.dispose]: folders[Symbol.dispose],
    }
  } catch (thrown) {
    folders[Symbol.dispose]()
    throw thrown
  }
}

/** Looks until every folder that has a file was watched before its files were read. */
async function lookAround(folder: string, folders: Folders, known: Files): Promise<Files> {
  while (true) {
    const paths = await listFiles(folder)
    if (!(await folders.follow(paths))) return readAll(folder, paths, known)
  }
}

/** Tracked, or neither tracked nor ignored. Other repositories inside it are not pushed, and end with a slash. */
async function listFiles(folder: string): Promise<readonly string[]> {
  const { stdout } = await git(['-C', folder, 'ls-files', '--cached', '--others', '--exclude-standard', '-z'])
  return [...new Set(stdout.split('\0'))].filter((path) => path !== '' && !path.endsWith('/'))
}

async function readAll(folder: string, paths: readonly string[], known: Files): Promise<Files> {
  const entries = paths.map(async (path) => {
    const seen = await readOne(join(folder, path), known.get(path))
    return seen === undefined ? [] : [[path, seen] as const]
  })
  return new Map((await Promise.all(entries)).flat())
}

/** Undefined for what is gone, and for folders: a submodule is one. */
async function readOne(path: string, known: Seen | undefined): Promise<Seen | undefined> {
  const found = await lstat(path).catch(() => undefined)
  if (found === undefined || found.isDirectory()) return undefined
  const stamp = `${found.ino} ${found.size} ${found.mode} ${found.mtimeMs} ${found.ctimeMs}`
  if (known?.stamp === stamp) return known
  const content = await (found.isSymbolicLink() ? readlink(path) : readFile(path)).catch(() => undefined)
  if (content === undefined) return undefined
  const isExecutable = (found.mode & 0o100) !== 0 // all that Git keeps of it
  return { stamp, key: `${found.isSymbolicLink()} ${isExecutable} ${sha256(content)}` }
}

function differences(before: Files, after: Files): string[] {
  const paths = new Set([...before.keys(), ...after.keys()])
  return [...paths].filter((path) => before.get(path)?.key !== after.get(path)?.key).toSorted()
}

// ── Folders ─────────────────────────────────────────────────────────────────────────────────────────────────────────

interface Folders extends Disposable {
  /** Watches the folders of these files, and no others. @returns whether one is new */
  follow(paths: readonly string[]): Promise<boolean>
}

interface Watched extends Disposable {
  /** A folder that comes back under its name is another one. */
  readonly inode: number
}

/** Each by itself: to watch the whole tree would be to watch all packages too, file by file on Linux. */
function watchFolders(root: string, wake: () => void): Folders {
  const watched = new Map<string, Watched>()
  const drop = (path: string) => {
    watched.get(path)?.[Symbol.dispose]()
    watched.delete(path)
  }
  return {
    async follow(paths) {
      const wanted = await inodesOf(root, new Set(['.', ...paths.flatMap(foldersOf)]))
      for (const [path, { inode }] of watched) if (wanted.get(path) !== inode) drop(path)
      const missing = [...wanted].filter(([path]) => !watched.has(path))
      for (const [path, inode] of missing) watched.set(path, { inode, ...watchOne(join(root, path), wake) })
      return missing.length > 0
    },
    [Symbol.dispose]() {
      for (const path of watched.keys()) drop(path)
    },
  }
}

/** Of those that are there. */
async function inodesOf(root: string, folders: ReadonlySet<string>): Promise<ReadonlyMap<string, number>> {
  const entries = [...folders].map(async (path) => {
    const found = await lstat(join(root, path)).catch(() => undefined)
    return found === undefined ? [] : [[path, found.ino] as const]
  })
  return new Map((await Promise.all(entries)).flat())
}

function foldersOf(path: string): string[] {
  const folder = dirname(path)
  return folder === '.' ? [] : [folder, ...foldersOf(folder)]
}

function watchOne(path: string, wake: () => void): Disposable {
  try {
    const watcher = watchFolder(path, wake)
    watcher.on('error', wake) // it went: the next look finds that out
    return { [Symbol.dispose]: () => watcher.close() }
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return { [Symbol.dispose]: () => {} }
    const next = 'Run npm run doctor -- --only inotify-instances,inotify-watches'
    throw new Failure({ what: `Cannot watch '${path}'`, why: messageOf(thrown), next }, thrown)
  }
}

// ── Waking ──────────────────────────────────────────────────────────────────────────────────────────────────────────

function createBell() {
  let firstMs: number | undefined
  let lastMs = 0
  let wake = () => {}
  return {
    ring() {
      lastMs = performance.now()
      firstMs ??= lastMs
      wake()
    },
    /** Whether it has rung since `quiet`, or does; false when the signal aborts first. */
    async rung(signal: AbortSignal): Promise<boolean> {
      const woken = Promise.withResolvers<void>()
      wake = woken.resolve
      signal.addEventListener('abort', wake, { once: true })
      if (firstMs === undefined && !signal.aborted) await woken.promise
      signal.removeEventListener('abort', wake)
      return !signal.aborted
    },
    /** Waits for the end of what rings it. @returns when that began */
    async quiet(): Promise<number> {
      const sinceMs = firstMs ?? performance.now()
      while (performance.now() - lastMs < QUIET_MS && performance.now() - sinceMs < LONGEST_MS) await sleep(QUIET_MS / 4)
      firstMs = undefined
      return sinceMs
    },
  }
}
