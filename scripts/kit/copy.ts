/** An image from one registry to another by its API: the same digest here and there, and all that is attached to it. */
import {
  addReferrer,
  askRegistry,
  type ImageRef,
  listReferrers,
  MANIFEST_TYPES,
  putManifest,
  type Repository,
  uploadBlob,
  urlOf,
} from './registry.ts'

interface Manifest {
  readonly config?: { readonly digest: string }
  readonly layers?: readonly { readonly digest: string }[]
  readonly manifests?: readonly { readonly digest: string }[]
}

export interface CopyTo {
  readonly to: Repository
  /** What it is called there: a tag, or its digest. */
  readonly reference: string
  readonly signal: AbortSignal
}

/** Copies a manifest and all that it is made of; what is there is not sent again. @returns what the other registry said of the manifest */
export async function copyImage(image: ImageRef, { to, reference, signal }: CopyTo): Promise<Response> {
  signal.throwIfAborted()
  const what = `Cannot copy the image ${image.name}`
  const found = await askRegistry(what, `${urlOf(image)}/manifests/${image.digest}`, { headers: { accept: MANIFEST_TYPES } })
  const body = await found.text()
  const { config, layers = [], manifests = [] } = JSON.parse(body) as Manifest
  for (const { digest } of manifests) await copyImage({ ...image, digest }, { to, reference: digest, signal })
  for (const blob of new Set([...(config === undefined ? [] : [config.digest]), ...layers.map((layer) => layer.digest)]))
    await copyBlob(what, { from: image, to, blob, signal })
  return putManifest(what, to, { reference, type: found.headers.get('content-type') ?? '', body })
}

/** Copies what is attached to an image that is there already. @returns how many were copied */
export async function copyAttached(image: ImageRef, { to, signal }: Omit<CopyTo, 'reference'>): Promise<number> {
  const there = { ...to, digest: image.digest }
  const known = new Set((await listReferrers(there)).map(({ digest }) => digest))
  const missing = (await listReferrers(image)).filter(({ digest }) => !known.has(digest))
  for (const referrer of missing) {
    const answer = await copyImage({ ...image, digest: referrer.digest }, { to, reference: referrer.digest, signal })
    await addReferrer(there, referrer, answer)
  }
  return missing.length
}

interface BlobCopy {
  readonly from: Repository
  readonly to: Repository
  readonly blob: string
  readonly signal: AbortSignal
}

async function copyBlob(what: string, { from, to, blob, signal }: BlobCopy): Promise<void> {
  const there = await askRegistry(what, `${urlOf(to)}/blobs/${blob}`, { method: 'HEAD', accept: 404, signal })
  if (there.ok) return
  const found = await askRegistry(what, `${urlOf(from)}/blobs/${blob}`, { signal })
  const length = found.headers.get('content-length')
  const headers: Record<string, string> = length === null ? {} : { 'content-length': length }
  await uploadBlob(what, { ...to, digest: blob }, { headers, body: found.body, duplex: 'half', signal } as RequestInit)
}
