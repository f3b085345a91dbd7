/** Images from the store on this machine to the registry of a cluster, by their API: the same digest here and there. */
import type { Digest, Stack, StoredImage } from '#core'
import { copyAttached, copyImage } from '#kit/copy'
import { digestOf } from '#kit/images'
import { createLimit } from '#kit/limit'

export interface Copy {
  /** Host and port of the store. */
  readonly from: string
  /** Host and port of the other registry. */
  readonly to: string
  readonly signal: AbortSignal
}

const SIDE_BY_SIDE = 4

/** Copies what is not there yet. A tag never moves in ECR, so each image has the key of its inputs for one. @returns how many were copied */
export async function copyImages(images: Iterable<StoredImage>, copy: Copy): Promise<number> {
  const limit = createLimit(SIDE_BY_SIDE)
  const copied = await Promise.all([...images].map((image) => limit(() => copyStored(image, copy))))
  return copied.filter(Boolean).length
}

async function copyStored({ spec, key, way, digest }: StoredImage, copy: Copy): Promise<boolean> {
  return copyAs(`${way}-${key}`, { name: spec.name, digest }, copy)
}

/** One that was promoted: nobody knows here what it was built of. */
export async function copyPromoted(image: { readonly name: string; readonly digest: Digest }, copy: Copy): Promise<void> {
  await copyAs(`promoted-${image.digest.slice('sha256:'.length)}`, image, copy)
}

/** What is said of an image comes along, also where the image itself is there already: the next promotion asks for it. */
async function copyAs(
  reference: string,
  { name, digest }: { readonly name: string; readonly digest: Digest },
  { from, to, signal }: Copy,
): Promise<boolean> {
  const image = { registry: from, name, digest }
  const there = { registry: to, name }
  const isThere = (await digestOf(to, name, reference)) === digest
  if (!isThere) await copyImage(image, { to: there, reference, signal })
  await copyAttached(image, { to: there, signal })
  return !isThere
}

/** The names of all images that a stack may run: a repository each. */
export function imageNames(stack: Stack): string[] {
  const specs = stack.parts.flatMap(({ images, release }) => [...images, ...(release === undefined ? [] : [release])])
  return [...new Set(specs.map(({ name }) => name))].toSorted()
}
