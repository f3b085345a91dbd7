/** Which tools may be absent: all on a person's machine, none in CI, and those that a file names where no registry can be reached. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parse } from 'yaml'
import { UserError } from '../errors.ts'
import { root } from '../paths.ts'
import type { Gate } from './gate.ts'

export const PROFILES = ['no-registry'] as const
export type Profile = (typeof PROFILES)[number]

/** A tool that the profile does without, and why. */
export interface Allowed {
  readonly tool: string
  readonly reason: string
}

export interface Absence {
  /** Whether an absent tool is a problem. */
  readonly isCi: boolean
  readonly allowed: readonly Allowed[]
  /** The file that names them, for the remedy. */
  readonly file: string
}

type Env = Readonly<Record<string, string | undefined>>

export const NO_REGISTRY = '.gate/no-registry.yaml'

/**
 * What this machine may do without.
 * @param gates all there are: an entry that names none of their tools would allow nothing, and is refused.
 * @throws UserError for the profile on GitHub, where everything can be had; for an entry without a reason or without a tool.
 */
export async function readAbsence(profile: Profile | undefined, gates: readonly Gate[], env: Env = process.env): Promise<Absence> {
  const isCi = env.CI === 'true'
  if (profile === undefined) return { isCi, allowed: [], file: NO_REGISTRY }
  if (env.GITHUB_ACTIONS === 'true')
    throw refused('GitHub reaches every registry and database', 'Leave --profile out there: it would hide a tool that is missing')
  const tools = gates.flatMap(({ checks }) => checks.map(({ tool }) => tool))
  return { isCi, allowed: readAllowed(await readFile(join(root, NO_REGISTRY), 'utf8'), tools), file: NO_REGISTRY }
}

/** The list of the file. Exported for the tests. */
export function readAllowed(text: string, tools: readonly string[]): readonly Allowed[] {
  const entries = (parse(text) ?? []) as readonly Partial<Allowed>[]
  return entries.map(({ tool = '', reason = '' }) => {
    if (!tools.includes(tool)) throw refused(`${NO_REGISTRY} names '${tool}', which no gate uses`, `Known: ${tools.join(', ')}`)
    if (reason.trim().length < 10) throw refused(`${NO_REGISTRY} does not say why '${tool}' may be absent`, 'Give it a reason')
    return { tool, reason }
  })
}

function refused(why: string, next: string): UserError {
  return new UserError({ what: 'Cannot use the no-registry profile', why, next })
}
