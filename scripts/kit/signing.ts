/**
 * Signs in-toto statements, and opens what was signed. Both ways make a Sigstore bundle around a DSSE envelope, which cosign 3 reads too:
 * https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_bundle.proto. The work is that of the @sigstore libraries, which npm
 * itself verifies provenance with: in this process, where cosign would be a program of two minutes' compiling on every machine.
 */
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, randomUUID, sign } from 'node:crypto'
import { linkSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { bundleFromJSON, bundleToJSON, envelopeToJSON, isBundleWithDsseEnvelope } from '@sigstore/bundle'
import type { DSSEBundleBuilder } from '@sigstore/sign'
import {
  type TrustMaterial,
  toSignedEntity,
  toTrustMaterial,
  type VerificationPolicy,
  Verifier,
  type VerifierOptions,
} from '@sigstore/verify'
import { messageOf, UserError } from './errors.ts'
import { createOnce } from './limit.ts'
import { ensureDir, machineDir } from './paths.ts'

/** What a bundle calls itself as an artifact; the library writes and reads 0.3. */
export const BUNDLE_MEDIA_TYPE = 'application/vnd.dev.sigstore.bundle.v0.3+json'
export const STATEMENT_MEDIA_TYPE = 'application/vnd.in-toto+json'
/** Who GitHub's tokens for workflows are from. */
export const GITHUB_ISSUER = 'https://token.actions.githubusercontent.com'

export type Opened = { readonly refused: string } | { readonly payload: string }

/** Who signs here, and whom to believe. */
export interface Signing {
  /** Signs the text of a statement. @returns the bundle, as JSON. */
  sign(statement: string): Promise<string>
  /** Opens a bundle that comes from anywhere. @returns the text that was signed, or why it is not to be believed. */
  open(bundle: string): Promise<Opened>
  /** The public key, as PEM; undefined where an identity is believed and no key. */
  publicKey(): string | undefined
  /** Who is believed where no key is. */
  readonly identity?: Identity
}

/** The envelope within a bundle, as older readers find it: payload, type and signatures. */
export function envelopeOf(bundle: string): string {
  const read = bundleFromJSON(JSON.parse(bundle))
  if (!isBundleWithDsseEnvelope(read)) throw new TypeError('The bundle holds no envelope')
  return JSON.stringify(envelopeToJSON(read.content.dsseEnvelope))
}

// ── By a key ────────────────────────────────────────────────────────────────────────────────────────────────────────

/** A key of this machine, made at its first use and kept for its owner alone. */
export function keySigning(folder = join(machineDir, 'signing')): Signing {
  let known: KeyObject | undefined
  const key = () => (known ??= ownKey(folder))
  const publicKey = () => createPublicKey(key())
  return {
    async sign(statement) {
      const der = publicKey().export({ type: 'spki', format: 'der' })
      const hint = createHash('sha256').update(der).digest('base64') // as cosign names keys
      const signer = {
        sign: async (data: Buffer) => ({
          signature: sign('sha256', data, key()),
          key: { $case: 'publicKey' as const, publicKey: pemOf(publicKey()), hint },
        }),
      }
      const sigstore = await import('@sigstore/sign') // a tenth of a second that only who signs waits for
      return bundled(new sigstore.DSSEBundleBuilder({ signer, witnesses: [] }), statement)
    },
    async open(bundle) {
      // A key is believed whatever the time: nobody else has to witness when it was used.
      const options = { ctlogThreshold: 0, tlogThreshold: 0, timestampThreshold: 0 }
      return opened(bundle, { trust: believing(publicKey()), options })
    },
    publicKey: () => pemOf(publicKey()),
  }
}

const pemOf = (key: KeyObject) => key.export({ type: 'spki', format: 'pem' }).toString()

/** Nobody but one key. */
function believing(publicKey: KeyObject): TrustMaterial {
  return {
    certificateAuthorities: [],
    timestampAuthorities: [],
    tlogs: [],
    ctlogs: [],
    publicKey: () => ({ publicKey, validFor: () => true }),
  }
}

const OTHERS = 0o077

/** @throws UserError for a key that others can read. */
function ownKey(folder: string): KeyObject {
  const path = join(ensureDir(folder), 'key.pem')
  const found = statSync(path, { throwIfNoEntry: false })
  if (found === undefined) makeKey(path)
  else if ((found.mode & OTHERS) !== 0)
    throw new UserError({ what: 'Cannot sign', why: `others may read the key ${path}`, next: `Run chmod 600 ${path}, or remove it` })
  return createPrivateKey(readFileSync(path))
}

/** Of two commands that make it at once, both use the one that was there first, and never half of one. */
function makeKey(path: string): void {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' }) // what cosign makes
  const own = `${path}.${randomUUID()}`
  writeFileSync(own, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600, flag: 'wx' })
  try {
    linkSync(own, path)
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'EEXIST') throw thrown
  } finally {
    rmSync(own)
  }
}

