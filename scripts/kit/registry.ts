/** What is asked of an OCI registry over its HTTP API: https://github.com/opencontainers/distribution-spec/blob/main/spec.md */
import { Failure, messageOf } from './errors.ts'
import { sha256 } from './hash.ts'

/** A repository on this machine's side. */
export interface Repository {
  /** Host and port. */
  readonly registry: string
  /** Path, such as `holdfast/service`. */
  readonly name: string
  /** Whether a tag that is there can come to name something else. @default true */
  readonly tagsMove?: boolean
}

export interface ImageRef extends Repository {
  readonly digest: string
}

export interface Descriptor {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
  readonly artifactType?: string
  readonly annotations?: Readonly<Record<string, string>>
}

/** A small file that says something of an image. */
export interface Artifact {
  readonly artifactType: string
  readonly mediaType: string
  readonly content: string
  readonly annotations?: Readonly<Record<string, string>>
}

const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
const OCI_INDEX = 'application/vnd.oci.image.index.v1+json'
export const MANIFEST_TYPES = [
  OCI_INDEX,
  OCI_MANIFEST,
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v2+json',
].join(', ')
const EMPTY = { mediaType: 'application/vnd.oci.empty.v1+json', content: '{}' }

export const digestOfText = (content: string) => `sha256:${sha256(content)}`
/** Where a repository's API begins. */
export const urlOf = ({ registry, name }: Repository) => `http://${registry}/v2/${name}`

/** @throws Failure for any answer but a success and those accepted, and where nobody answers; `what` says what could not be done. */
export async function askRegistry(what: string, url: string, init: Asking = {}): Promise<Response> {
  const { accept = [], ...request } = init
  const response = await fetch(url, request).catch((thrown) => {
    request.signal?.throwIfAborted()
    const why = `the registry at ${new URL(url).host} does not answer: ${messageOf((thrown as Error).cause ?? thrown)}`
    throw new Failure({ what, why }, thrown)
  })
  if (response.ok || [accept].flat().includes(response.status)) return response
  throw new Failure({ what, why: `${request.method ?? 'GET'} ${new URL(url).pathname} answered ${response.status}` })
}

interface Asking extends RequestInit {
  readonly accept?: number | readonly number[]
}

/** Puts a text into a repository as a blob. @returns its digest. */
export async function pushBlob(what: string, repository: Repository, content: string): Promise<string> {
  const digest = digestOfText(content)
  await uploadBlob(what, { ...repository, digest }, { body: content })
  return digest
}

/** Puts a blob of this digest into a repository; `content` is its body, and what else goes with it. */
export async function uploadBlob(what: string, blob: ImageRef, { headers, ...content }: RequestInit): Promise<void> {
  const { signal } = content
  const started = await askRegistry(what, `${urlOf(blob)}/blobs/uploads/`, { method: 'POST', signal: signal ?? null })
  const location = new URL(started.headers.get('location') ?? '', urlOf(blob))
  location.searchParams.set('digest', blob.digest)
  const typed = { 'content-type': 'application/octet-stream', ...Object.fromEntries(new Headers(headers)) }
  await askRegistry(what, location.href, { method: 'PUT', ...content, headers: typed })
}

/** Gives an image that is there one more tag. */
export async function tagImage(image: ImageRef, tag: string): Promise<void> {
  const what = `Cannot tag ${image.name} as ${tag}`
  const found = await askRegistry(what, `${urlOf(image)}/manifests/${image.digest}`, { headers: { accept: MANIFEST_TYPES } })
  await putManifest(what, image, { reference: tag, type: found.headers.get('content-type') ?? OCI_MANIFEST, body: await found.text() })
}

/**
 * Attaches an artifact to an image: a manifest whose `subject` is the image. A registry without the referrers API, such as distribution
 * 3.1, gets the tag that the specification falls back to, which keeps it from its garbage collection too.
 * @returns the digest of its content.
 */
