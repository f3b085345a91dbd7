/** The image store as a folder, for a cache that outlives the machine: what the registry has, out of its volume and into it again. */
import { existsSync } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type ContainerInfo, docker, inspect } from '#kit/docker'
import { UserError } from '#kit/errors'
import { cacheDir } from '#kit/paths'
import { REGISTRY_CONTAINER } from './registry.ts'

/** Beside the compiled programs, so that one path holds all that a cache should keep. */
export const STORE_FOLDER = join(cacheDir, 'store')
const DATA = '/var/lib/registry'

/** @throws UserError where no registry runs */
export async function saveStore(signal: AbortSignal): Promise<void> {
  if ((await inspect<ContainerInfo>('container', REGISTRY_CONTAINER)) === undefined)
    throw new UserError({ what: 'Cannot save the image store', why: 'there is none', next: 'Run npm run local:up first' })
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
