/** Which part can be moved to which version, and what a move would be. */
import { UserError } from '#kit/errors'
import type { Images } from '#kit/images'
import { nearest } from '#kit/nearest'
import { unknownName } from '#kit/pick'
import type { Cluster, Digest, GitRemote, Part, Stack, Upgrades } from './types.ts'
import { versionIn } from './versions.ts'

/** What Kubernetes is called among the parts that can be moved. It is none: it is what they run on. */
export const KUBERNETES = 'kubernetes'

/** A part and the version that it is to be moved to. */
export interface WantedUpgrade {
  readonly part: Part
  readonly upgrades: Upgrades
  readonly to: string
}

/** Needs no stack. @throws UserError for a part or a version that is missing, unknown, or the only one. */
export function parseUpgrade(stack: Stack, named: { readonly part?: string; readonly to?: string }): WantedUpgrade {
  const { part, upgrades } = partNamed(stack, named.part)
  return { part, upgrades, to: pinnedVersion(part.name, named.to, [...upgrades.versions.keys()]) }
}

/** @throws UserError for a version that is missing, or none of those that are known */
export function pinnedVersion(part: string, named: string | undefined, known: readonly string[]): string {
  const what = `Cannot upgrade '${part}'`
  if (named === undefined) throw new UserError({ what, why: 'no version is named', next: `Add --to ${known.join(' or --to ')}` })
  const to = named.replace(/^v/, '')
  if (known.includes(to)) return to
  throw unknownName(to, known, { what: `${what} to '${named}'`, why: 'that version is not pinned here' })
}

function partNamed({ parts }: Stack, name: string | undefined): Omit<WantedUpgrade, 'to'> {
  const versioned = [...parts.filter(({ upgrades }) => upgrades !== undefined).map((part) => part.name), KUBERNETES]
  const part = parts.find((each) => each.name === name)
  const { upgrades } = part ?? {}
  if (part !== undefined && upgrades !== undefined) return { part, upgrades }
  const next = `Parts with several: ${versioned.join(', ')}`
  if (name === undefined)
    throw new UserError({ what: 'Cannot upgrade', why: 'no part is named', next: `Add --part ${versioned.join(' or --part ')}` })
  if (part !== undefined) throw new UserError({ what: `Cannot upgrade '${name}'`, why: 'one version of it alone is pinned here', next })
  const guess = nearest(name, [...parts.map((each) => each.name), KUBERNETES])
  throw new UserError({ what: `Cannot upgrade '${name}'`, why: 'there is no such part', next: `Did you mean '${guess}'? ${next}` })
}

export interface UpgradePlan {
  readonly part: string
  readonly from: string
  readonly to: string
  /** To an older version: a move like any other. */
  readonly isBack: boolean
  readonly proofs: readonly string[]
  /** Absent where the registry does not have it yet: it is pulled or built first. */
  readonly digest?: Digest
}

export interface PlanRequest {
  readonly cluster: Cluster
  readonly git: GitRemote
  readonly images: Images
}

/** @throws UserError where the part runs that version already, or `deploy` does not say which it runs. */
export async function planUpgrade(wanted: WantedUpgrade, { cluster, git, images }: PlanRequest): Promise<UpgradePlan> {
  const { part, upgrades, to } = wanted
  const from = versionIn((await git.readDeploy()).files, part, upgrades)
  const what = `Cannot upgrade '${part.name}' to '${to}'`
  if (from === undefined)
    throw new UserError({
      what,
      why: 'deploy does not say which version runs',
      next: 'Run npm run local:up, which installs the one that is pinned',
    })
  const known = [...upgrades.versions.keys()]
  if (from === to) throw new UserError({ what, why: `${from} runs already`, next: `Known: ${known.join(', ')}` })
  const spec = partAt(wanted).images.find(({ name }) => name === upgrades.image)
  const digest = spec === undefined ? undefined : (await images.found(spec, cluster.registry))?.digest
  const isBack = known.indexOf(to) < known.indexOf(from)
  return { part: part.name, from, to, isBack, proofs: upgrades.proofs, ...(digest === undefined ? {} : { digest }) }
}

/** The part at the version that it is to be moved to. */
export function partAt({ part, upgrades, to }: WantedUpgrade): Part {
  const found = upgrades.versions.get(to)
  if (found === undefined) throw new TypeError(`'${part.name}' has no version ${to}`)
  return found
}

/** The parts that have several versions, and Kubernetes, as lines or as JSON; needs no cluster. */
export function listUpgrades({ parts, clusters, kubernetes }: Stack, { json = false }: { readonly json?: boolean }): string {
  const all = parts.flatMap(({ name, upgrades }) =>
    upgrades === undefined ? [] : [{ name, versions: [...upgrades.versions.keys()], pinned: upgrades.pinned, proofs: upgrades.proofs }],
  )
  const { known: versions, pinned } = clusters.local.kubernetes
  all.push({ name: KUBERNETES, versions: [...versions], pinned, proofs: kubernetes.proofs })
  if (json) return JSON.stringify(all, null, 2)
  return all
    .map(({ name, versions, pinned, proofs }) => `${name}: ${versions.join(', ')} (pinned: ${pinned})\n    proofs: ${proofs.join(', ')}`)
    .join('\n')
}

export function renderPlan({ part, from, to, isBack, proofs, digest }: UpgradePlan): string {
  return [
    `${part} ${from} → ${to}${isBack ? ' (back)' : ''}`,
    `    proofs before and after: ${proofs.join(', ')}`,
    `    image: ${digest ?? 'not in the registry yet: pulled or built first'}`,
  ].join('\n')
}
