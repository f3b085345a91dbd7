/** The registry that runs beside a cluster, as a process of this machine with a folder of its own, for one test file. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { aboutImage, type Digest, type InToto, PREDICATES, type PredicateName } from '#core'
import { goBuild } from '#kit/go'
import { root } from '#kit/paths'
import { askRegistry, digestOfText, type ImageRef, pushBlob, type Repository } from '#kit/registry'
import { pending, ready, waitFor } from '#kit/wait'
import { registryImage } from '../../local/registry/image.ts'
import type { Test } from '../suite.ts'

const START_TIMEOUT_MS = 20_000
/** The first use may build it. */
export const BUILD = { timeoutMs: 600_000 }

export interface TestRegistry extends AsyncDisposable {
  /** Host and port. */
  readonly address: string
}

export async function startRegistry(): Promise<TestRegistry> {
  const program = await goBuild(binary(), { os: process.platform, arch: process.arch === 'x64' ? 'amd64' : process.arch })
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-registry-'))
  const address = `127.0.0.1:${await freePort()}`
  const env = {
    ...process.env,
    REGISTRY_HTTP_ADDR: address,
    REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY: folder,
    OTEL_TRACES_EXPORTER: 'none',
  }
  const child = spawn(program, ['serve', join(root, 'local/registry/image/config.yml')], { env, stdio: 'ignore' })
  const look = async () => ((await fetch(`http://${address}/v2/`)).ok ? ready(undefined) : pending('an error'))
  await waitFor('the registry to answer', look, { timeoutMs: START_TIMEOUT_MS, everyMs: 50 })
  return {
    address,
    async [Symbol.asyncDispose]() {
      const ended = once(child, 'exit')
      child.kill()
      await ended
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** A registry for the tests of a suite, and a folder; both go with it. */
export async function registryOf(
  test: Test,
  what: string,
): Promise<{ readonly folder: string; readonly registry: Pick<TestRegistry, 'address'> }> {
  const folder = await mkdtemp(join(tmpdir(), `holdfast-${what}-`))
  let running: TestRegistry | undefined
  test.before(async () => {
    running = await startRegistry()
  }, BUILD)
  test.after(async () => {
    await running?.[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })
  return {
    folder,
    registry: {
      get address() {
        return running?.address ?? ''
      },
    },
  }
}

/** A statement that says nothing more of an image. */
export function saying(image: { readonly name: string; readonly digest: Digest }, name: PredicateName): InToto {
  return { ...aboutImage(image), predicateType: PREDICATES[name], predicate: {} }
}

function binary() {
  const found = registryImage.build?.inputs?.find((input) => input.kind === 'go')
  if (found?.kind !== 'go') throw new TypeError('The registry is built of no Go program')
  return found
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  return port
}

/** The same registry, but for blobs that it gives other bytes for. */
export async function lyingRegistry(address: string, lies: Readonly<Record<string, string>>): Promise<TestRegistry> {
  const server = createHttpServer(async ({ method = 'GET', url = '/', headers: { accept = '*/*' } }, response) => {
    const lie = Object.entries(lies).find(([digest]) => url.endsWith(`/blobs/${digest}`))?.[1]
    if (lie !== undefined) return void response.end(lie)
    const answer = await fetch(`http://${address}${url}`, { method, headers: { accept } })
    response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(Buffer.from(await answer.arrayBuffer()))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** An image with nothing in it but a label. */
export async function pushImage(repository: Repository, label: string): Promise<ImageRef & { readonly digest: Digest }> {
  const what = 'Cannot push a test image'
  const config = JSON.stringify({
    architecture: 'amd64',
    os: 'linux',
    config: { Labels: { label } },
    rootfs: { type: 'layers', diff_ids: [] },
  })
  const digest = await pushBlob(what, repository, config)
  const type = 'application/vnd.oci.image.manifest.v1+json'
  const body = JSON.stringify({
    schemaVersion: 2,
    mediaType: type,
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest, size: config.length },
    layers: [],
  })
  const manifest = digestOfText(body) as Digest
  const url = `http://${repository.registry}/v2/${repository.name}/manifests/${manifest}`
  await askRegistry(what, url, { method: 'PUT', headers: { 'content-type': type }, body })
  return { ...repository, digest: manifest }
}
