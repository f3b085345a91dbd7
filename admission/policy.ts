/** What a digest must show before it runs: a ClusterImagePolicy, https://docs.sigstore.dev/policy-controller/overview. */
import { PREDICATES, type PredicateName } from '#core'
import { type KubeObject, saysReady } from '#kit/kube'
import type { Signing } from '#kit/signing'

export const POLICY = 'held-proofs'
export const POLICIES = { apiVersion: 'policy.sigstore.dev/v1alpha1', kind: 'ClusterImagePolicy' }

/** Whether the program has read a policy as it stands, and asks by it. */
export function isInForce(policy: KubeObject | undefined): boolean {
  return policy !== undefined && saysReady(policy) && isRead(policy)
}

/** Whether what its status says is of the policy as it stands. */
export function isRead(policy: KubeObject | undefined): boolean {
  return policy?.status?.observedGeneration === policy?.metadata.generation
}

export interface Wanted {
  /** Without tag or digest: `docker.io/holdfast/service`. */
  readonly repository: string
  /** Where what is attached to it is read: the same repository, as pods reach it. */
  readonly source: string
  /** Whom to believe. */
  readonly signing: Pick<Signing, 'publicKey' | 'identity'>
  /** What must be attached besides the proofs. */
  readonly attested: readonly PredicateName[]
  readonly evidence: Evidence
}

/** Proofs that must have held in an environment. */
export interface Evidence {
  readonly environment: string
  readonly proofs: readonly string[]
}

/** Every field that is left out is one that the program leaves empty: nothing here fills in defaults. */
export function policyOf({ repository, source, signing, attested, evidence }: Wanted): KubeObject {
  const others = attested.filter((name) => name !== 'test-result')
  const authority = {
    name: 'signer',
    ...believed(signing),
    source: [{ oci: source }],
    attestations: [
      ...others.map((name) => ({ name, predicateType: PREDICATES[name] })),
      { name: 'test-result', predicateType: PREDICATES['test-result'], policy: { type: 'rego', data: regoOf(evidence) } },
    ],
  }
  return {
    ...POLICIES,
    // Its kind is defined by then. It goes first when all goes: the program lets go of it only while it runs.
    metadata: { name: POLICY, annotations: { 'argocd.argoproj.io/sync-wave': '1' } },
    spec: { mode: 'enforce', images: [{ glob: `${asResolved(repository)}@*` }], authorities: [authority] },
  }
}

/** As the program writes a name out. */
const asResolved = (repository: string) => repository.replace(/^docker\.io\//, 'index.docker.io/')

function believed({ publicKey, identity }: Wanted['signing']): object {
  const data = publicKey()
  if (data !== undefined) return { key: { data, hashAlgorithm: 'sha256' } }
  if (identity === undefined) throw new TypeError('Nobody is believed: there is neither a key nor an identity')
  return { signatureFormat: 'bundle', keyless: { url: 'https://fulcio.sigstore.dev', identities: [{ ...identity }] } }
}

/**
 * The same as `openStatement` and `missingProofs` ask of it. Not CUE: a field that a statement lacks would agree with any constraint.
 * The program reads Rego as it was before OPA 1.0.
 */
export function regoOf({ environment, proofs }: Evidence): string {
  if (proofs.length === 0) throw new TypeError('Without a proof that is required every statement would do')
  return `package sigstore

default isCompliant = false

required := {${proofs.map((name) => JSON.stringify(name)).join(', ')}}

held[name] {
  name := input.predicate.passedTests[_]
  {verdict | run := input.predicate.holdfast.proofs[_]; run.name == name; verdict := run.verdict} == {"held"}
}

isCompliant {
  input.predicate.result == "PASSED"
  input.predicate.holdfast.environment == ${JSON.stringify(environment)}
  count(input.predicate.failedTests) == 0
  count(required - held) == 0
}
`
}