export async function attachArtifact(image: ImageRef, artifact: Artifact): Promise<string> {
  const what = `Cannot attach a statement to ${image.name}`
  const subject = await describe(what, image)
  const blobs = [EMPTY, artifact]
  const [config, layer] = await Promise.all(blobs.map(({ content }) => pushBlob(what, image, content)))
  const { artifactType, annotations = {} } = artifact
  const body = JSON.stringify({
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    artifactType,
    config: { mediaType: EMPTY.mediaType, digest: config, size: EMPTY.content.length },
    layers: [{ mediaType: artifact.mediaType, digest: layer, size: Buffer.byteLength(artifact.content) }],
    subject,
    annotations,
  })
  const digest = digestOfText(body)
  const answer = await putManifest(what, image, { reference: digest, type: OCI_MANIFEST, body })
  await addReferrer(image, { mediaType: OCI_MANIFEST, digest, size: Buffer.byteLength(body), artifactType, annotations }, answer)
  return layer ?? ''
}

/** What is attached to an image, of one type of artifact or of all. */
export async function listReferrers(image: ImageRef, artifactType?: string): Promise<readonly Descriptor[]> {
  const what = `Cannot list what is attached to ${image.name}`
  const answer = await askRegistry(what, `${urlOf(image)}/referrers/${image.digest}`, { accept: 404 })
  const { manifests } = answer.ok ? await indexIn(answer) : await readFallback(what, image)
  return manifests.filter((each) => artifactType === undefined || each.artifactType === artifactType)
}

/** The one layer of what is attached to an image. @returns undefined where the registry lacks it, or gives other bytes than were asked for. */
export async function readAttached(image: ImageRef, { digest }: Descriptor): Promise<Attached | undefined> {
  const what = `Cannot read what is attached to ${image.name}`
  const answer = await askRegistry(what, `${urlOf(image)}/manifests/${digest}`, { headers: { accept: OCI_MANIFEST }, accept: 404 })
  const text = answer.ok ? await answer.text() : ''
  if (digestOfText(text) !== digest) return undefined
  const [layer] = (JSON.parse(text) as { layers: readonly Descriptor[] }).layers
  const content = layer === undefined ? undefined : await readBlob(image, layer.digest)
  if (layer === undefined || content === undefined || digestOfText(content) !== layer.digest) return undefined
  return { digest: layer.digest, content }
}

export interface Attached {
  /** Of the content. */
  readonly digest: string
  readonly content: string
}

/** The text of a blob as the registry gives it: who trusts a digest checks it. @returns undefined where it is not there. */
export async function readBlob(repository: Repository, digest: string): Promise<string | undefined> {
  const answer = await askRegistry(`Cannot read ${digest}`, `${urlOf(repository)}/blobs/${digest}`, { accept: 404 })
  return answer.ok ? answer.text() : undefined
}

interface Index {
  readonly manifests: readonly Descriptor[]
}

async function indexIn(answer: Response): Promise<Index> {
  return (await answer.json()) as Index
}

async function describe(what: string, image: ImageRef): Promise<Descriptor> {
  const found = await askRegistry(what, `${urlOf(image)}/manifests/${image.digest}`, { headers: { accept: MANIFEST_TYPES } })
  const size = (await found.arrayBuffer()).byteLength
  return { mediaType: found.headers.get('content-type') ?? OCI_MANIFEST, digest: image.digest, size }
}

interface ManifestPut extends Pick<Asking, 'accept'> {
  readonly reference: string
  readonly type: string
  readonly body: string
}

/** Puts a manifest under a tag or its digest. */
export async function putManifest(what: string, repository: Repository, { reference, type, ...more }: ManifestPut): Promise<Response> {
  const url = `${urlOf(repository)}/manifests/${reference}`
  return askRegistry(what, url, { method: 'PUT', headers: { 'content-type': type }, ...more })
}

/** https://github.com/opencontainers/distribution-spec/blob/main/spec.md#referrers-tag-schema */
const fallbackTag = ({ digest }: ImageRef) => digest.replace(':', '-')