// ── By an identity ──────────────────────────────────────────────────────────────────────────────────────────────────

export interface Identity {
  readonly issuer: string
  /** The whole of it: `https://github.com/you/platform/.github/workflows/main.yml@refs/heads/main`. */
  readonly subject: string
}

/** No key at all: Fulcio certifies for minutes who asks, Rekor keeps that it did. Only a run that GitHub vouches for can sign. */
export function identitySigning(identity: Identity, loadTrust = publicTrust): Signing {
  const once = createOnce<TrustMaterial>()
  return {
    async sign(statement) {
      if (process.env.ACTIONS_ID_TOKEN_REQUEST_URL === undefined)
        throw new UserError({
          what: 'Cannot sign',
          why: `only ${identity.subject} may, and this is not a run of it with the permission id-token: write`,
          next: 'Leave HOLDFAST_SIGNER unset to sign with a key of this machine',
        })
      const { CIContextProvider, DEFAULT_FULCIO_URL, DEFAULT_REKOR_URL, ...sigstore } = await import('@sigstore/sign')
      const signer = new sigstore.FulcioSigner({ fulcioBaseURL: DEFAULT_FULCIO_URL, identityProvider: new CIContextProvider('sigstore') })
      const witness = new sigstore.RekorWitness({ rekorBaseURL: DEFAULT_REKOR_URL, entryType: 'dsse' })
      return bundled(new sigstore.DSSEBundleBuilder({ signer, witnesses: [witness] }), statement)
    },
    async open(bundle) {
      return opened(bundle, { trust: await once('trust', loadTrust), policy: policyFor(identity) })
    },
    publicKey: () => undefined,
    identity,
  }
}

/** The library takes the subject for a pattern that matches anywhere: unescaped, `.` would be any letter, and a longer name would do. */
export function policyFor({ issuer, subject }: Identity): VerificationPolicy {
  return { subjectAlternativeName: `^${subject.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')}$`, extensions: { issuer } }
}

/** The authorities of the public Sigstore, by its own way of handing them out (TUF). */
async function publicTrust(): Promise<TrustMaterial> {
  const { getTrustedRoot } = await import('@sigstore/tuf')
  return toTrustMaterial(await getTrustedRoot({ cachePath: ensureDir(join(machineDir, 'sigstore')) }))
}

// ── Both ────────────────────────────────────────────────────────────────────────────────────────────────────────────

async function bundled(builder: DSSEBundleBuilder, statement: string): Promise<string> {
  const bundle = await builder.create({ data: Buffer.from(statement), type: STATEMENT_MEDIA_TYPE })
  if (!isBundleWithDsseEnvelope(bundle)) throw new TypeError('The bundle holds no envelope')
  // The library writes the key's hint here too. cosign knows the key by another name, and tries it only on what has none.
  for (const signature of bundle.content.dsseEnvelope.signatures) signature.keyid = ''
  return JSON.stringify(bundleToJSON(bundle))
}

interface Believed {
  readonly trust: TrustMaterial
  readonly policy?: VerificationPolicy
  readonly options?: VerifierOptions
}

function opened(content: string, { trust, policy, options }: Believed): Opened {
  try {
    const bundle = bundleFromJSON(JSON.parse(content))
    if (!isBundleWithDsseEnvelope(bundle)) return { refused: 'it is not signed as a statement' }
    const { payload, payloadType } = bundle.content.dsseEnvelope
    if (payloadType !== STATEMENT_MEDIA_TYPE) return { refused: `what was signed is of the type '${payloadType}'` }
    new Verifier(trust, options).verify(toSignedEntity(bundle), policy)
    return { payload: payload.toString() }
  } catch (thrown) {
    return { refused: `its signature does not hold: ${messageOf(thrown)}` } // whatever is odd about it, it is not believed
  }
}

/**
 * By the identity that HOLDFAST_SIGNER names, a workflow of GitHub, or `workflow` in a run of it: only its statements are believed then,
 * and only it can sign. Else by this machine's key.
 */
export function signingFor(env: NodeJS.ProcessEnv = process.env): Signing {
  const { HOLDFAST_SIGNER: signer, GITHUB_SERVER_URL: server, GITHUB_WORKFLOW_REF: workflow } = env
  if (signer === undefined || signer === '') return keySigning()
  return identitySigning({ issuer: GITHUB_ISSUER, subject: signer === 'workflow' ? `${server}/${workflow}` : signer })
}
