/** What a gate is: checks, each with one tool, that must find nothing before anything is run or pushed. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { messageOf, UserError } from '../errors.ts'
import { ExecError } from '../exec.ts'
import { NoAnswer } from '../http.ts'
import { root as ownRoot } from '../paths.ts'
import { pickNamed } from '../pick.ts'

/** Where a tool comes from. `web`: a database that is asked; `ours`: code of this repository. */
export type Source = 'npm' | 'PyPI' | 'Go module' | 'pulled' | 'PATH' | 'web' | 'ours'

export interface Look {
  readonly root: string
  readonly signal?: AbortSignal | undefined
}

export interface Check {
  readonly tool: string
  readonly source: Source
  /** The file that pins its version. */
  readonly pin: string
  /** What it looks at, in a few words. */
  readonly about: string
  version(): Promise<string>
  /**
   * Reads only. @returns problems, each `file:line — what — how to mend it`.
   * @throws Unavailable where the tool, or the database that it asks, cannot be had on this machine; NothingYet where there is nothing to look at.
   */
  run(look: Look): Promise<string[]>
  /** Mends what is safe to mend without a person. */
  fix?(look: Look): Promise<void>
}

export interface Gate {
  readonly name: string
  readonly checks: readonly Check[]
  /** Takes every core for itself, and measures time: nothing runs beside it. @default false */
  readonly isAlone?: boolean
}

/** The version of its tool, or where that is pinned: a tool of this machine that is not there cannot say its own. */
export async function versionOf({ version, pin }: Check): Promise<string> {
  return version().catch(() => `see ${pin}`)
}

/** A tool that cannot be had here. Not a problem of the code, and no pass either. */
export class Unavailable extends Error {
  readonly exitCode = 1
}

/** There is nothing yet that a check could look at. No pass, and nowhere a problem: no machine could change it. */
export class NothingYet extends Error {
  readonly exitCode = 1
}

/** What Go, pip, Docker and the shell say where a program is not on the PATH, nobody answers, or no engine runs. */
const LACKING = new RegExp(
  [
    'failed with exit code 127',
    'dial (tcp|unix)|proxyconnect|no such host|connection (refused|reset)|network is unreachable|i/o timeout|TLS handshake timeout',
    'module lookup disabled|reading https?://\\S+: \\d{3}',
    'failed to establish a new connection|name resolution|from versions: none|ensurepip is not available',
    'docker daemon|docker API|error during connect|toomanyrequests',
  ].join('|'),
  'i',
)

/** A tool that does not compile, or whose hash is another one, is there: that is a problem, and must be seen. */
function isAbsence(thrown: unknown): boolean {
  const ran = thrown instanceof Error && thrown.cause instanceof ExecError ? thrown.cause : thrown
  if (ran instanceof ExecError) return LACKING.test(`${ran.message}\n${ran.stderr}`)
  return ran instanceof UserError || ran instanceof NoAnswer || ran instanceof Unavailable
}

/** @throws Unavailable with the first line of what `obtain` throws where that says that the tool cannot be had here; all else as it is. */
export async function have<T>(obtain: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  try {
    return await obtain()
  } catch (thrown) {
    signal?.throwIfAborted()
    if (!isAbsence(thrown)) throw thrown
    const [line = ''] = messageOf(thrown).split('\n')
    throw new Unavailable(line, { cause: thrown })
  }
}

/** The gates of these names, in their order; all where none is named. @throws UserError with the nearest name for one that does not exist. */
export function pickGates(gates: readonly Gate[], names: readonly string[]): readonly Gate[] {
  return pickNamed(gates, names, 'run the gate')
}

export interface Problem {
  readonly file: string
  readonly line: number
  readonly what: string
  readonly remedy: string
}

/** A problem's parts. What is written in another way keeps its text, and stands at the root. */
export function readProblem(text: string): Problem {
  const [, file, line, what, remedy] = /^(.+?):(\d+) — (.*?)(?: — (.*))?$/s.exec(text) ?? []
  return { file: file ?? '.', line: Number(line ?? 1), what: what ?? text, remedy: remedy ?? '' }
}

/** The version of an npm package that our package.json pins. */
export async function npmVersion(name: string): Promise<string> {
  const manifest = JSON.parse(await readFile(join(ownRoot, 'package.json'), 'utf8')) as Record<string, Record<string, string> | undefined>
  return manifest.devDependencies?.[name] ?? manifest.dependencies?.[name] ?? 'unknown'
}

/** Our own, for what is code of this repository. */
export async function ownVersion(): Promise<string> {
  return (JSON.parse(await readFile(join(ownRoot, 'package.json'), 'utf8')) as { version: string }).version
}

/** The version of a Go module that the go.mod in a folder of ours pins. */
export async function goVersionOf(goMod: string, module: string): Promise<string> {
  return pinIn(join(goMod, 'go.mod'), `${module} v`)
}

/** The version of a PyPI package that one of our requirements pins. */
export async function pypiVersion(requirements: string, name: string): Promise<string> {
  return pinIn(requirements, `${name}==`)
}

/** What stands behind `before` at the beginning of a line. */
async function pinIn(file: string, before: string): Promise<string> {
  const lines = (await readFile(join(ownRoot, file), 'utf8')).split('\n').map((line) => line.trim().replace(/^require /, ''))
  return (
    lines
      .find((line) => line.startsWith(before))
      ?.slice(before.length)
      .split(' ')[0] ?? 'unknown'
  )
}
