/** What ECR does that the registry behind it does not: it lists referrers, and lets no tag move. */
import { sha256 } from '#kit/hash'
import { MANIFEST_TYPES } from '#kit/registry'

interface Referrer {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
  readonly artifactType?: string
}

interface Manifest {
  readonly mediaType?: string
  readonly artifactType?: string
  readonly subject?: { readonly digest: string }
}

const MANIFEST_PATH = /^\/v2\/(?<name>.+)\/manifests\/(?<reference>[^/]+)$/
const REFERRERS_PATH = /^\/v2\/(?<name>.+)\/referrers\/(?<digest>[^/]+)$/

export class Immutable {
  readonly #registry: string
  /** By repository and the digest that they are about. */
  readonly #referrers = new Map<string, Referrer[]>()

  /** @param registry host and port of the one behind it */
  constructor(registry: string) {
    this.#registry = registry
  }

  /** The index that the distribution specification asks for; undefined for another path. */
  referrers(path: string): object | undefined {
    const { name, digest } = REFERRERS_PATH.exec(path)?.groups ?? {}
    if (name === undefined) return undefined
    const manifests = this.#referrers.get(`${name}@${digest}`) ?? []
    return { schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json', manifests }
  }

  /** As ECR words its refusal of a manifest; undefined where it may be put. */
  async refusal(path: string, body: Buffer): Promise<object | undefined> {
    const { name, reference = '' } = MANIFEST_PATH.exec(path)?.groups ?? {}
    if (name === undefined || reference.startsWith('sha256:')) return undefined
    const there = await fetch(`http://${this.#registry}${path}`, { method: 'HEAD', headers: { accept: MANIFEST_TYPES } })
    if (!there.ok || there.headers.get('docker-content-digest') === `sha256:${sha256(body)}`) return undefined
    const message = `The image tag '${reference}' already exists in the '${name}' repository and cannot be overwritten because the tag is immutable.`
    return { errors: [{ code: 'TAG_INVALID', message }] }
  }

  /** Takes note of a manifest that was put. @returns headers of the answer */
  took(path: string, body: Buffer): Record<string, string> {
    const { mediaType = '', artifactType, subject } = JSON.parse(body.toString()) as Manifest
    if (subject === undefined) return {}
    const key = `${MANIFEST_PATH.exec(path)?.groups?.name}@${subject.digest}`
    const digest = `sha256:${sha256(body)}`
    const others = (this.#referrers.get(key) ?? []).filter((each) => each.digest !== digest)
    this.#referrers.set(key, [...others, { mediaType, digest, size: body.length, ...(artifactType === undefined ? {} : { artifactType }) }])
    return { 'oci-subject': subject.digest }
  }
}
