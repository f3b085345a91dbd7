/** Folders for a while. Their names say whose they are, so that the next command takes away what a killed one has left. */
import { readlinkSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
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

/** Takes away the folders of processes that have ended. @returns their paths */
export async function sweepTemporary(inside = tmpdir()): Promise<string[]> {
  const paths = await listTemporary(inside)
  await Promise.all(paths.map((path) => rm(path, { recursive: true, force: true }).catch(() => {}))) // another user's is not ours
  return paths
}

/** The folders of processes that have ended. */
export async function listTemporary(inside = tmpdir()): Promise<string[]> {
  const names = await readdir(inside).catch(() => [])
  const left = names.filter((name) => {
    const [, numbers, pid] = FOLDER.exec(name) ?? []
    return numbers === NUMBERS && !isAlive(Number(pid))
  })
  return left.map((name) => join(inside, name))
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
