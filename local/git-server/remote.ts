/** A repository elsewhere, and the one way to move a ref of it. */

import { Failure } from '#kit/errors'
import { ExecError } from '#kit/exec'
import type { Credential } from './credential.ts'
import { type GitOptions, git, type Setting } from './git.ts'

export interface Remote {
  readonly url: string
  /** Absent: whatever the user's own Git has for this address (a credential helper, an SSH key). Nothing ever prompts. */
  readonly credential?: Pick<Credential, 'user' | 'password'>
}

export type PushOutcome = 'pushed' | 'unchanged' | 'conflict'

export interface RefUpdate {
  /** Full name: `refs/heads/source`. */
  readonly ref: string
  readonly sha: string
  /** Where the ref must be for it to be moved, else the outcome is a conflict; '' when it must not exist. @default anywhere */
  readonly expected?: string
  /** Kept on the server under `refs/holdfast/base`, so that the next push knows what the server has. */
  readonly base?: string
  readonly signal?: AbortSignal | undefined
}

const BASE_REF = 'refs/holdfast/base'
/** The client's own check, then those of the server when another push came between the check and the update. */
const LOST_RACE = /stale info|fetch first|incorrect old value|reference already exists|cannot lock ref|failed to (update|lock)/
const REFUSED = /could not read (Username|Password)|Authentication failed|error: (401|403)/
const STALLED_AFTER_S = 120

/** @throws Failure when the server cannot be reached, or refuses for a reason other than a lost race. */
export async function pushRef(gitDir: string, remote: Remote, update: RefUpdate): Promise<PushOutcome> {
  const { ref, sha, expected, base, signal } = update
  const forced = expected === undefined
  const result = await gitRemote(
    remote,
    [
      '--git-dir',
      gitDir,
      'push',
      '--porcelain',
      '--no-verify',
      ...(forced ? [] : [`--force-with-lease=${ref}:${expected}`]),
      '--',
      remote.url,
      `${forced ? '+' : ''}${sha}:${ref}`,
      ...(base === undefined ? [] : [`+${base}:${BASE_REF}`]),
    ],
    { accept: [0, 1], signal },
  )
  const line = result.stdout.split('\n').find((each) => each.split('\t')[1]?.endsWith(`:${ref}`))
  if (line === undefined) throw cannotReach(remote, result.stderr)
  if (line.startsWith('=')) return 'unchanged'
  if (!line.startsWith('!')) return 'pushed'
  if (LOST_RACE.test(line)) return 'conflict'
  throw cannotReach(remote, `'${ref}' was refused: ${line.split('\t')[2] ?? line}`)
}

/** Runs a Git command that talks to the remote. */
export async function gitRemote(remote: Remote, args: readonly string[], options: GitOptions = {}) {
  try {
    return await git(args, { ...options, settings: settingsFor(remote), env: withoutProxy(remote) })
  } catch (thrown) {
    if (!(thrown instanceof ExecError)) throw thrown
    throw cannotReach(remote, thrown.stderr, thrown)
  }
}

/** All are bound to the one address. */
function settingsFor({ url, credential }: Remote): readonly Setting[] {
  const settings: Setting[] = [
    ['http.lowSpeedLimit', '1'],
    ['http.lowSpeedTime', String(STALLED_AFTER_S)],
  ]
  // The longest match wins, so a user's own rewriting of addresses leaves this one alone.
  if (isLocal(url)) settings.push([`url.${url}.insteadOf`, url])
  if (credential === undefined) return settings
  const basic = Buffer.from(`${credential.user}:${credential.password}`).toString('base64')
  return [
    ...settings,
    [`credential.${url}.helper`, ''],
    [`http.${url}.extraHeader`, ''],
    [`http.${url}.extraHeader`, `Authorization: Basic ${basic}`],
    [`http.${url}.followRedirects`, 'false'],
  ]
}

/** A proxy of the network cannot reach this machine's own addresses. */
function withoutProxy({ url }: Remote): Record<string, string> {
  if (!isLocal(url)) return {}
  const list = [process.env.NO_PROXY ?? process.env.no_proxy ?? '', new URL(url).hostname].filter((each) => each !== '').join(',')
  return { NO_PROXY: list, no_proxy: list }
}

function isLocal(url: string): boolean {
  return URL.canParse(url) && ['127.0.0.1', 'localhost'].includes(new URL(url).hostname)
}

function cannotReach(remote: Remote, output: string, cause?: unknown): Failure {
  const shown = remote.url.replace(/\/\/[^/@]*@/, '//')
  const said = output
    .replaceAll(remote.url, shown)
    .trim()
    .split('\n')
    .filter((line) => !line.startsWith('hint:'))
    .slice(-5)
    .join('\n')
  const refused = REFUSED.test(output)
  return new Failure(
    { what: `Cannot use the Git repository '${shown}'`, why: refused ? `the credential was refused: ${said}` : said },
    cause,
  )
}
