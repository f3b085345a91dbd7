/** Images from the store on this machine to the registry of a cluster: the same digest here and there. */
import type { Stack, StoredImage } from '#core'
import { copyImage } from '#kit/copy'
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
  const copied = await Promise.all([...images].map((image) => limit(() => copyOne(image, copy))))
  return copied.filter(Boolean).length
}

async function copyOne({ spec: { name }, key, way, digest }: StoredImage, { from, to, signal }: Copy): Promise<boolean> {
  const reference = `${way}-${key}`
  if ((await digestOf(to, name, reference)) === digest) return false
  await copyImage({ registry: from, name, digest }, { to: { registry: to, name }, reference, signal })
  return true
}

/** The names of all images that a stack may run: a repository each. */
export function imageNames(stack: Stack): string[] {
  const specs = stack.parts.flatMap(({ images, release }) => [...images, ...(release === undefined ? [] : [release])])
  return [...new Set(specs.map(({ name }) => name))].toSorted()
}
