/** Whether the image that this tree is made into is vouched for where it is stored, by a reader that is not ours: cosign. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PREDICATES } from '../../core/attestation.ts'
import type { ImageSpec } from '../../core/types.ts'
import { exec } from '../exec.ts'
import { Images } from '../images.ts'
import type { ImageRef } from '../registry.ts'
import type { Signing } from '../signing.ts'
import { type TemporaryFolder, temporaryFolder } from '../temporary.ts'
import { oneLine } from '../text.ts'
import { tool } from '../tools.ts'
import { silent } from './archive.ts'
import { type Check, goVersionOf, have, type Look, NothingYet } from './gate.ts'

const COSIGN = 'local/tools/cosign'

/** @returns undefined where there is none yet */
export type FindImage = (signal?: AbortSignal) => Promise<ImageRef | undefined>

/** The image of this tree, as it is in the registry of this machine. @param registry undefined where none runs */
export function storedImage(spec: ImageSpec, registry: () => Promise<string | undefined>): FindImage {
  return async (signal = new AbortController().signal) => {
    const address = await have(registry, signal)
    if (address === undefined) return undefined
    const found = await new Images({ progress: silent, signal }).found(spec, address)
    return found === undefined ? undefined : { registry: address, name: spec.name, digest: found.digest }
  }
}

export interface Signed {
  readonly find: FindImage
  readonly signing: Pick<Signing, 'publicKey' | 'identity'>
}

/** Red on a digest without a provenance that is signed by whom we believe. */
export function signatureCheck(signed: Signed): Check {
  return {
    tool: 'cosign',
    source: 'Go module',
    pin: `${COSIGN}/go.mod`,
    about: 'the stored image has a provenance by whom we believe',
    version: () => goVersionOf(COSIGN, 'github.com/sigstore/cosign/v3'),
    run: (look) => verify(signed, look),
  }
}

async function verify({ find, signing }: Signed, { signal }: Look): Promise<string[]> {
  const image = await find(signal)
  if (image === undefined) throw new NothingYet('no image of this tree is stored: npm run local:up or local:deploy stores and signs it')
  const cosign = await have(() => tool('cosign', signal), signal)
  const ref = `${image.registry}/${image.name}@${image.digest}`
  await using folder = await temporaryFolder('signature')
  const args = ['verify-attestation', ...(await believing(signing, folder)), '--type', PREDICATES.provenance, '--new-bundle-format=true']
  // The registry of this machine speaks no TLS.
  const local = /^(127\.0\.0\.1|localhost):/.test(image.registry) ? ['--allow-http-registry'] : []
  const options = { env: { HOME: folder.path }, accept: [0, 1], signal }
  const { stderr, exitCode } = await exec(cosign, [...args, ...local, ref], options)
  if (exitCode === 0) return []
  return [`${COSIGN}/go.mod:1 — cosign refuses ${ref}: ${oneLine(stderr)} — npm run local:deploy, which vouches for what it stores`]
}

/** Whom to believe, as cosign is told. What a key has signed no log has seen. */
async function believing({ publicKey, identity }: Signed['signing'], { path }: TemporaryFolder): Promise<readonly string[]> {
  const key = publicKey()
  if (key === undefined && identity === undefined) throw new TypeError('Nobody is believed')
  if (identity !== undefined) return ['--certificate-identity', identity.subject, '--certificate-oidc-issuer', identity.issuer]
  const file = join(path, 'key.pub')
  await writeFile(file, key ?? '')
  return ['--key', file, '--insecure-ignore-tlog']
}
