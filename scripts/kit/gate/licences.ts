/** The licences gate: every package of npm is under a licence that the policy file allows. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parse } from 'yaml'
import { type LockedPackage, lockedPackages } from '../packages.ts'
import { type Gate, ownVersion } from './gate.ts'

const POLICY = '.gate/licences.yaml'
const LOCK = 'package-lock.json'

export interface LicencePolicy {
  /** SPDX identifiers. */
  readonly allowed: readonly string[]
  readonly exceptions: readonly { readonly package: string; readonly licence: string; readonly reason: string }[]
}

export const licences: Gate = {
  name: 'licences',
  checks: [
    {
      tool: 'licences',
      source: 'ours',
      pin: POLICY,
      about: 'every package of package-lock.json, by its SPDX expression',
      version: ownVersion,
      async run({ root }) {
        const policy = parse(await readFile(join(root, POLICY), 'utf8')) as LicencePolicy
        const packages = lockedPackages(await readFile(join(root, LOCK), 'utf8'))
        if (packages.length === 0) throw new Error(`${LOCK} holds no package`)
        const known = await Promise.all(packages.map(async (each) => ({ ...each, licence: each.license ?? (await licenceIn(root, each)) })))
        return judgeLicences(known, policy)
      },
    },
  ],
}

/** What its own manifest says, also in the form that npm had before 2014; none where it is not installed here. */
async function licenceIn(root: string, { path }: LockedPackage): Promise<string | undefined> {
  const text = await readFile(join(root, path, 'package.json'), 'utf8').catch(() => '{}')
  const { license, licenses = [] } = JSON.parse(text) as { license?: string | { type?: string }; licenses?: readonly { type?: string }[] }
  const types = [license, ...licenses].map((each) => (typeof each === 'string' ? each : each?.type)).filter((type) => type !== undefined)
  return types.length === 0 ? undefined : types.join(' OR ')
}

/** @returns a problem for each package under no licence that is allowed, and for each exception that nothing needs. */
export function judgeLicences(
  packages: readonly { name: string; version: string; licence: string | undefined }[],
  policy: LicencePolicy,
): string[] {
  const { allowed, exceptions } = policy
  const isExcepted = (name: string, licence: string) => exceptions.some((each) => each.package === name && each.licence === licence)
  const wrong = packages.filter(({ name, licence = '' }) => !isAllowed(licence, allowed) && !isExcepted(name, licence))
  const unused = exceptions.filter(({ package: name, licence }) => !packages.some((each) => each.name === name && each.licence === licence))
  const remedy = `use another package, or make an exception in ${POLICY}`
  return [
    ...wrong.map(
      ({ name, version, licence }) => `${LOCK}:1 — ${name}@${version} is under ${licence ?? 'no licence that it names'} — ${remedy}`,
    ),
    ...exceptions.flatMap(({ package: name, reason = '' }) =>
      reason.length < 20 ? [`${POLICY}:1 — the exception of ${name} has no reason — say why it is no harm`] : [],
    ),
    ...unused.map(({ package: name, licence }) => `${POLICY}:1 — nothing is ${name} under ${licence} any more — take the exception out`),
  ]
}

/**
 * Whether an SPDX expression can be kept by these licences alone: one side of each OR, both of each AND. `WITH` only adds permissions.
 * https://spdx.github.io/spdx-spec/v2.3/SPDX-license-expressions/
 */
export function isAllowed(expression: string, allowed: readonly string[]): boolean {
  const tokens = expression.match(/[()]|[^\s()]+/g) ?? []
  let at = 0
  const one = (): boolean => {
    const token = tokens[at++]
    if (token !== '(') {
      if (tokens[at] === 'WITH') at += 2
      return token !== undefined && allowed.includes(token)
    }
    const inside = either()
    return tokens[at++] === ')' && inside
  }
  const both = (): boolean => {
    let holds = one()
    while (tokens[at] === 'AND') {
      at++
      holds = one() && holds
    }
    return holds
  }
  const either = (): boolean => {
    let holds = both()
    while (tokens[at] === 'OR') {
      at++
      holds = both() || holds
    }
    return holds
  }
  const holds = either()
  return holds && at === tokens.length
}
