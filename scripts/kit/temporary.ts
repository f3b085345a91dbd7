/** Folders for a while. Their names say whose they are, so that the next command takes away what a killed one has left. */
import { readlinkSync } from 'node:fs'
import { lstat, mkdtemp, readdir, rm } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { cacheDir, ensureDir } from './paths.ts'
import { isAlive } from './process.ts'

/** A folder that only its owner reads; gone after disposal. */
export interface TemporaryFolder extends AsyncDisposable {
  readonly path: string
}

/**
 * @param what a word that says what it is for
 * @param inside @default the system's folder for temporary files
 */
export async function temporaryFolder(what: string, inside = tmpdir()): Promise<TemporaryFolder> {
  const path = await mkdtemp(join(inside, `holdfast-${what}-${NUMBERS}.${process.pid}-`))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}

/**
 * For what is large or is to be run, such as the files of an image: the system's folder is memory on some machines, and on some lets no
 * program or device be in it.
 */
export async function roomyFolder(what: string): Promise<TemporaryFolder> {
  return temporaryFolder(what, ensureDir(ROOMY))
}

/** Of this machine: a home may be that of several, which do not see each other's processes. */
const ROOMY = join(cacheDir, 'temporary', hostname())
const places = () => [tmpdir(), ROOMY]

/** Takes away the folders of ours whose processes have ended. @returns their paths */
export async function sweepTemporary(inside: readonly string[] = places()): Promise<string[]> {
  const paths = await listTemporary(inside)
  await Promise.all(paths.map((path) => rm(path, { recursive: true, force: true }).catch(() => {}))) // `listTemporary` goes on naming it
  return paths
}

/**
 * The folders of ours whose processes have ended. Another user's are that user's to take away.
 * @param inside @default both places where such folders are made
 */
export async function listTemporary(inside: readonly string[] = places()): Promise<string[]> {
  return (await Promise.all(inside.map(leftIn))).flat()
}

async function leftIn(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => [])
  const left = names.filter((name) => {
    const [, numbers, pid] = FOLDER.exec(name) ?? []
    return numbers === NUMBERS && !isAlive(Number(pid))
  })
  const paths = left.map((name) => join(folder, name))
  const owners = await Promise.all(paths.map(async (path) => (await lstat(path).catch(() => undefined))?.uid))
  return paths.filter((_, i) => owners[i] === process.getuid?.())
}

const FOLDER = /^holdfast-[a-z]+-(\d+)\.(\d+)-\w+$/
/** Whose numbers of processes: a container may share the folder, and does not see the processes around it. */
const NUMBERS = numbersOf('/proc/self/ns/pid')

function numbersOf(link: string): string {
  try {
    return /\d+/.exec(readlinkSync(link))?.[0] ?? '0'
  } catch {
    return '0'
  }
}
