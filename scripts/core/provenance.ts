/** Where an image comes from, as a signed statement: https://slsa.dev/spec/v1.1/provenance. */
import type { Images } from '#kit/images'
import { type BundledPackage, packagesIn } from '#kit/packages'
import { root } from '#kit/paths'
import type { Signing } from '#kit/signing'
import { aboutImage, attest, type InToto, lacks, PREDICATES, readAttestations } from './attestation.ts'
import type { ImageSpec, SourceHead, StoredImage } from './types.ts'

const BUILD_TYPE = 'https://holdfast.dev/image/v1'
const THIS_MACHINE = 'https://holdfast.dev/builder/this-machine'

/** Who builds here, and of what. */
export interface Builder {
  readonly id: string
  /** Of this run; undefined where nothing keeps it. */
  readonly invocation?: string
  /** Of the source. @default not said */
  readonly repository?: string
}

/** On GitHub the workflow by its file and ref, else this machine, which nobody else can tell apart from another. */
export function builderHere(env: NodeJS.ProcessEnv = process.env): Builder {
  const { GITHUB_SERVER_URL: server, GITHUB_REPOSITORY: repository, GITHUB_WORKFLOW_REF: workflow, GITHUB_RUN_ID: run } = env
  if (env.GITHUB_ACTIONS !== 'true') return { id: THIS_MACHINE }
  const at = `${server}/${repository}`
  const attempt = env.GITHUB_RUN_ATTEMPT ?? '1'
  return { id: `${server}/${workflow}`, invocation: `${at}/actions/runs/${run}/attempts/${attempt}`, repository: `git+${at}` }
}

export interface Built {
  readonly image: StoredImage
  /** The commit that the tree stands on; undefined before the first. */
  readonly source: SourceHead | undefined
  readonly builder: Builder
  /** What the bundles in it are made of, beside our own code. */
  readonly packages: readonly BundledPackage[]
}

/** https://github.com/in-toto/attestation/blob/main/spec/v1/resource_descriptor.md */
export interface Material {
  readonly uri?: string
  readonly digest: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, unknown>>
}

export interface Provenance extends InToto {
  readonly predicate: {
    readonly buildDefinition: { readonly resolvedDependencies: readonly Material[] } & Readonly<Record<string, unknown>>
    readonly runDetails: { readonly builder: { readonly id: string }; readonly metadata: { readonly invocationId?: string } }
  }
}

/** What an image was made of, by a statement about it; nothing where that is no provenance, or says nothing of it. */
export function materialsIn({ predicateType, predicate }: InToto): readonly Material[] {
  if (predicateType !== PREDICATES.provenance) return []
  return (predicate as Partial<Provenance['predicate']>).buildDefinition?.resolvedDependencies ?? []
}

/** Says no more than is known: a tree with changes names its commit as what it stands on, and says that it is not clean. */
export function provenanceOf({ image: { spec, key, way, digest }, source, builder, packages }: Built): Provenance {
  const { id, invocation } = builder
  return {
    ...aboutImage({ name: spec.name, digest }),
    predicateType: PREDICATES.provenance,
    predicate: {
      buildDefinition: {
        buildType: BUILD_TYPE,
        externalParameters: { image: spec.name, way },
        internalParameters: { inputs: key }, // of sources, pins, compiler and base
        resolvedDependencies: [...treeOf(source, builder), ...packages.map(materialOf)],
      },
      runDetails: { builder: { id }, metadata: invocation === undefined ? {} : { invocationId: invocation } },
    },
  }
}

function treeOf(source: SourceHead | undefined, { repository }: Builder): Material[] {
  if (source === undefined) return []
  const { sha, clean } = source
  return [{ ...(repository === undefined ? {} : { uri: repository }), digest: { gitCommit: sha }, annotations: { clean } }]
}

/** A package of a bundle, as statements name it. */
export function materialOf({ purl, sha512, license }: BundledPackage): Material {
  return { uri: purl, digest: { sha512 }, ...(license === undefined ? {} : { annotations: { license } }) }
}

/** What the bundles in an image are made of. */
export async function packagesOf({ build }: ImageSpec): Promise<BundledPackage[]> {
  const bundles = (build?.inputs ?? []).flatMap((input) => (input.kind === 'bundle' ? [input.entry] : []))
  return (await Promise.all(bundles.map((entry) => packagesIn(entry, root)))).flat()
}

export interface Vouching {
  readonly images: Pick<Images, 'made'>
  readonly registry: string
  readonly signing: Signing
  readonly source: SourceHead | undefined
}

/**
 * An image of ours with a signed provenance. Where none is believed, what the registry has under its key may be anybody's: it is replaced
 * by what this machine's engine has, or builds.
 */
export async function vouched(image: StoredImage, { images, registry, signing, source }: Vouching): Promise<StoredImage> {
  const at = ({ spec, digest }: StoredImage) => ({ image: { registry, name: spec.name, digest }, signing })
  if (lacks(await readAttestations(at(image)), 'provenance') === undefined) return image
  const made = await images.made(image.spec, registry)
  const packages = await packagesOf(made.spec)
  await attest(at(made), provenanceOf({ image: made, source, builder: builderHere(), packages }))
  return made
}
