/**
 * What may come to prod, with a real registry: of each kind of forgery twenty, each refused with its reason, beside the true one that goes.
 * Whoever forges may write to the registry and to `deploy`, and has every key but ours.
 */
import { rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  attachSbom,
  attest,
  type Digest,
  deliver,
  evidencePath,
  type ImageSpec,
  lacks,
  PREDICATES,
  type PredicateName,
  type ProvenProof,
  promote,
  readAttestations,
  statementOf,
  vouched,
} from '#core'
import type { Images } from '#kit/images'
import { createProgress } from '#kit/progress'
import { attachArtifact, type ImageRef } from '#kit/registry'
import { BUNDLE_MEDIA_TYPE, keySigning } from '#kit/signing'
import { service } from '../../chart/part.ts'
import { assert, suite } from '../suite.ts'
import { createPlatform } from '../unit/platform-fixture.ts'
import { BUILD, pushImage, registryOf, saying } from './registry-fixture.ts'

const test = suite('chain')

const ROUNDS = 20
/** Some hundred requests to the registry; a busy machine is no forgery. */
const ROUNDS_TIMEOUT = { timeoutMs: 180_000 }
const NAME = 'holdfast/service'
const { folder, registry } = await registryOf(test, 'chain')
const ours = keySigning(join(folder, 'ours'))
const theirs = keySigning(join(folder, 'theirs'))

type Image = ImageRef & { readonly digest: Digest }
const TO_PROD = { from: 'staging', to: 'prod' } as const
const stack = {
  evidence: { dev: [], staging: ['smoke'], prod: [] },
  attested: { dev: [], staging: [], prod: ['provenance', 'sbom'] },
  signing: ours,
} as const

const held: ProvenProof = { name: 'smoke', verdict: 'held', startedAt: '2026-01-01T00:00:00Z', record: 'ab' }
const proven = (image: Image) => statementOf({ environment: 'staging', image, proofs: [held], deploy: 'c'.repeat(40) })
interface Staged {
  readonly image: Image
  readonly promote: () => Promise<unknown>
  /** `deploy` points to this bundle as the evidence of staging. */
  readonly point: (statement: string) => Promise<void>
}

/** staging runs an image of which nothing is said yet. */
async function staged(label: string): Promise<Staged> {
  const { delivery } = createPlatform({ registry: registry.address, stack })
  const image = await pushImage({ registry: registry.address, name: NAME }, label)
  await deliver(delivery, { environment: 'staging', digest: image.digest, message: 'Deploy', revert: true })
  return {
    image,
    promote: () => promote(delivery, TO_PROD, { revert: true }),
    async point(statement) {
      const pointer = JSON.stringify({ subject: image.digest, statement })
      await (await delivery.git()).updateDeploy('Point', (files) => void files.set(evidencePath('staging'), pointer))
    },
  }
}

/** All that prod asks for, signed by `signing`. */
async function vouchAll({ image, point }: Staged, signing = ours): Promise<void> {
  await point(await attest({ image, signing }, proven(image)))
  await attest({ image, signing }, saying(image, 'provenance'))
  await attest({ image, signing }, saying(image, 'sbom'))
}

const attachBundle = (image: Image, content: string, name: PredicateName = 'test-result') =>
  attachArtifact(image, {
    artifactType: BUNDLE_MEDIA_TYPE,
    mediaType: BUNDLE_MEDIA_TYPE,
    content,
    annotations: { 'dev.sigstore.bundle.predicateType': PREDICATES[name] },
  })

/** Each round forges in its own way, and says with what reason that must be refused. */
function refused(what: string, round: (staged: Staged, n: number) => Promise<RegExp>): void {
  const body = async () => {
    for (let n = 0; n < ROUNDS; n++) {
      const one = await staged(`${what} ${n}`)
      const reason = await round(one, n)
      await assert.rejects(one.promote(), reason)
    }
  }
  test(`${what}: refused, ${ROUNDS} of ${ROUNDS}`, body, ROUNDS_TIMEOUT)
}

test(
  `what is signed by us and about this digest goes to prod, ${ROUNDS} of ${ROUNDS}`,
  async () => {
    for (let n = 0; n < ROUNDS; n++) {
      const one = await staged(`true ${n}`)
      await vouchAll(one)
      await one.promote()
    }
  },
  ROUNDS_TIMEOUT,
)

refused('an unsigned statement', async ({ image, point }) => {
  await point(await attachBundle(image, JSON.stringify(proven(image))))
  return /its evidence is refused: its signature does not hold: /
})

refused('a digest of which only the proofs are signed', async ({ image, point }, n) => {
  await point(await attest({ image, signing: ours }, proven(image)))
  const [has, lacking] = n % 2 === 0 ? (['sbom', 'provenance'] as const) : (['provenance', 'sbom'] as const)
  await attest({ image, signing: ours }, saying(image, has))
  return new RegExp(`to 'prod': it has no signed ${lacking}`)
})

refused('what another key has signed', async (one, n) => {
  await vouchAll(one, theirs)
  if (n % 2 === 0) return /its evidence is refused: its signature does not hold: signature verification failed/
  await one.point(await attest({ image: one.image, signing: ours }, proven(one.image)))
  return /its provenance is refused: its signature does not hold: signature verification failed/
})

