/** Images from the store on this machine to the registry of a cluster, by their API: the same digest here and there. */
import type { Digest, Stack, StoredImage } from '#core'
import { digestOf } from '#kit/images'
import { createLimit } from '#kit/limit'
import { askRegistry, MANIFEST_TYPES, type Repository } from '#kit/registry'

export interface Copy {
  /** Host and port of the store. */
  readonly from: string
  /** Host and port of the other registry. */
  readonly to: string
  readonly signal: AbortSignal
}

interface Manifest {
  readonly config?: { readonly digest: string }
  readonly layers?: readonly { readonly digest: string }[]
  readonly manifests?: readonly { readonly digest: string }[]
}

const SIDE_BY_SIDE = 4
const url = ({ registry, name }: Repository) => `http://${registry}/v2/${name}`

/** Copies what is not there yet. A tag never moves in ECR, so each image has the key of its inputs for one. @returns how many were copied */
export async function copyImages(images: Iterable<StoredImage>, copy: Copy): Promise<number> {
  const limit = createLimit(SIDE_BY_SIDE)
  const copied = await Promise.all([...images].map((image) => limit(() => copyImage(image, copy))))
  return copied.filter(Boolean).length
}

async function copyImage({ spec, key, way, digest }: StoredImage, copy: Copy): Promise<boolean> {
  return copyAs(`${way}-${key}`, { name: spec.name, digest }, copy)
}

/** One that was promoted: nobody knows here what it was built of. */
export async function copyPromoted(image: { readonly name: string; readonly digest: Digest }, copy: Copy): Promise<void> {
  await copyAs(`promoted-${image.digest.slice('sha256:'.length)}`, image, copy)
}

async function copyAs(tag: string, { name, digest }: { readonly name: string; readonly digest: Digest }, copy: Copy): Promise<boolean> {
  if ((await digestOf(copy.to, name, tag)) === digest) return false
  await copyManifest(name, { digest, reference: tag }, copy)
  return true
}

async function copyManifest(name: string, { digest, reference }: { digest: string; reference: string }, copy: Copy): Promise<void> {
  copy.signal.throwIfAborted()
  const what = `Cannot copy the image ${name}`
  const [from, to] = [
    { registry: copy.from, name },
    { registry: copy.to, name },
  ]
  const found = await askRegistry(what, `${url(from)}/manifests/${digest}`, { headers: { accept: MANIFEST_TYPES } })
  const body = await found.text()
  const { config, layers = [], manifests = [] } = JSON.parse(body) as Manifest
  for (const { digest: each } of manifests) await copyManifest(name, { digest: each, reference: each }, copy)
  for (const blob of new Set([...(config === undefined ? [] : [config.digest]), ...layers.map((layer) => layer.digest)]))
    await copyBlob(what, { from, to, blob, signal: copy.signal })
  const type = found.headers.get('content-type') ?? ''
  await askRegistry(what, `${url(to)}/manifests/${reference}`, { method: 'PUT', headers: { 'content-type': type }, body })
}

interface BlobCopy {
  readonly from: Repository
  readonly to: Repository
  readonly blob: string
  readonly signal: AbortSignal
}

async function copyBlob(what: string, { from, to, blob, signal }: BlobCopy): Promise<void> {
  const there = await askRegistry(what, `${url(to)}/blobs/${blob}`, { method: 'HEAD', accept: 404, signal })
  if (there.ok) return
  const found = await askRegistry(what, `${url(from)}/blobs/${blob}`, { signal })
  const started = await askRegistry(what, `${url(to)}/blobs/uploads/`, { method: 'POST', signal })
  const place = new URL(started.headers.get('location') ?? '', url(to))
  place.searchParams.set('digest', blob)
  const length = found.headers.get('content-length')
  const headers = { 'content-type': 'application/octet-stream', ...(length === null ? {} : { 'content-length': length }) }
  await askRegistry(what, place.href, { method: 'PUT', headers, body: found.body, duplex: 'half', signal } as RequestInit)
}

/** The names of all images that a stack may run: a repository each. */
export function imageNames(stack: Stack): string[] {
  const specs = stack.parts.flatMap(({ images, release }) => [...images, ...(release === undefined ? [] : [release])])
  return [...new Set(specs.map(({ name }) => name))].toSorted()
}