async function readFallback(what: string, image: ImageRef): Promise<Index> {
  const answer = await askRegistry(what, `${urlOf(image)}/manifests/${fallbackTag(image)}`, { headers: { accept: OCI_INDEX }, accept: 404 })
  return answer.ok ? indexIn(answer) : { manifests: [] }
}

/** As registries refuse a tag that is there, and is not to move: ECR by 400, Harbor by 412, others by 409. */
const REFUSED = [400, 409, 412]

/**
 * Lists a referrer under the fallback tag, unless the registry that took its manifest said that it does so itself.
 * @throws Failure where that tag would have to move, and the registry does not let it
 */
export async function addReferrer(image: ImageRef, referrer: Descriptor, took: Response): Promise<void> {
  if (took.headers.has('oci-subject')) return
  const what = `Cannot attach a statement to ${image.name}`
  const { manifests } = await readFallback(what, image)
  if (manifests.some(({ digest }) => digest === referrer.digest)) return
  const body = JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [...manifests, referrer] })
  const reference = fallbackTag(image)
  const { ok } = await putManifest(what, image, { reference, type: OCI_INDEX, body, accept: manifests.length === 0 ? [] : REFUSED })
  if (ok) return
  const why = `the registry at ${image.registry} does not list referrers, and does not let the tag '${reference}' move, which would`
  throw new Failure({ what, why, next: "Let tags that begin with 'sha256-' move there, or use a registry of OCI 1.1" })
}

// ── As cosign did before there were referrers ───────────────────────────────────────────────────────────────────────

const ENVELOPE_TYPE = 'application/vnd.dsse.envelope.v1+json'
const OCI_CONFIG = 'application/vnd.oci.image.config.v1+json'
const whatFor = ({ name }: ImageRef) => `Cannot attach a statement to ${name}`
const envelopeTag = (image: ImageRef) => `${fallbackTag(image)}.att`

/** An envelope, and what it claims to be about. */
export interface Envelope {
  readonly content: string
  readonly predicateType: string
}

/**
 * Adds a signed envelope to the image under the tag where cosign 2 and the policy-controller of its time look: one manifest, a layer for
 * each. https://github.com/sigstore/cosign/blob/main/specs/ATTESTATION_SPEC.md
 */
export async function attachEnvelope(image: ImageRef, envelope: Envelope): Promise<void> {
  const before = await envelopeLayers(image)
  await putEnvelopes(image, [...before, await envelopeLayer(image, envelope)])
}

/** Puts these in place of all that are there. */
export async function replaceEnvelopes(image: ImageRef, envelopes: readonly Envelope[]): Promise<void> {
  await putEnvelopes(image, await Promise.all(envelopes.map((each) => envelopeLayer(image, each))))
}

async function envelopeLayers(image: ImageRef): Promise<readonly Descriptor[]> {
  const what = `Cannot read what is attached to ${image.name}`
  const url = `${urlOf(image)}/manifests/${envelopeTag(image)}`
  const found = await askRegistry(what, url, { headers: { accept: OCI_MANIFEST }, accept: 404 })
  return found.ok ? ((await found.json()) as { layers: readonly Descriptor[] }).layers : []
}

async function envelopeLayer(image: ImageRef, { content, predicateType }: Envelope): Promise<Descriptor> {
  return {
    mediaType: ENVELOPE_TYPE,
    digest: await pushBlob(whatFor(image), image, content),
    size: Buffer.byteLength(content),
    annotations: { 'dev.cosignproject.cosign/signature': '', predicateType },
  }
}

async function putEnvelopes(image: ImageRef, layers: readonly Descriptor[]): Promise<void> {
  const config = JSON.stringify({
    architecture: '',
    os: '',
    config: {},
    rootfs: { type: 'layers', diff_ids: layers.map((each) => each.digest) },
  })
  const digest = await pushBlob(whatFor(image), image, config)
  const body = JSON.stringify({
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: { mediaType: OCI_CONFIG, digest, size: config.length },
    layers,
  })
  await putManifest(whatFor(image), image, { reference: envelopeTag(image), type: OCI_MANIFEST, body })
}
