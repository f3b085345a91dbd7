/** Manifests of parts: their own YAML files, and upstream's, pinned by their hash. */
import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseAllDocuments } from 'yaml'
import { Failure, isBug, messageOf, UserError } from '#kit/errors'
import { goModuleDir } from '#kit/go'
import { sha256 } from '#kit/hash'
import { ask } from '#kit/http'
import type { KubeObject } from '#kit/kube'
import { createOnce } from '#kit/limit'
import { isOffline } from '#kit/offline'
import { cacheDir, ensureDir, root } from '#kit/paths'
import type { Target } from './types.ts'

/** A file of upstream's that is never committed here: the Go module and the release carry the same bytes. */
export interface PinnedManifest {
  /** Named in errors. */
  readonly of: string
  readonly goMod: string
  readonly module: string
  /** In the module's folder. */
  readonly path: string
  readonly url: string
  readonly sha256: string
}

/** The objects of a YAML file; `path` is relative to the project's root. */
export async function readManifest(path: string): Promise<KubeObject[]> {
  return objectsOf(await readFile(join(root, path), 'utf8'))
}

const once = createOnce<readonly KubeObject[]>()

/**
 * The objects of a pinned manifest, read once a run from a copy that was checked and parsed before: parsing Argo CD's 33,000
 * lines of YAML takes most of a second.
 * @throws Failure where its bytes are not those that were pinned.
 */
export function readPinned(manifest: PinnedManifest): Promise<readonly KubeObject[]> {
  return once(manifest.sha256, () => readChecked(manifest))
}

async function readChecked(manifest: PinnedManifest): Promise<KubeObject[]> {
  const checked = join(ensureDir(join(cacheDir, 'manifests')), `${manifest.sha256}.json`)
  const known = await readFile(checked, 'utf8').catch(() => undefined)
  if (known !== undefined) return JSON.parse(known) as KubeObject[]
  const text = await fromModule(manifest).catch((thrown) => fromRelease(manifest, thrown))
  const found = sha256(text)
  if (found !== manifest.sha256) {
    throw new Failure({ what: `Cannot use the manifest of ${manifest.of}`, why: `its SHA-256 is ${found} instead of ${manifest.sha256}` })
  }
  const objects = objectsOf(text)
  await writeFile(`${checked}.${process.pid}`, JSON.stringify(objects))
  await rename(`${checked}.${process.pid}`, checked)
  return objects
}

async function fromModule({ goMod, module, path }: PinnedManifest): Promise<string> {
  return readFile(join(await goModuleDir(goMod, module), path), 'utf8')
}

/** @param noModule why it was not read from its module. */
async function fromRelease({ of, url }: PinnedManifest, noModule: unknown): Promise<string> {
  if (isBug(noModule)) throw noModule
  const [line] = messageOf(noModule).split('\n')
  if (isOffline()) {
    const why = `it was never fetched, and the network is not to be asked; its Go module: ${line}`
    throw new UserError({ what: `Cannot read the manifest of ${of}`, why }, noModule)
  }
  return (await ask(`Cannot fetch the manifest of ${of}, which is not to be had of its Go module either (${line})`, url)).text()
}

/** The objects of a YAML text; a document that holds none is left out. */
export function objectsOf(text: string): KubeObject[] {
  return parseAllDocuments(text).flatMap((document) => (document.toJS() as KubeObject | null) ?? [])
}

interface Container {
  readonly name: string
  readonly image: string
  readonly args?: readonly string[]
  readonly readinessProbe?: Readonly<Record<string, unknown>>
}

/** A workload with `change` made to each of its containers; any other object as it is. */
export function mapContainers(object: KubeObject, change: (container: Container) => object): KubeObject {
  const pod = object.spec?.template?.spec
  if (pod?.containers === undefined) return object
  const spec = {
    ...pod,
    containers: pod.containers.map(change),
    ...(pod.initContainers === undefined ? {} : { initContainers: pod.initContainers.map(change) }),
  }
  return { ...object, spec: { ...object.spec, template: { ...object.spec.template, spec } } }
}

/** A workload with its images by digest. */
export function withDigests(object: KubeObject, target: Target): KubeObject {
  return mapContainers(object, (container) => ({ ...container, image: byDigest(container.image, target) }))
}

/**
 * An image as a manifest names it, by the digest that this stack stored: `quay.io/argoproj/argocd:v3.5.7` becomes
 * `quay.io/argoproj/argocd@sha256:…`, or that digest in the repository where the cluster's nodes find it.
 * @throws Failure for an image that no part lists: a new version of a manifest brought it.
 */
export function byDigest(image: string, { images, cluster }: Target): string {
  const stored = images.get(imageName(image))
  if (stored !== undefined) return `${cluster.repositories?.[stored.spec.name] ?? repositoryOf(image)}@${stored.digest}`
  throw new Failure({ what: 'Cannot render the stack', why: `a manifest names the image '${image}', which no part lists` })
}

/**
 * The name under which parts list an image that a manifest names: `argoproj/argocd` for `quay.io/argoproj/argocd:v3.5.7`. In ECR an
 * environment's name stands before it.
 */
export function imageName(image: string): string {
  return repositoryOf(image)
    .replace(ECR, '')
    .replace(/^[^/]*\//, '')
}

const ECR = /^\d+\.dkr\.ecr\.[^/]+\/(?=[^/]+\/)/

const repositoryOf = (image: string) => image.replace(/@.*$/, '').replace(/:[^/:]*$/, '')

/**
 * A definition without the descriptions of its fields: they are two thirds and more of it, which the API server keeps in memory and
 * Argo CD compares again and again. A field that is itself called `description` is a schema, and stays.
 */
export function withoutDescriptions(definition: KubeObject): KubeObject {
  return JSON.parse(JSON.stringify(definition, (key, value) => (key === 'description' && typeof value === 'string' ? undefined : value)))
}
