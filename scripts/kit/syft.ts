/** What syft finds in an image: https://github.com/anchore/syft, as a document of SPDX 2.3. */
import { exec } from './exec.ts'
import type { ImageRef } from './registry.ts'
import { tool } from './tools.ts'

/** As far as it is read or written here: https://spdx.github.io/spdx-spec/v2.3/ */
export interface SpdxDocument {
  readonly spdxVersion: string
  readonly packages: readonly SpdxPackage[]
  readonly relationships: readonly SpdxRelationship[]
}

export interface SpdxPackage {
  readonly SPDXID: string
  readonly name: string
  readonly versionInfo?: string
  readonly downloadLocation: string
  readonly filesAnalyzed: boolean
  readonly licenseConcluded?: string
  readonly licenseDeclared?: string
  readonly copyrightText?: string
  readonly checksums?: readonly { readonly algorithm: string; readonly checksumValue: string }[]
  readonly externalRefs?: readonly {
    readonly referenceCategory: string
    readonly referenceType: string
    readonly referenceLocator: string
  }[]
}

export interface SpdxRelationship {
  readonly spdxElementId: string
  readonly relatedSpdxElement: string
  readonly relationshipType: string
}

/** Reads the image from its registry, without an engine. The first call compiles syft: some minutes. */
export async function scanImage({ registry, name, digest }: ImageRef, signal?: AbortSignal): Promise<SpdxDocument> {
  const args = ['scan', `registry:${registry}/${name}@${digest}`, '--output', 'spdx-json', '--quiet']
  const env = { SYFT_REGISTRY_INSECURE_USE_HTTP: 'true', SYFT_CHECK_FOR_APP_UPDATE: 'false' }
  const { stdout } = await exec(await tool('syft', signal), args, { env, signal })
  return JSON.parse(stdout) as SpdxDocument
}
