/** What is inside an image, as a signed SBOM in SPDX 2.3: what syft finds in it, and the packages of npm that its bundle was made of. */
import { UserError } from '#kit/errors'
import type { ImageRef } from '#kit/registry'
import { type SpdxDocument, type SpdxPackage, scanImage } from '#kit/syft'
import { aboutImage, attest, lacks, PREDICATES, readAttestations, repositoryAt } from './attestation.ts'
import { releasePart } from './deliver.ts'
import type { Environment } from './environments.ts'
import { digestIn } from './gitops.ts'
import { shortDigest } from './history.ts'
import { type Material, materialsIn } from './provenance.ts'
import { needCluster } from './run.ts'
import type { Digest, Run, Stack } from './types.ts'

export interface Sbom {
  readonly digest: Digest
  /** Undefined where one was attached before. */
  readonly packages?: number
}

/** The image that an environment runs. @throws UserError where it runs nothing */
export async function imageIn(stack: Stack, { name, environment }: { name: string; environment: Environment }, { signal }: Run) {
  const what = `Cannot look at the image of '${environment}'`
  const cluster = await needCluster(stack, { what, name })
  const { files } = await (await stack.git(cluster, signal)).readDeploy()
  const part = releasePart(stack)
  const digest = digestIn(files, { part: part.name, environment })
  if (digest === undefined) throw new UserError({ what, why: `${environment} runs nothing`, next: `Run npm run promote -- ${environment}` })
  return { ...repositoryAt(cluster, part.release.name), digest }
}

/**
 * Attaches an SBOM to an image, unless a believed one is there.
 * @throws UserError for an image without a believed provenance, which alone knows what a bundle was made of.
 */
export async function attachSbom(stack: Pick<Stack, 'signing'>, image: ImageRef & { readonly digest: Digest }, run: Run): Promise<Sbom> {
  const { name, digest } = image
  const attestations = await readAttestations({ image, signing: stack.signing })
  if (lacks(attestations, 'sbom') === undefined) return { digest }
  const why = lacks(attestations, 'provenance')
  if (why !== undefined)
    throw new UserError({ what: `Cannot tell what is in ${shortDigest(digest)}`, why, next: 'Run npm run local:deploy, and begin again' })
  const { progress, signal } = run
  const found = await progress.step(`Look into ${shortDigest(digest)}`, () => scanImage(image, signal))
  const bundled = attestations.flatMap(({ believed }) => ('statement' in believed ? materialsIn(believed.statement) : []))
  const predicate = withPackages(found, bundled)
  await attest({ image, signing: stack.signing }, { ...aboutImage({ name, digest }), predicateType: PREDICATES.sbom, predicate })
  return { digest, packages: predicate.packages.length }
}

/** The document with each package of npm that is not in it already, as contained in what it describes. */
export function withPackages(document: SpdxDocument, materials: readonly Material[]): SpdxDocument {
  const known = new Set(document.packages.flatMap(({ externalRefs = [] }) => externalRefs.map((each) => each.referenceLocator)))
  const described = document.relationships.find(({ relationshipType }) => relationshipType === 'DESCRIBES')?.relatedSpdxElement
  const added = [...new Map(materials.map((each) => [each.uri ?? '', each])).values()]
    .filter(({ uri = '' }) => uri.startsWith('pkg:npm/') && !known.has(uri))
    .map(spdxPackage)
  const contains = added.map(({ SPDXID }) => ({
    spdxElementId: described ?? 'SPDXRef-DOCUMENT',
    relatedSpdxElement: SPDXID,
    relationshipType: 'CONTAINS',
  }))
  return { ...document, packages: [...document.packages, ...added], relationships: [...document.relationships, ...contains] }
}

function spdxPackage({ uri = '', digest, annotations = {} }: Material): SpdxPackage {
  const [, name = '', version = ''] = /^pkg:npm\/(.+)@([^@]+)$/.exec(uri) ?? []
  const { sha512 } = digest
  return {
    SPDXID: `SPDXRef-Package-npm-${`${name}-${version}`.replace(/[^\w.-]/g, '-')}`,
    name: decodeURIComponent(name),
    versionInfo: version,
    downloadLocation: 'NOASSERTION',
    filesAnalyzed: false,
    licenseConcluded: 'NOASSERTION',
    licenseDeclared: typeof annotations.license === 'string' ? annotations.license : 'NOASSERTION',
    copyrightText: 'NOASSERTION',
    ...(sha512 ? { checksums: [{ algorithm: 'SHA512', checksumValue: sha512 }] } : {}),
    externalRefs: [{ referenceCategory: 'PACKAGE-MANAGER', referenceType: 'purl', referenceLocator: uri }],
  }
}
