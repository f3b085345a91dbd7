/** The image store as a folder, for a cache that outlives the machine: what the registry has, out of its volume and into it again. */
import { existsSync } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { docker } from '#kit/docker'
import type { Images } from '#kit/images'
import { cacheDir } from '#kit/paths'
import { ensureRegistry, REGISTRY_CONTAINER } from './registry.ts'

/** Beside the compiled programs. On GitHub it is a cache of its own, since it changes with each run. */
export const STORE_FOLDER = join(cacheDir, 'store')
const DATA = '/var/lib/registry'

/** @param images for the registry, which goes with the last cluster, as after `npm test`; its volume stays */
export async function saveStore(images: Images, signal: AbortSignal): Promise<void> {
  await ensureRegistry(images, signal)
  const part = `${STORE_FOLDER}.part`
  await rm(part, { recursive: true, force: true })
  await mkdir(dirname(STORE_FOLDER), { recursive: true })
  await docker(['cp', `${REGISTRY_CONTAINER}:${DATA}`, part], { signal })
  await rm(STORE_FOLDER, { recursive: true, force: true })
  await rename(part, STORE_FOLDER) // half a store must not look like a whole one
}

/** Into the registry that runs; what it has stays. @returns false where nothing was saved */
export async function loadStore(signal: AbortSignal): Promise<boolean> {
  if (!existsSync(STORE_FOLDER)) return false
  await docker(['cp', `${STORE_FOLDER}/.`, `${REGISTRY_CONTAINER}:${DATA}`], { signal })
  return true
}
