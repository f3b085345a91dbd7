/** A registry in this process: as ECR, where no tag moves and referrers are listed, or without either. Nothing else is checked. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { sha256 } from '#kit/hash'

export interface RegistryTraits {
  /** Whether a tag that is there is refused to anything else. */
  readonly immutable: boolean
  /** Whether it lists what is attached to an image, as OCI 1.1 has it. */
  readonly referrers: boolean
}

export const ECR: RegistryTraits = { immutable: true, referrers: true }

export interface RegistryDouble extends AsyncDisposable {
  /** Host and port. */
  readonly address: string
  tags(): readonly string[]
}

interface Manifest {
  readonly type: string
  readonly body: string
}

interface Store extends RegistryTraits {
  readonly blobs: Map<string, string>
  /** By digest, and by tag. */
  readonly manifests: Map<string, Manifest>
}

interface Reply {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

export async function startRegistryDouble(traits: RegistryTraits): Promise<RegistryDouble> {
  const store: Store = { ...traits, blobs: new Map(), manifests: new Map() }
  const server = createServer((request, response) => void serve(store, request, response)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    tags: () => [...store.manifests.keys()].filter((key) => !isDigest(key)),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const isDigest = (reference: string) => reference.startsWith('sha256:')
const digestOf = (content: string) => `sha256:${sha256(content)}`

async function serve(store: Store, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://double')
  const [, kind = '', reference = ''] = /\/(blobs|manifests|referrers)\/(.*)$/.exec(url.pathname) ?? []
  const body = await text(request)
  const { status, headers = {}, body: answer } = reply(store, { method: `${request.method} ${kind}`, reference, url, body, request })
  response.writeHead(status, headers).end(request.method === 'HEAD' ? undefined : answer)
}

interface Asked {
  readonly method: string
  readonly reference: string
  readonly url: URL
  readonly body: string
  readonly request: IncomingMessage
}

const MISSING: Reply = { status: 404 }

function reply(store: Store, { method, reference, url, body, request }: Asked): Reply {
  switch (method) {
    case 'POST blobs':
      return { status: 202, headers: { location: url.pathname } }
    case 'PUT blobs':
      store.blobs.set(url.searchParams.get('digest') ?? '', body)
      return { status: 201 }
    case 'HEAD blobs':
    case 'GET blobs':
      return found(store.blobs.get(reference))
    case 'PUT manifests':
      return put(store, reference, { type: request.headers['content-type'] ?? '', body })
    case 'HEAD manifests':
    case 'GET manifests': {
      const manifest = store.manifests.get(reference)
      return manifest === undefined
        ? MISSING
        : { status: 200, headers: { 'content-type': manifest.type, 'docker-content-digest': digestOf(manifest.body) }, body: manifest.body }
    }
    case 'GET referrers':
      return store.referrers ? { status: 200, body: JSON.stringify({ manifests: attachedTo(store, reference) }) } : MISSING
    default:
      return { status: 405 }
  }
}

const found = (body: string | undefined): Reply => (body === undefined ? MISSING : { status: 200, body })

function put({ immutable, referrers, manifests }: Store, reference: string, manifest: Manifest): Reply {
  const there = manifests.get(reference)
  if (immutable && there !== undefined && there.body !== manifest.body) return { status: 400, body: '{"errors":[{"code":"TAG_INVALID"}]}' }
  for (const key of [reference, digestOf(manifest.body)]) manifests.set(key, manifest)
  const { subject } = JSON.parse(manifest.body) as { subject?: { digest: string } }
  return { status: 201, headers: referrers && subject !== undefined ? { 'oci-subject': subject.digest } : {} }
}

function attachedTo({ manifests }: Store, subject: string): object[] {
  return [...manifests]
    .filter(([key]) => isDigest(key))
    .flatMap(([digest, { type: mediaType, body }]) => {
      const { artifactType, annotations, subject: about } = JSON.parse(body)
      return about?.digest === subject ? [{ mediaType, digest, size: body.length, artifactType, annotations }] : []
    })
}
