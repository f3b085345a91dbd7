/**
 * Runs Git as it is on this machine, but apart from what a person's shell or settings may hold: a repository named by a
 * hook's environment, hooks, signing, prompts, locks taken for convenience.
 */
import { type ExecOptions, type ExecResult, exec } from '#kit/exec'

export type Setting = readonly [name: string, value: string]

export interface GitOptions extends Pick<ExecOptions, 'input' | 'signal' | 'accept'> {
  readonly env?: Readonly<Record<string, string>>
  /** Given to Git through the environment, so that no other user of the machine reads them in its arguments. */
  readonly settings?: readonly Setting[]
}

/** Set by hooks and by callers of Git; each would turn a command to another repository, index or meaning of a path. */
const NOT_INHERITED = [
  'GIT_DIR',
  'GIT_WORK_TREE',
  'GIT_COMMON_DIR',
  'GIT_INDEX_FILE',
  'GIT_OBJECT_DIRECTORY',
  'GIT_ALTERNATE_OBJECT_DIRECTORIES',
  'GIT_PREFIX',
  'GIT_NAMESPACE',
  'GIT_SHALLOW_FILE',
  'GIT_QUARANTINE_PATH',
  'GIT_LITERAL_PATHSPECS',
  'GIT_GLOB_PATHSPECS',
  'GIT_NOGLOB_PATHSPECS',
  'GIT_ICASE_PATHSPECS',
  'GIT_ATTR_SOURCE',
  'GIT_CONFIG',
  'GIT_AUTHOR_DATE',
  'GIT_COMMITTER_DATE',
]

const SETTINGS: readonly Setting[] = [
  ['core.hooksPath', '/dev/null'],
  ['core.fsmonitor', 'false'],
  // Else a temporary index could write its shared part beside the user's own.
  ['core.splitIndex', 'false'],
  // The next two stop `git add` half way, the third skips files in silence.
  ['core.safecrlf', 'false'],
  ['submodule.recurse', 'false'],
  ['add.ignoreErrors', 'false'],
  ['i18n.commitEncoding', 'UTF-8'],
  ['gc.auto', '0'],
  ['maintenance.auto', 'false'],
  ['push.followTags', 'false'],
  ['push.gpgSign', 'false'],
  ['push.recurseSubmodules', 'no'],
  ['fetch.recurseSubmodules', 'no'],
]

/** Who makes the commits. */
export const IDENTITY = {
  GIT_AUTHOR_NAME: 'Holdfast',
  GIT_AUTHOR_EMAIL: 'holdfast@localhost',
  GIT_COMMITTER_NAME: 'Holdfast',
  GIT_COMMITTER_EMAIL: 'holdfast@localhost',
}

const ENVIRONMENT = {
  LC_ALL: 'C',
  GIT_TERMINAL_PROMPT: '0',
  GIT_ASKPASS: '',
  GIT_OPTIONAL_LOCKS: '0',
  GIT_NO_REPLACE_OBJECTS: '1',
  GIT_DEFAULT_HASH: 'sha1',
}

export async function git(args: readonly string[], options: GitOptions = {}): Promise<ExecResult> {
  const { env, settings = [], input, ...rest } = options
  // As bytes: an empty string would leave Git waiting for its input to end.
  const stdin = input === undefined ? {} : { input }
  return exec('git', args, {
    ...rest,
    ...stdin,
    env: { ...notInherited(), ...ENVIRONMENT, ...settingsEnv([...SETTINGS, ...settings]), ...env },
  })
}

/** What a command that prints one line says. */
export async function gitLine(args: readonly string[], options: GitOptions = {}): Promise<string> {
  return (await git(args, options)).stdout.trimEnd()
}

/** A new, empty, bare repository. */
export async function createBare(gitDir: string, options: GitOptions = {}): Promise<void> {
  await git(['init', '--quiet', '--bare', '--template=', gitDir], options)
}

/** Appended to the settings that the environment already carries, such as a `safe.directory` of a CI job. */
function settingsEnv(settings: readonly Setting[]): Record<string, string> {
  const first = Number(process.env.GIT_CONFIG_COUNT ?? 0)
  const pairs = settings.flatMap(([name, value], index) => [
    [`GIT_CONFIG_KEY_${first + index}`, name] as const,
    [`GIT_CONFIG_VALUE_${first + index}`, value] as const,
  ])
  return { GIT_CONFIG_COUNT: String(first + settings.length), ...Object.fromEntries(pairs) }
}

/** `undefined` removes a variable from what a child process inherits. */
function notInherited(): Record<string, undefined> {
  return Object.fromEntries(NOT_INHERITED.map((name) => [name, undefined]))
}
