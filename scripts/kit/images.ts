/** From an image's definition to a digest in our registry: found by its inputs' key, else pulled, else built from source. */
import { cp, mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { type BuildFailure, build } from 'esbuild'
import type { Digest, ImageBuild, ImageInput, ImageSpec, StoredImage } from '../core/types.ts'
import { debootstrap } from './debian.ts'
import { builderEnv, docker, enginePlatform, inspect, ROLE_LABEL } from './docker.ts'
import { Failure, UserError } from './errors.ts'
import { goBuild, goKey, goModuleDir, isGoBuilt, isModuleHere } from './go.ts'
import { hashFiles, keyOf, sha256 } from './hash.ts'
import { whyNoRegistry } from './hub.ts'
import { allEnded, createLimit, createOnce } from './limit.ts'
import { isOffline } from './offline.ts'
import { root } from './paths.ts'
import type { Progress } from './progress.ts'
import { pullImage } from './pulled.ts'
import { askRegistry, MANIFEST_TYPES, urlOf } from './registry.ts'
import { roomyFolder } from './temporary.ts'

export interface ImageSource {
  readonly progress: Progress
  readonly signal: AbortSignal
  /** Forced way; by default one short probe decides when the first image is missing. */
  readonly way?: 'pull' | 'build'
  /** The code that bundles are made of: another commit's, for its image. All else is always of this one. @default the project's root */
  readonly codeFrom?: string
}

/** An image of the engine, ready to run or to build upon. */
interface LocalImage {
  readonly ref: string
  readonly way: 'pulled' | 'built'
}

/** Makes images available in the engine and in the registry; every image is made once per run. */
export class Images {
  readonly #source: ImageSource
  readonly #codeFrom: string
  readonly #local = createOnce<LocalImage>()
  readonly #way = createOnce<'pull' | 'build'>()
  /** A build waits for the network and the disk as much as for a processor. */
  readonly #building = createLimit(2)

  constructor(source: ImageSource) {
    this.#source = source
    this.#codeFrom = source.codeFrom ?? root
  }

  /** An image in the engine: the node, the registry, bases. Never tagged with an upstream name, which would shadow it. */
  async local(spec: ImageSpec): Promise<LocalImage> {
    const key = await imageKey(spec, this.#codeFrom)
    return this.#local(key, async () => {
      const built = builtRef(spec, key)
      if (this.#ways().includes('built') && (await inspect('image', built)) !== undefined) return { ref: built, way: 'built' }
      const pulled = upstreamRef(spec)
      if (this.#ways().includes('pulled') && pulled !== undefined && (await inspect('image', pulled)) !== undefined)
        return { ref: pulled, way: 'pulled' }
      if (pulled !== undefined && (await this.#decideWay()) === 'pull') return this.#pull(pulled)
      return this.#build(buildable(spec), built)
    })
  }

  /** Whether there is a way to an image: only one that cannot be built has to be there, or pulled. */
  async canHave(spec: ImageSpec, registry: string): Promise<boolean> {
    if (spec.build !== undefined) return true
    const stored = await digestOf(registry, spec.name, `pulled-${await imageKey(spec, this.#codeFrom)}`)
    return stored !== undefined || (await this.#decideWay()) === 'pull'
  }

  /** An image that the registry at `registry` (host:port on this machine) has already. */
  async found(spec: ImageSpec, registry: string): Promise<StoredImage | undefined> {
    const key = await imageKey(spec, this.#codeFrom)
    for (const way of this.#ways()) {
      const digest = await digestOf(registry, spec.name, `${way}-${key}`)
      if (digest !== undefined) return { spec, key, digest, way }
    }
    return undefined
  }

  /**
   * What is not on this machine of what an image needs, nothing where it is there or can be built of what is: names of images, programs
   * and archives. Nothing is made, and the network is not asked.
   * @param registry where it may be stored. @default only the engine's own images count
   */
  async lacks(spec: ImageSpec, registry?: string): Promise<readonly string[]> {
    if (registry !== undefined && (await this.found(spec, registry)) !== undefined) return []
    const there = await Promise.all((await localRefs(spec, this.#codeFrom)).map((ref) => inspect('image', ref)))
    if (there.some((each) => each !== undefined)) return []
    const { build } = spec
    if (build === undefined || (await fetches(build))) return [`the image ${spec.name}`]
    const below = build.base === undefined ? [] : await this.lacks(build.base)
    const inputs = await Promise.all((build.inputs ?? []).map((input) => this.#lacksInput(input)))
    return [...new Set([...below, ...inputs.flat()])]
  }

  async #lacksInput(input: ImageInput): Promise<readonly string[]> {
    switch (input.kind) {
      case 'bundle':
      case 'node-binary': // of the packages that this command itself runs on
        return []
      case 'go': {
        const built = await isGoBuilt(input, await enginePlatform()).catch(() => false) // without Go nothing says which one it would be
        return built ? [] : [`the compiled program ${input.to}`]
      }
      case 'image-archive':
        return this.lacks(input.image)
      case 'module-file':
        return (await isModuleHere(input.goMod, input.module)) ? [] : [`the Go module ${input.module}`]
      case 'debian':
        return [`the packages of Debian ${input.suite}`]
    }
  }

  /** An image in the registry, made where it is not there yet, under its upstream name and `tag`. */
  async stored(spec: ImageSpec, registry: string, tag = spec.tag): Promise<StoredImage> {
    return (await this.found(spec, registry)) ?? this.made(spec, registry, tag)
  }

  /** The same as the engine of this machine has it, else made: whatever the registry says that it has under the key is replaced. */
  async made(spec: ImageSpec, registry: string, tag = spec.tag): Promise<StoredImage> {
    const key = await imageKey(spec, this.#codeFrom)
    const { ref, way } = await this.local(spec)
    return this.#source.progress.step(`Store ${spec.name}`, async () => {
      for (const each of [tag, `${way}-${key}`]) await this.#push(ref, `${registry}/${spec.name}:${each}`)
      const digest = await digestOf(registry, spec.name, `${way}-${key}`)
      if (digest === undefined)
        throw new Failure({ what: `Cannot store ${spec.name}`, why: `the registry at ${registry} does not have it after the push` })
      return { spec, key, digest, way }
    })
  }

  /** Which images in the store count: one made the other way does not answer a forced one. */
  #ways(): readonly ('built' | 'pulled')[] {
    const { way } = this.#source
    return way === undefined ? ['built', 'pulled'] : [way === 'pull' ? 'pulled' : 'built']
  }

  async #push(ref: string, name: string): Promise<void> {
    await docker(['tag', ref, name])
    await docker(['push', '--quiet', name], { signal: this.#source.signal })
    await docker(['rmi', name]) // only the name goes; the layers stay with the image
  }

  async #pull(ref: string): Promise<LocalImage> {
    const { progress, signal } = this.#source
    await progress.step(`Pull ${ref.split('@')[0]}`, () => pullImage(ref, { signal }))
    if (!ref.includes('@')) progress.say(`  ${ref} is pinned by its tag only: its digest was not known when this version was written`)
    return { ref, way: 'pulled' }
  }

  /** One probe a run, and only when something is missing: an image that is there needs no network. */
  async #decideWay(): Promise<'pull' | 'build'> {
    if (this.#source.way !== undefined) return this.#source.way
    if (isOffline()) return 'build'
    return this.#way('way', async () => {
      const way = (await whyNoRegistry()) === undefined ? 'pull' : 'build'
      this.#source.progress.say(
        way === 'pull'
          ? 'A container registry answers: images are pulled'
          : 'No container registry answers: images are built from source (force a way with --images pull|build)',
      )
      return way
    })
  }

  async #build(spec: BuiltSpec, tag: string): Promise<LocalImage> {
    const { progress, signal } = this.#source
    const { base, dockerfile = 'Dockerfile' } = spec.build
    await progress.step(`Build ${spec.name}`, async (note) => {
      await using folder = await roomyFolder('image')
      const { path: context } = folder
      const [below] = await allEnded([base && this.local(base), this.#layContext(spec, { context, note })])
      note('docker build')
      // What is interrupted leaves no container either.
      const args = ['build', '--quiet', '--force-rm', '--tag', tag, '--label', `${ROLE_LABEL}=image`, '--file', join(context, dockerfile)]
      if (isOffline()) args.push('--network', 'none')
      if (below !== undefined) args.push('--build-arg', `BASE=${below.ref}`)
      const env = await builderEnv()
      if (env.DOCKER_BUILDKIT === undefined) args.push('--load') // a builder in a container of its own keeps what it built
      await this.#building(() => docker([...args, context], { env, signal }))
    })
    if (spec.deviation !== undefined) progress.say(`  ${spec.name}:${spec.tag} is built here and differs from upstream: ${spec.deviation}`)
    return { ref: tag, way: 'built' }
  }

  async #layContext(spec: BuiltSpec, { context, note }: { context: string; note: (text: string) => void }): Promise<void> {
    const { build } = spec
    for (const file of contextFiles(build)) await cp(join(root, build.context, file), join(context, file), { recursive: true })
    for (const input of build.inputs ?? []) {
      note(`${input.kind} ${input.to}`)
      const target = join(context, input.to)
      await mkdir(dirname(target), { recursive: true })
      await this.#layInput(input, target)
    }
  }

  async #layInput(input: ImageInput, target: string): Promise<void> {
    switch (input.kind) {
      case 'go':
        return cp(await goBuild(input, await enginePlatform(), this.#source.signal), target)
      case 'module-file':
        return cp(join(await goModuleDir(input.goMod, input.module), input.from), target)
      case 'node-binary':
        return cp(join(root, nodePackage(await enginePlatform()), 'bin', 'node'), target)
      case 'bundle':
        return writeFile(target, await bundled(input.entry, this.#codeFrom))
      case 'image-archive': {
        const { ref } = await this.local(input.image)
        await docker(['tag', ref, input.as])
        await docker(['save', '--output', target, input.as])
        await docker(['rmi', input.as])
        return
      }
      case 'debian':
        return debootstrap(input.suite, target, this.#source)
    }
  }
}

/** @throws Failure for an image that can only be pulled. */
function buildable(spec: ImageSpec): BuiltSpec {
  if (spec.build !== undefined) return { ...spec, build: spec.build }
  throw new Failure({ what: `Cannot build ${spec.name}`, why: 'it can only be pulled', next: 'Use --images pull, or leave its part out' })
}

type BuiltSpec = ImageSpec & { readonly build: ImageBuild }

/** What a Dockerfile's steps fetch by. */
const FETCHING = /\b(apt-get|apk|curl|wget|npm|pip|git clone|go (mod|install|get))\b/

async function fetches({ context, dockerfile = 'Dockerfile' }: ImageBuild): Promise<boolean> {
  const text = await readFile(join(root, context, dockerfile), 'utf8')
  return FETCHING.test(text.replaceAll(/^\s*#.*$/gm, ''))
}

function contextFiles(build: ImageBuild): readonly string[] {
  return [build.dockerfile ?? 'Dockerfile', ...(build.files ?? [])]
}

/** The key of all that goes into an image; bundles are made of the code in `codeFrom`. */
export async function imageKey(spec: ImageSpec, codeFrom = root): Promise<string> {
  const platform = await enginePlatform()
  const { build } = spec
  if (build === undefined) return keyOf(spec.name, spec.tag, spec.upstream ?? '', platform)
  const files = await hashFiles(join(root, build.context), contextFiles(build))
  const inputs = await Promise.all((build.inputs ?? []).map((input) => inputKey(input, { ...platform, codeFrom })))
  const base = build.base === undefined ? '' : await imageKey(build.base, codeFrom)
  return keyOf(spec.name, spec.tag, spec.upstream ?? '', files, inputs, base, platform)
}

async function inputKey(input: ImageInput, { codeFrom, ...platform }: { os: string; arch: string; codeFrom: string }): Promise<unknown> {
  switch (input.kind) {
    case 'go':
      return [input.to, await goInputKey(input, platform)]
    case 'module-file':
      return [input, await hashFiles(join(root, input.goMod), ['go.sum'])]
    case 'node-binary':
      return [input, await nodeVersion(platform)]
    case 'bundle':
      return [input.to, sha256(await bundled(input.entry, codeFrom))]
    case 'image-archive':
      return [input.to, input.as, await imageKey(input.image, codeFrom)]
    case 'debian':
      return input
  }
}

/** Where images are pulled no Go is needed, and none may be there: the key then goes without the compiler's version. */
async function goInputKey(input: Extract<ImageInput, { kind: 'go' }>, platform: { os: string; arch: string }): Promise<string> {
  return goKey(input, platform).catch((thrown) => {
    if (thrown instanceof UserError) return keyOf(input, platform)
    throw thrown
  })
}

/** From our own package.json: npm installs only the package of this machine's platform. */
async function nodeVersion(platform: { os: string; arch: string }): Promise<string> {
  const { optionalDependencies } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
  return optionalDependencies[basename(nodePackage(platform))] ?? 'none'
}

function nodePackage({ os, arch: goArch }: { os: string; arch: string }): string {
  return join('node_modules', `node-${os}-${goArch === 'amd64' ? 'x64' : goArch}`)
}

export interface Bundle {
  readonly text: string
  /** Of the files that went in, relative to where it was made. */
  readonly inputs: readonly string[]
}

interface MadeBundle {
  readonly bundle: Bundle
  /** Of all files that were looked at. */
  readonly stamps: ReadonlyMap<string, string>
}

const made = new Map<string, MadeBundle>()

/**
 * One ES module with all that `entry` imports, and the paths of the files that went in; CommonJS packages inside it ask for `require`. It
 * is made anew only when one of them has changed: a watch asks for it at every change of anything.
 * @throws Failure that names the line which cannot be read
 */
export async function bundle(entry: string, from = root): Promise<Bundle> {
  const key = `${from}\0${entry}`
  const known = made.get(key)
  if (known !== undefined && isDeepStrictEqual(await stampsOf(known.stamps.keys()), known.stamps)) return known.bundle
  const startedMs = Date.now()
  const { bundle, read } = await makeBundle(entry, from)
  const stamps = await stampsOf(read.map((path) => join(from, path)))
  // What was written meanwhile may have been read before.
  const isSure = [...stamps.values()].every((stamp) => Number(stamp.split(' ')[0]) < startedMs)
  if (isSure) made.set(key, { bundle, stamps })
  else made.delete(key)
  return bundle
}

async function stampsOf(paths: Iterable<string>): Promise<ReadonlyMap<string, string>> {
  const entries = [...paths].map(async (path) => {
    const found = await stat(path).catch(() => undefined)
    return [path, `${found?.mtimeMs} ${found?.size} ${found?.ino}`] as const
  })
  return new Map(await Promise.all(entries))
}

async function makeBundle(entry: string, from: string): Promise<{ bundle: Bundle; read: readonly string[] }> {
  const { outputFiles, metafile } = await build({
    entryPoints: [join(from, entry)],
    bundle: true,
    write: false,
    metafile: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    minifySyntax: true,
    legalComments: 'none',
    logLevel: 'silent',
    absWorkingDir: from,
    preserveSymlinks: true, // another commit may borrow our packages, and its bundle names where they are
    banner: { js: "import { createRequire as holdfastRequire } from 'node:module'; const require = holdfastRequire(import.meta.url);" },
  }).catch((thrown) => {
    throw unreadable(entry, thrown)
  })
  const [file] = outputFiles
  if (file === undefined) throw new Failure({ what: `Cannot bundle ${entry}`, why: 'esbuild gave no output' })
  const [output] = Object.values(metafile.outputs)
  const inputs = Object.entries(output?.inputs ?? {}).flatMap(([path, { bytesInOutput }]) => (bytesInOutput > 0 ? [path] : []))
  return { bundle: { text: file.text, inputs }, read: Object.keys(metafile.inputs) }
}

/** What stands in the code and cannot be read, with its place; anything else as it was thrown. */
function unreadable(entry: string, thrown: unknown): unknown {
  const [first] = (thrown as Partial<BuildFailure>).errors ?? []
  if (first === undefined) return thrown
  const { location, text } = first
  const place = location === null ? '' : `${location.file}:${location.line}:${location.column + 1}: `
  return new Failure({ what: `Cannot bundle ${entry}`, why: `${place}${text}` }, thrown)
}

/** The text of a bundle. */
export async function bundled(entry: string, from = root): Promise<string> {
  return (await bundle(entry, from)).text
}

/** Every name that `Images.local` may give an image, without making it. */
export async function localRefs(spec: ImageSpec, codeFrom = root): Promise<readonly string[]> {
  const pulled = upstreamRef(spec)
  return [builtRef(spec, await imageKey(spec, codeFrom)), ...(pulled === undefined ? [] : [pulled])]
}

const builtRef = ({ name }: ImageSpec, key: string) => `holdfast.local/${name}:${key}`

function upstreamRef({ upstream }: ImageSpec): string | undefined {
  if (upstream === undefined) return undefined
  return upstream.digest === undefined ? upstream.ref : `${upstream.ref}@${upstream.digest}`
}

/** The digest of a tag in a registry, or undefined where it is not there. */
export async function digestOf(registry: string, name: string, tag: string): Promise<Digest | undefined> {
  const head = { method: 'HEAD', headers: { accept: MANIFEST_TYPES }, accept: 404 }
  const response = await askRegistry(`Cannot look up ${name}:${tag}`, `${urlOf({ registry, name })}/manifests/${tag}`, head)
  if (response.status === 404) return undefined
  return response.headers.get('docker-content-digest') as Digest
}
