/** Whoever wants to run something in prod is asked for its evidence by the API server itself: sigstore's policy-controller. */
import {
  application,
  debianBase,
  type Environment,
  environmentBefore,
  type ImageSpec,
  mapContainers,
  type Part,
  type PinnedManifest,
  type PredicateName,
  readManifest,
  readPinned,
  renderedSource,
  type Target,
  withDigests,
  withoutDescriptions,
} from '#core'
import { conditionOf, type KubeObject } from '#kit/kube'
import type { Signing } from '#kit/signing'
import { pending, ready } from '#kit/wait'
import { isInForce, POLICIES, POLICY, policyOf } from './policy.ts'
import { admissionProof } from './scenario.ts'

const NAME = 'admission'
const NAMESPACE = 'cosign-system'
const VERSION = '0.13.1'
const MODULE = 'github.com/sigstore/policy-controller'
const GO_MOD = 'admission/module'
/** The one environment whose pods are asked about; `manifest.yaml` names it too. */
const GUARDED: Environment = 'prod'

const definition = (file: string, sha256: string): PinnedManifest => ({
  of: 'policy-controller',
  goMod: GO_MOD,
  module: MODULE,
  path: `config/${file}`,
  url: `https://raw.githubusercontent.com/sigstore/policy-controller/v${VERSION}/config/${file}`,
  sha256,
})

const DEFINITIONS = [
  definition('300-clusterimagepolicy.yaml', 'e23467593124763d9937b1180d48cefe89dc72cf04e9bcf84cbf29822d51b20c'),
  definition('300-trustroot.yaml', 'aeda3d8b1399fc41f23d2fd00a5aa34fabe9b9f56bb273129035d7ce51672155'),
]

const controllerImage: ImageSpec = {
  name: 'sigstore/policy-controller/policy-controller',
  tag: `v${VERSION}`,
  // The index that upstream's own chart 0.10.5 names for this version.
  upstream: {
    ref: 'ghcr.io/sigstore/policy-controller/policy-controller:v0.13.1',
    digest: 'sha256:0bcd60beb93f4427c29cf3a669743caf58490e98ded4380c33c09f092734a6ab',
  },
  build: {
    context: 'admission/image',
    base: debianBase,
    inputs: [{ kind: 'go', to: 'policy-controller', goMod: GO_MOD, package: `${MODULE}/cmd/webhook` }],
  },
}

export interface AdmissionOptions {
  /** The only image that may run there. */
  readonly image: ImageSpec
  readonly signing: Signing
  /** What must be attached to its digest. */
  readonly attested: readonly PredicateName[]
  /** Proofs that must have held for it in the environment before. */
  readonly proofs: readonly string[]
  /** Where pods reach the registry that nodes pull through. The program asks names that end in `.local` by HTTP. */
  readonly registry: string
}

export function admission(options: AdmissionOptions): Part {
  return {
    name: NAME,
    // What a key has signed the program looks for under a tag that every statement moves, and in ECR none ever moves. What an identity has
    // signed it would find there, once its pods had a role to read ECR with. Until then it would keep everything out of prod.
    only: 'k3s',
    namespaces: [{ name: NAMESPACE, podSecurity: 'restricted', quota: { pods: '3', 'limits.memory': '1Gi' } }],
    images: [controllerImage],
    rendered: (target) => renderedFor(target, options),
    applications: (target) => [application({ name: NAME, namespace: NAMESPACE, sources: [renderedSource(NAME, target)] })],
    ready: policyInForce,
    scenarios: [admissionProof({ environment: GUARDED, policy: POLICY, signing: options.signing })],
  }
}

async function renderedFor(target: Target, options: AdmissionOptions): Promise<readonly KubeObject[]> {
  const { signing } = options
  const definitions = (await Promise.all(DEFINITIONS.map(readPinned))).flat().map(withOneVersion)
  // Of an identity the program needs the authorities of the public Sigstore, which it fetches when it starts.
  const args = signing.publicKey() === undefined ? [] : ['-disable-tuf']
  const own = (await readManifest('admission/manifest.yaml')).map((object) =>
    mapContainers(withDigests(object, target), (container) => ({ ...container, args })),
  )
  return [...definitions, ...own, policyFor(options)]
}

/**
 * The version that is stored, and no other: upstream’s webhook would convert to the other one, which the API server prefers, and whoever lists
 * all there is, as Argo CD does, would wait for that webhook whatever it looks for.
 */
function withOneVersion(object: KubeObject): KubeObject {
  const { conversion: _, ...spec } = object.spec
  const versions = spec.versions.filter(({ storage }: { storage: boolean }) => storage)
  return withoutDescriptions({ ...object, spec: { ...spec, versions } })
}

function policyFor({ image, signing, attested, proofs, registry }: AdmissionOptions): KubeObject {
  return policyOf({
    repository: `docker.io/${image.name}`,
    source: `${registry}/${image.name}`,
    signing,
    attested,
    evidence: { environment: environmentBefore(GUARDED) ?? GUARDED, proofs },
  })
}

/** Argo CD takes it for healthy as soon as it is there. */
async function policyInForce({ cluster: { kube } }: Target) {
  const found = await kube.get({ ...POLICIES, name: POLICY })
  if (isInForce(found)) return ready(undefined)
  return pending(`the policy '${POLICY}' is not in force: ${conditionOf(found, 'Ready')?.message ?? 'nobody has read it yet'}`)
}
