/** Other versions of an image that is in a registry, made over its HTTP API: the same layers under another configuration. */
import { Failure } from './errors.ts'
import { sha256 } from './hash.ts'

export interface ImageRef {
  /** Host and port on this machine. */
  readonly registry: string
  /** Repository path, such as `holdfast/service`. */
  readonly name: string
  readonly digest: string
}

/** An image's own configuration, as far as variants change it: https://github.com/opencontainers/image-spec/blob/main/config.md */
export interface ImageConfig {
  readonly Entrypoint?: readonly string[]
  readonly Cmd?: readonly string[]
  readonly Env?: readonly string[]
  readonly Labels?: Readonly<Record<string, string>>
}

const ACCEPT = 'application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json'

/**
 * Puts a variant beside an image, under a tag of its own so that the registry keeps it.
 * @returns its digest, which differs from the image's wherever the configuration does.
 * @throws Failure where the registry does not have the image, or refuses.
 */
export async function pushVariant(image: ImageRef, tag: string, change: (config: ImageConfig) => ImageConfig): Promise<string> {
  const repository = `http://${image.registry}/v2/${image.name}`
  const found = await ask(`${repository}/manifests/${image.digest}`, { headers: { accept: ACCEPT } })
  const manifest = (await found.json()) as { mediaType?: string; config: { digest: string } }
  const blob = (await (await ask(`${repository}/blobs/${manifest.config.digest}`)).json()) as { config: ImageConfig }
  const config = JSON.stringify({ ...blob, config: change(blob.config) })
  const digest = `sha256:${sha256(config)}`
  await pushBlob(repository, { digest, content: config })
  const variant = { ...manifest, config: { ...manifest.config, digest, size: Buffer.byteLength(config) } }
  const type = found.headers.get('content-type') ?? manifest.mediaType ?? ''
  const pushed = await ask(`${repository}/manifests/${tag}`, {
    method: 'PUT',
    headers: { 'content-type': type },
    body: JSON.stringify(variant),
  })
  return pushed.headers.get('docker-content-digest') ?? `sha256:${sha256(JSON.stringify(variant))}`
}

async function pushBlob(repository: string, { digest, content }: { digest: string; content: string }): Promise<void> {
  const started = await ask(`${repository}/blobs/uploads/`, { method: 'POST' })
  const location = new URL(started.headers.get('location') ?? '', repository)
  location.searchParams.set('digest', digest)
  await ask(location.href, { method: 'PUT', headers: { 'content-type': 'application/octet-stream' }, body: content })
}

async function ask(url: string, init: RequestInit = {}): Promise<Response> {
  const response = await fetch(url, init)
  if (response.ok) return response
  const why = `${init.method ?? 'GET'} ${new URL(url).pathname} answered ${response.status}`
  throw new Failure({ what: 'Cannot make a variant of an image', why })
}