/** One character of the payload or of the signature, each round another place. */
function tampered(bundle: string, n: number): string {
  const { dsseEnvelope, ...rest } = JSON.parse(bundle)
  const [signature] = dsseEnvelope.signatures
  const flip = (base64: string) => {
    const bytes = Buffer.from(base64, 'base64')
    const at = Math.floor((n / ROUNDS) * bytes.length)
    bytes[at] = (bytes[at] ?? 0) ^ 1
    return bytes.toString('base64')
  }
  const changed =
    n % 2 === 0
      ? { ...dsseEnvelope, payload: flip(dsseEnvelope.payload) }
      : { ...dsseEnvelope, signatures: [{ ...signature, sig: flip(signature.sig) }] }
  return JSON.stringify({ ...rest, dsseEnvelope: changed })
}

refused('a statement of which one bit was changed', async (one, n) => {
  await vouchAll(one)
  const bundle = await ours.sign(JSON.stringify(proven(one.image)))
  await one.point(await attachBundle(one.image, tampered(bundle, n)))
  return /its evidence is refused: its signature does not hold: signature verification failed/
})

refused('a statement about another digest, with a true signature,', async (one, n) => {
  const other = await pushImage(one.image, `proven ${n}`)
  await vouchAll(one)
  await one.point(await attachBundle(one.image, await ours.sign(JSON.stringify(proven(other)))))
  return new RegExp(`its evidence is refused: it is about ${other.digest.slice(0, 19)}, not about ${one.image.digest.slice(0, 19)}`)
})

refused('provenance and SBOM of another digest', async ({ image, point }, n) => {
  const other = await pushImage(image, `vouched ${n}`)
  await point(await attest({ image, signing: ours }, proven(image)))
  for (const name of ['provenance', 'sbom'] as const) await attachBundle(image, await ours.sign(JSON.stringify(saying(other, name))), name)
  return /its provenance is refused: it is about /
})

test('a key that others may read signs nothing', async () => {
  const signing = keySigning(join(folder, 'open'))
  await signing.sign('{}')
  const path = join(folder, 'open', 'key.pem')
  assert.is((await stat(path)).mode & 0o777, 0o600)
  await rm(path)
  await writeFile(path, 'x', { mode: 0o644 })
  await assert.rejects(keySigning(join(folder, 'open')).sign('{}'), `Cannot sign: others may read the key ${path}. Run chmod 600 ${path}`)
})

// ── What is said of what is built ───────────────────────────────────────────────────────────────────────────────────

const progress = createProgress()
test.after(() => progress[Symbol.dispose]())

function serviceImage(): ImageSpec {
  const { release } = service()
  if (release === undefined) throw new TypeError('The service has no image')
  return release
}

/** An engine that has one image of the key, whatever the registry says. */
function engine(image: Image) {
  const stored = { spec: serviceImage(), key: 'k', digest: image.digest, way: 'built' } as const
  let made = 0
  const images: Pick<Images, 'made'> = {
    made: async () => {
      made += 1
      return stored
    },
  }
  return { stored, images, made: () => made }
}

test('an image with our provenance is taken as it is, and any other one is made anew and vouched for once', async () => {
  const [true_, foisted] = [
    await pushImage({ registry: registry.address, name: NAME }, 'engine'),
    await pushImage({ registry: registry.address, name: NAME }, 'foisted'),
  ]
  const { stored, images, made } = engine(true_)
  const vouching = { images, registry: registry.address, signing: ours, source: { sha: 'ab'.repeat(20), clean: true } }
  const first = await vouched({ ...stored, digest: foisted.digest }, vouching)
  assert.equal([first.digest, made()], [true_.digest, 1], 'what somebody put under the key is not vouched for')
  const again = await vouched(first, vouching)
  assert.equal([again.digest, made()], [true_.digest, 1])
  const attestations = await readAttestations({ image: true_, signing: ours })
  assert.is(lacks(attestations, 'provenance'), undefined)
  assert.is(attestations.length, 1)
  assert.is(
    lacks(await readAttestations({ image: true_, signing: theirs }), 'provenance'),
    'its provenance is refused: its signature does not hold: signature verification failed',
  )
})

test(
  'an SBOM holds the packages of the bundle by what the signed provenance says, and is made once',
  async () => {
    const image = await pushImage({ registry: registry.address, name: NAME }, 'sbom')
    const signal = AbortSignal.timeout(BUILD.timeoutMs)
    const { stored, images } = engine(image)
    await assert.rejects(
      attachSbom({ signing: ours }, image, { progress, signal }),
      'it has no signed provenance. Run npm run local:deploy',
    )
    await vouched(stored, { images, registry: registry.address, signing: ours, source: undefined })
    const { packages = 0 } = await attachSbom({ signing: ours }, image, { progress, signal })
    assert.ok(packages > 20, `${packages} packages`)
    assert.equal(await attachSbom({ signing: ours }, image, { progress, signal }), { digest: image.digest })
    const [sbom, ...others] = (await readAttestations({ image, signing: ours })).filter(
      ({ predicateType }) => predicateType === PREDICATES.sbom,
    )
    assert.is(others.length, 0)
    const text = JSON.stringify(sbom)
    assert.match(text, 'pkg:npm/express@')
    assert.match(text, '"spdxVersion":"SPDX-2.3"')
    assert.not.match(text, 'pkg:npm/typescript@', 'what is not in the bundle is not in its list')
  },
  BUILD,
)

test.run()
