/** From a machine to the whole platform, with the network or without. */
import { Failure, UserError } from '#kit/errors'
import { type Installed, imagesOf, install, stackOn, storeImages } from './install.ts'
import { previewObjects } from './preview.ts'
import type { ImageSpec, Part, Stack, UpRequest } from './types.ts'

/** Machine, cluster, images and stack: everything from nothing, side by side where it can be. */
export async function bringUp(stack: Stack, request: UpRequest): Promise<Installed> {
  const provider = stack.clusters.local
  if (request.offline) await mustBeHere(stack, request)
  const { registry } = await provider.prepare(request)
  const images = storeImages(stackOn(stack, 'k3s'), { images: request.images, registry })
  const [cluster, stored] = await Promise.all([provider.up(request), images])
  return install(stack, { ...request, cluster, stored })
}

/** @throws UserError that names all that is missing: before anything of the cluster is started */
async function mustBeHere(whole: Stack, request: UpRequest): Promise<void> {
  const stack = stackOn(whole, 'k3s')
  // One that can only be pulled is left out where it is not there, as on any machine without a container registry.
  const specs = stack.parts.flatMap(imagesOf).filter(({ build }) => build !== undefined)
  const missing = new Set([...(await stack.clusters.local.lacking(request, specs)), ...(await manifestsLacking(stack, specs))])
  if (missing.size === 0) return
  const why = `this machine lacks ${[...missing].join(', ')}`
  throw new UserError({ what: 'Cannot bring the platform up offline', why, next: 'Run npm run local:up once with the network' })
}

/** Parts are rendered once for nothing: what they read of elsewhere is in the cache, or named. */
async function manifestsLacking(stack: Stack, specs: readonly ImageSpec[]): Promise<readonly string[]> {
  const images = new Map(specs.map(({ name }) => [name, `sha256:${'0'.repeat(64)}`]))
  const lacks = async (part: Part) => {
    const alone = { ...stack, parts: [part] }
    return previewObjects(alone, { name: 'preview', kind: 'k3s', images }).then(
      () => [],
      (thrown) => {
        if (thrown instanceof UserError || thrown instanceof Failure) return [`the manifests of ${part.name}`]
        throw thrown
      },
    )
  }
  return (await Promise.all(stack.parts.map(lacks))).flat()
}
