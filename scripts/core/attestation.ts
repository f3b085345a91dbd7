/** What is said of an image and signed: in-toto statements about one digest, kept with it in the registry. */
import { messageOf } from '#kit/errors'
import { attachArtifact, attachEnvelope, type Descriptor, type ImageRef, listReferrers, type Repository, readAttached } from '#kit/registry'
import { BUNDLE_MEDIA_TYPE, envelopeOf, type Signing } from '#kit/signing'
import { type BuiltImage, shortDigest } from './history.ts'
import type { Cluster, Digest } from './types.ts'

/** https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md */
export const STATEMENT_TYPE = 'https://in-toto.io/Statement/v1'
/** cosign 3 still writes the one before, which has the same fields. */
const READ_TYPES: readonly string[] = [STATEMENT_TYPE, 'https://in-toto.io/Statement/v0.1']

/** What can be required of a digest, by the type of its predicate. */
export const PREDICATES = {
  provenance: 'https://slsa.dev/provenance/v1',
  sbom: 'https://spdx.dev/Document',
  'test-result': 'https://in-toto.io/attestation/test-result/v0.1',
} as const
export type PredicateName = keyof typeof PREDICATES

export interface InToto {
  readonly _type: string
  readonly subject: readonly { readonly name: string; readonly digest: { readonly sha256?: string } }[]
  readonly predicateType: string
  readonly predicate: unknown
}

export function aboutImage({ name, digest }: BuiltImage): Pick<InToto, '_type' | 'subject'> {
  return { _type: STATEMENT_TYPE, subject: [{ name, digest: { sha256: digest.slice('sha256:'.length) } }] }
}

/** Where the images of a cluster are pushed. On this machine tags move; in ECR none ever does. */
export function repositoryAt({ registry, kind }: Pick<Cluster, 'registry' | 'kind'>, name: string): Repository {
  return { registry, name, tagsMove: kind === 'k3s' }
}

/** An image in a registry, and who signs what is said of it. */
export interface Attesting {
  readonly image: ImageRef
  readonly signing: Signing
}

/** Signs a statement and attaches it. @returns the digest of the signed bundle. */
export async function attest({ image, signing }: Attesting, statement: InToto, annotations: Annotations = {}): Promise<Digest> {
  const { predicateType } = statement
  const content = await signing.sign(JSON.stringify(statement))
  const digest = await attachArtifact(image, {
    artifactType: BUNDLE_MEDIA_TYPE,
    mediaType: BUNDLE_MEDIA_TYPE,
    content,
    annotations: { 'dev.sigstore.bundle.content': 'dsse-envelope', [PREDICATE_ANNOTATION]: predicateType, ...annotations },
  })
  // The policy-controller reads bundles of identities only; what a key has signed it looks for in the older place: a tag that every
  // statement moves. Where none moves it is not asked.
  const { tagsMove = true } = image
  if (tagsMove && signing.publicKey() !== undefined) await attachEnvelope(image, { content: envelopeOf(content), predicateType })
  return digest as Digest
}

type Annotations = Readonly<Record<string, string>>
const PREDICATE_ANNOTATION = 'dev.sigstore.bundle.predicateType'

/** A statement that is signed by whom `signing` believes and about this digest, or why it is none. */
export type Believed<T extends InToto = InToto> = { readonly statement: T } | { readonly refused: string }

/** Opens a bundle that comes from anywhere. What its predicate holds is the reader's to check. */
export async function openAttestation(bundle: string, digest: string, signing: Signing): Promise<Believed> {
  const opened = await signing.open(bundle)
  if ('refused' in opened) return opened
  const statement = parsed(opened.payload)
  if (statement === undefined) return { refused: 'it is no statement of in-toto' }
  const [subject, ...others] = statement.subject
  const about = `sha256:${subject?.digest.sha256}`
  if (others.length > 0 || about !== digest) return { refused: `it is about ${shortDigest(about)}, not about ${shortDigest(digest)}` }
  return { statement }
}

function parsed(payload: string): InToto | undefined {
  try {
    const statement = JSON.parse(payload) as InToto
    const isKnown = READ_TYPES.includes(statement._type) && typeof statement.predicateType === 'string' && Array.isArray(statement.subject)
    return isKnown && statement.subject.every((each) => typeof each?.digest === 'object') ? statement : undefined
  } catch {
    return undefined
  }
}

/** One attachment, and what became of opening it. */
export interface Attestation {
  /** What it claims to be. */
  readonly predicateType: string
  readonly believed: Believed
}

/** All that is attached to an image as a signed statement, in the order in which it was attached. */
export async function readAttestations({ image, signing }: Attesting): Promise<readonly Attestation[]> {
  const referrers = await listReferrers(image, BUNDLE_MEDIA_TYPE)
  return Promise.all(referrers.map((each) => readAttestation({ image, signing }, each)))
}

async function readAttestation({ image, signing }: Attesting, referrer: Descriptor): Promise<Attestation> {
  const claimed = referrer.annotations?.[PREDICATE_ANNOTATION] ?? 'unknown'
  const attached = await readAttached(image, referrer).catch((thrown) => ({ broken: messageOf(thrown) }))
  if (attached === undefined) return { predicateType: claimed, believed: { refused: 'the registry does not give what it says it has' } }
  if ('broken' in attached) return { predicateType: claimed, believed: { refused: attached.broken } }
  const believed = await openAttestation(attached.content, image.digest, signing)
  return { predicateType: 'statement' in believed ? believed.statement.predicateType : claimed, believed }
}

/** Why a digest lacks what is required; undefined where a believed statement of that kind is there, whatever else is. */
export function lacks(attestations: readonly Attestation[], name: PredicateName): string | undefined {
  const found = attestations.filter(({ predicateType }) => predicateType === PREDICATES[name])
  if (found.some(({ believed }) => 'statement' in believed)) return undefined
  const refused = found.flatMap(({ believed }) => ('refused' in believed ? [believed.refused] : []))
  return refused.length === 0 ? `it has no signed ${name}` : `its ${name} is refused: ${refused.at(-1)}`
}

/** A line each, or a JSON array. */
export function renderAttestations(attestations: readonly Attestation[], asJson = false): string {
  const rows = attestations.map(({ predicateType, believed }) => {
    const [name = predicateType] = Object.entries(PREDICATES).flatMap(([each, type]) => (type === predicateType ? [each] : []))
    return { name, predicateType, ...('refused' in believed ? { refused: believed.refused } : {}) }
  })
  if (asJson) return JSON.stringify(rows, undefined, 2)
  if (rows.length === 0) return 'Nothing signed is attached'
  return rows
    .map(({ name, refused }) => `${refused === undefined ? '✓' : '✗'} ${name}${refused === undefined ? '' : `: ${refused}`}`)
    .join('\n')
}
