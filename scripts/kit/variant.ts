/** Other versions of an image that is in a registry, made over its HTTP API: the same layers under another configuration. */
import { askRegistry, digestOfText, type ImageRef, pushBlob, putManifest, urlOf } from './registry.ts'

/** An image's own configuration, as far as it is read or changed here: https://github.com/opencontainers/image-spec/blob/main/config.md */
export interface ImageConfig {
  readonly User?: string
  readonly Entrypoint?: readonly string[]
  readonly Cmd?: readonly string[]
  readonly Env?: readonly string[]
  readonly Labels?: Readonly<Record<string, string>>
}

const ACCEPT = 'application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json'
const WHAT = 'Cannot make a variant of an image'

/**
 * Puts a variant beside an image.
 * @param tag by which a registry keeps it that collects what has none; undefined where tags never move, or are counted
 * @returns its digest, which differs from the image's wherever the configuration does.
 * @throws Failure where the registry does not have the image, or refuses.
 */
export async function pushVariant(image: ImageRef, tag: string | undefined, change: (config: ImageConfig) => ImageConfig): Promise<string> {
  const repository = urlOf(image)
  const found = await askRegistry(WHAT, `${repository}/manifests/${image.digest}`, { headers: { accept: ACCEPT } })
  const manifest = (await found.json()) as { mediaType?: string; config: { digest: string } }
  const blob = (await (await askRegistry(WHAT, `${repository}/blobs/${manifest.config.digest}`)).json()) as { config: ImageConfig }
  const config = JSON.stringify({ ...blob, config: change(blob.config) })
  const digest = await pushBlob(WHAT, image, config)
  const variant = JSON.stringify({ ...manifest, config: { ...manifest.config, digest, size: Buffer.byteLength(config) } })
  const type = found.headers.get('content-type') ?? manifest.mediaType ?? ''
  const made = digestOfText(variant)
  await putManifest(WHAT, image, { reference: tag ?? made, type, body: variant })
  return made
}
