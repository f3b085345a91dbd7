/** What a move of Kubernetes itself to another version would be. */
import { UserError } from '#kit/errors'
import type { Stack } from './types.ts'
import { KUBERNETES, pinnedVersion } from './upgrade-plan.ts'

/** One that is replaced, and one that serves meanwhile. */
const NODES = 2
const SUFFIX = '-upgrade'
/** As long as a name may be that is given to a command, such as the one that removes what a killed upgrade left. */
const NAME_LENGTH = 20

export interface KubernetesPlan {
  readonly part: typeof KUBERNETES
  readonly from: string
  readonly to: string
  /** To an older version: the node with the API server comes last, since no kubelet may be newer than it. */
  readonly isBack: boolean
  /** The cluster that it is done to, and that is gone afterwards. */
  readonly cluster: string
  /** The cluster that is spared. */
  readonly spared: string
  readonly nodes: number
  readonly parts: readonly string[]
  readonly proofs: readonly string[]
}

export interface KubernetesRequest {
  /** Of the cluster that is spared. */
  readonly name: string
  readonly to?: string
}

/**
 * To the version that is pinned it goes from the one before, to any other one from the one that is pinned. Needs no stack.
 * @throws UserError for a version that is missing or unknown, and where there is none to come from
 */
export function planKubernetes({ clusters, kubernetes }: Stack, { name, ...named }: KubernetesRequest): KubernetesPlan {
  const { pinned, known } = clusters.local.kubernetes
  const to = pinnedVersion(KUBERNETES, named.to, known)
  const from = to === pinned ? known[known.indexOf(pinned) - 1] : pinned
  if (from === undefined)
    throw new UserError({ what: `Cannot upgrade '${KUBERNETES}' to '${to}'`, why: 'no version before it is pinned here to come from' })
  return {
    part: KUBERNETES,
    from,
    to,
    isBack: known.indexOf(to) < known.indexOf(from),
    cluster: `${name.slice(0, NAME_LENGTH - SUFFIX.length)}${SUFFIX}`,
    spared: name,
    nodes: NODES,
    parts: kubernetes.parts.map((part) => part.name),
    proofs: kubernetes.proofs,
  }
}

export function renderKubernetesPlan({ from, to, isBack, cluster, spared, nodes, parts, proofs }: KubernetesPlan): string {
  return [
    `${KUBERNETES} ${from} → ${to}${isBack ? ' (back)' : ''}`,
    `    on a cluster of its own, '${cluster}', with ${nodes} nodes, which is removed afterwards; '${spared}' is not touched`,
    `    order: ${isBack ? 'the agents, then the node with the API server' : 'the node with the API server, then the agents'}`,
    `    proofs before and after: ${proofs.join(', ')}`,
    `    parts: ${parts.join(', ')}`,
  ].join('\n')
}
