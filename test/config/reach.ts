/** What NetworkPolicies let through, as the API defines it: a cluster that enforces them is not needed to see what they say. */
import type { KubeObject } from '#kit/kube'

type Labels = Readonly<Record<string, string>>
type Protocol = 'TCP' | 'UDP' | 'SCTP'

export interface Pod {
  readonly namespace: string
  readonly labels: Labels
  /** Of its containers; a policy may name one. @default none */
  readonly ports?: readonly { readonly name: string; readonly containerPort: number; readonly protocol?: Protocol }[]
}

/** A client that is no pod: nothing selects it, and no policy holds it back. */
export const OUTSIDE = 'outside'

export interface Connection {
  readonly from: Pod | typeof OUTSIDE
  readonly to: Pod
  readonly port: number
  /** @default 'TCP' */
  readonly protocol?: Protocol
}

/** Whether a connection comes about: what its start may send and what its end may receive must both allow it. */
export function reaches(connection: Connection, policies: readonly KubeObject[]): boolean {
  const { from, to } = connection
  const out = from === OUTSIDE || allowed('Egress', { connection, pod: from, peer: to }, policies)
  return out && allowed('Ingress', { connection, pod: to, peer: from }, policies)
}

type Direction = 'Ingress' | 'Egress'

/** A connection from one of its ends: `pod` is what policies select, `peer` what their rules name. */
interface Side {
  readonly connection: Connection
  readonly pod: Pod
  readonly peer: Connection['from']
}

/** Everything is allowed until a policy selects the pod; from then on what any of them allows. */
function allowed(direction: Direction, side: Side, policies: readonly KubeObject[]): boolean {
  const selecting = policies.filter((policy) => isAbout(direction, policy) && selects(policy, side.pod))
  if (selecting.length === 0) return true
  return selecting.some((policy) => rulesOf(direction, policy).some((rule) => passes(rule, { ...side, home: policy.metadata.namespace })))
}

interface Selector {
  readonly matchLabels?: Labels
  readonly matchExpressions?: readonly { readonly key: string; readonly operator: string; readonly values?: readonly string[] }[]
}

interface Peer {
  readonly podSelector?: Selector
  readonly namespaceSelector?: Selector
  readonly ipBlock?: object
}

interface Port {
  readonly protocol?: Protocol
  readonly port?: number | string
  readonly endPort?: number
}

interface Rule {
  readonly peers: readonly Peer[]
  readonly ports: readonly Port[]
}

function isAbout(direction: Direction, { spec }: KubeObject): boolean {
  const byDefault = ['Ingress', ...(spec.egress === undefined ? [] : ['Egress'])]
  return (spec.policyTypes ?? byDefault).includes(direction)
}

function selects({ metadata, spec }: KubeObject, pod: Pod): boolean {
  return metadata.namespace === pod.namespace && matches(spec.podSelector, pod.labels)
}

function rulesOf(direction: Direction, { spec }: KubeObject): Rule[] {
  const rules = (direction === 'Ingress' ? spec.ingress : spec.egress) ?? []
  return rules.map((rule: { from?: Peer[]; to?: Peer[]; ports?: Port[] }) => ({
    peers: rule.from ?? rule.to ?? [],
    ports: rule.ports ?? [],
  }))
}

/** A rule that names no peers means all of them, one that names no ports likewise. */
function passes({ peers, ports }: Rule, { connection, peer, home }: Side & { home: string | undefined }): boolean {
  const fromPeer = peers.length === 0 || peers.some((each) => isPeer(each, peer, home))
  return fromPeer && (ports.length === 0 || ports.some((each) => isPort(each, connection)))
}

function isPeer({ podSelector, namespaceSelector, ipBlock }: Peer, peer: Connection['from'], home: string | undefined): boolean {
  if (ipBlock !== undefined) throw new Error('Cannot tell whom an ipBlock reaches: pods have no addresses here')
  if (peer === OUTSIDE) return false
  const inNamespace =
    namespaceSelector === undefined
      ? peer.namespace === home
      : matches(namespaceSelector, { 'kubernetes.io/metadata.name': peer.namespace })
  return inNamespace && matches(podSelector ?? {}, peer.labels)
}

function isPort({ protocol = 'TCP', port, endPort }: Port, { to, port: wanted, protocol: used = 'TCP' }: Connection): boolean {
  if (protocol !== used) return false
  if (port === undefined) return true
  if (typeof port === 'number') return wanted >= port && wanted <= (endPort ?? port)
  return (to.ports ?? []).some((each) => each.name === port && each.containerPort === wanted && (each.protocol ?? 'TCP') === used)
}

function matches({ matchLabels = {}, matchExpressions = [] }: Selector, labels: Labels): boolean {
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(({ key, operator, values = [] }) => EXPRESSIONS[operator]?.(labels[key], values) ?? unknownOperator(operator))
  )
}

const EXPRESSIONS: Readonly<Record<string, (value: string | undefined, values: readonly string[]) => boolean>> = {
  In: (value, values) => value !== undefined && values.includes(value),
  NotIn: (value, values) => value === undefined || !values.includes(value),
  Exists: (value) => value !== undefined,
  DoesNotExist: (value) => value === undefined,
}

function unknownOperator(operator: string): never {
  throw new Error(`Cannot match labels: '${operator}' is no operator of a selector`)
}
