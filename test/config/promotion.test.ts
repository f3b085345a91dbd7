/** Evidence is kept with the image in a real registry and promotes exactly that digest; whatever is wrong with it is refused. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  askForCommit,
  attest,
  type CloudProvider,
  type Delivery,
  type DeployFacts,
  type Digest,
  deliver,
  evidencePath,
  type InToto,
  keepEvidence,
  type OpenRun,
  openOrigin,
  type Promotion,
  type ProvenProof,
  promote,
  type Result,
  rollback,
  type SourceTree,
  type Stack,
  sourceRevisionIn,
  statementOf,
  storeImages,
  type Verdict,
} from '#core'
import { UserError } from '#kit/errors'
import { digestOf, type Images } from '#kit/images'
import { digestOfText, type ImageRef, listReferrers, readBlob, tagImage } from '#kit/registry'
import { keySigning } from '#kit/signing'
import { copyPromoted } from '../../cloud/copy.ts'
import { assert, suite } from '../suite.ts'
import { createPlatform, KEPT, type Platform } from '../unit/platform-fixture.ts'
import { lyingRegistry, pushImage, registryOf, saying, startRegistry } from './registry-fixture.ts'

const test = suite('promotion')

const NAME = 'holdfast/service'
const EVIDENCE = { dev: ['x', 'y'], staging: ['smoke'], prod: [] }
const ATTESTED = { dev: [], staging: [], prod: ['provenance', 'sbom'] } as const
const TO_STAGING: Promotion = { from: 'dev', to: 'staging' }
const SHA = 'ab'.repeat(20)

const { folder, registry } = await registryOf(test, 'promotion')
const signing = keySigning(folder)

type Image = ImageRef & { readonly digest: Digest }

/** dev runs a new image. */
async function running(label: string, facts: DeployFacts = {}): Promise<Platform & { readonly image: Image }> {
  const source = { find: async (id: string) => (SHA.startsWith(id) ? [SHA] : []) } as unknown as SourceTree
  const platform = createPlatform({ registry: registry.address, stack: { evidence: EVIDENCE, attested: ATTESTED, signing, source } })
  const image = await pushImage({ registry: registry.address, name: NAME }, label)
  await deliver(platform.delivery, { environment: 'dev', digest: image.digest, message: 'Deploy', facts, revert: true })
  return { ...platform, image }
}

/** As `npm run prove` ends: these proofs came out so in an environment. */
async function prove({ delivery }: Platform, verdicts: Readonly<Record<string, Verdict>>, environment: 'dev' | 'staging' = 'dev') {
  const path = join(folder, 'record.json')
  await writeFile(path, '{}')
  const { files } = await (await delivery.git()).readDeploy()
  const digest = /digest: (sha256:\w+)/.exec(files.get(`environments/${environment}/service.yaml`) ?? '')?.[1] as Digest
  const results = Object.entries(verdicts).map(([name, verdict]) => ({
    record: { scenario: name, startedAt: '2026-01-01T00:00:00Z', digest },
    scenario: { name },
    judgement: { verdict },
    path,
  })) as unknown as Result[]
  const run = { context: { environment, cluster: delivery.cluster, git: delivery.git } } as unknown as OpenRun
  return keepEvidence(delivery.stack, run, results)
}

async function refusedWith({ delivery }: Platform, promotion = TO_STAGING): Promise<string> {
  const error = await assert.rejects(promote(delivery, promotion, { revert: true }), /^Cannot promote/)
  assert.instance(error, UserError)
  return error.message
}

const short = (digest: string) => digest.slice(0, 19)
const missing = (digest: Digest, names: string) =>
  `Cannot promote ${short(digest)} to 'staging': these proofs have not held for it in dev: ${names}. Run npm run prove -- x y --env dev`

/** Writes the pointer of dev by hand. */
async function point({ delivery }: Platform, pointer: object | string): Promise<void> {
  const text = typeof pointer === 'string' ? pointer : JSON.stringify(pointer)
  await (await delivery.git()).updateDeploy('By hand', (files) => void files.set(evidencePath('dev'), text))
}

async function pointerOf({ delivery }: Platform): Promise<{ subject: Digest; statement: Digest }> {
  return JSON.parse((await (await delivery.git()).readDeploy()).files.get(evidencePath('dev')) ?? '{}')
}

const say = (image: Image, statement: object) => attest({ image, signing }, statement as InToto)

test('a digest goes from dev to staging to prod on the evidence of each', async () => {
  const platform = await running('chain')
  const { delivery, image } = platform
  const line = await prove(platform, { x: 'held', y: 'held' })
  const { statement } = await pointerOf(platform)
  assert.is(line, `Evidence for ${short(image.digest)} in dev: statement ${short(statement)}, by commit ddddddd of deploy`)
  assert.is((await listReferrers(image)).length, 1)
  const promoted = await promote(delivery, TO_STAGING, { revert: true })
  assert.equal(promoted, { digest: image.digest, sha: platform.commits.at(-1)?.sha ?? '' })
  assert.is(platform.digestOf('staging'), image.digest)
  assert.equal(await promote(delivery, TO_STAGING, { revert: true }), { digest: image.digest }, 'once more changes nothing')
  const toProd: Promotion = { from: 'staging', to: 'prod' }
  assert.match(
    await refusedWith(platform, toProd),
    'these proofs have not held for it in staging: smoke. Run npm run prove -- smoke --env staging',
  )
  await prove(platform, { smoke: 'held' }, 'staging')
  const what = `Cannot promote ${short(image.digest)} to 'prod': it has no signed`
  const deploy = 'Run npm run local:deploy, which builds what nobody vouches for anew, and prove that'
  assert.is(await refusedWith(platform, toProd), `${what} provenance. ${deploy}`)
  for (const name of ['provenance', 'sbom'] as const) {
    assert.match(await refusedWith(platform, toProd), `${what} ${name}. `)
    await say(image, saying(image, name))
  }
  await promote(delivery, toProd, { revert: true })
  assert.is(platform.digestOf('prod'), image.digest)
  const { files } = await (await delivery.git()).readDeploy()
  const chartOf = (environment: 'dev' | 'staging' | 'prod') => sourceRevisionIn(files, { part: 'service', environment })
  assert.equal([chartOf('dev'), chartOf('staging'), chartOf('prod')], ['source', KEPT, KEPT])
})

test('a chart goes on without another digest, on the evidence of that digest', async () => {
  const platform = await running('chart')
  const { delivery, image } = platform
  await prove(platform, { x: 'held', y: 'held' })
  await promote(delivery, TO_STAGING, { revert: true })
  const newer = 'f'.repeat(40)
  const git = async () => ({ ...(await delivery.git()), keepSource: async () => newer })
  const { sha } = await promote({ ...delivery, git }, TO_STAGING, { revert: true })
  assert.is(sha, platform.commits.at(-1)?.sha)
  const { files } = await (await delivery.git()).readDeploy()
  assert.is(sourceRevisionIn(files, { part: 'service', environment: 'staging' }), newer)
  assert.is(platform.digestOf('staging'), image.digest)
})

test('without evidence, and with evidence of another digest, the proofs are named that are missing', async () => {
  const platform = await running('none')
  assert.is(await refusedWith(platform), missing(platform.image.digest, 'x, y'))
  await prove(platform, { x: 'held', y: 'held' })
  const newer = await pushImage(platform.image, 'newer')
  await deliver(platform.delivery, { environment: 'dev', digest: newer.digest, message: 'Deploy', revert: true })
  assert.is(await refusedWith(platform), missing(newer.digest, 'x, y'))
  await point(platform, 'no JSON')
  assert.is(await refusedWith(platform), missing(newer.digest, 'x, y'))
})

test('a red proof makes no evidence, and one that was not run neither', async () => {
  const platform = await running('red')
  assert.is(await prove(platform, { x: 'held', y: 'no data' }), 'No evidence for a promotion from dev: y did not hold')
  assert.is(await prove(platform, { x: 'held' }), undefined)
  assert.is(await refusedWith(platform), missing(platform.image.digest, 'x, y'))
})

test('a proof that is required since the evidence was made is missing', async () => {
  const platform = await running('more')
  await prove(platform, { x: 'held', y: 'held' })
  const stack = { ...platform.delivery.stack, evidence: { ...EVIDENCE, dev: ['x', 'y', 'z'] } }
  const delivery = { ...platform.delivery, stack }
  assert.match(
    await refusedWith({ ...platform, delivery }),
    'these proofs have not held for it in dev: z. Run npm run prove -- x y z --env dev',
  )
  const none = { ...platform.delivery, stack: { ...stack, evidence: { ...EVIDENCE, dev: [] } } }
  assert.match(
    await refusedWith({ ...platform, delivery: none }),
    "no proof is required in dev. Name some in 'evidence' of holdfast.config.ts",
  )
})

const refusal = (digest: Digest, why: string) =>
  `Cannot promote ${short(digest)} to 'staging': its evidence is refused: ${why}. Run npm run prove -- x y --env dev`

test('a statement that was copied from another digest is refused', async () => {
  const proven = await running('proven')
  await prove(proven, { x: 'held', y: 'held' })
  const copied = await pointerOf(proven)
  const platform = await running('unproven')
  const { digest } = platform.image
  await point(platform, { ...copied, subject: digest })
  assert.is(await refusedWith(platform), refusal(digest, `it is about ${short(proven.image.digest)}, not about ${short(digest)}`))
})

test('a statement that was made in another environment is refused', async () => {
  const platform = await running('elsewhere')
  await prove(platform, { x: 'held', y: 'held' })
  const proof: ProvenProof = { name: 'x', verdict: 'held', startedAt: '', record: '' }
  const statement = await say(platform.image, statementOf({ environment: 'staging', image: platform.image, proofs: [proof], deploy: '' }))
  await point(platform, { subject: platform.image.digest, statement })
  assert.is(await refusedWith(platform), refusal(platform.image.digest, "it was made in 'staging', not in 'dev'"))
})

test('a statement whose bytes were changed is refused', async () => {
  const platform = await running('tampered')
  await prove(platform, { x: 'held', y: 'held' })
  const { statement, subject } = await pointerOf(platform)
  const forged = ((await readBlob(platform.image, statement)) ?? '').replace('"payload"', '"Payload"')
  await using liar = await lyingRegistry(registry.address, { [statement]: forged })
  const cluster = { ...platform.delivery.cluster, registry: liar.address }
  const told = await refusedWith({ ...platform, delivery: { ...platform.delivery, cluster } })
  assert.is(told, refusal(subject, `its bytes are ${short(digestOfText(forged))}, and deploy points to ${short(statement)}`))
})

test('a statement that the registry does not have, and an image that it does not have, are refused', async () => {
  const platform = await running('gone')
  const { digest } = platform.image
  const statement = digestOfText('gone')
  await point(platform, { subject: digest, statement })
  assert.is(await refusedWith(platform), refusal(digest, `the statement ${short(statement)} is not in the registry`))
  await fetch(`http://${registry.address}/v2/${NAME}/manifests/${digest}`, { method: 'DELETE' })
  assert.is(
    await refusedWith(platform),
    `Cannot promote ${short(digest)} to 'staging': the registry does not have it any more. Run npm run local:deploy`,
  )
})

// ── From cluster to cluster ─────────────────────────────────────────────────────────────────────────────────────────

/** dev and staging with a cluster, a registry and a `deploy` each, as in the cloud. */
async function twoClusters(label: string, registryThere: string) {
  const dev = await running(label)
  const staging = createPlatform({ registry: registryThere })
  const clusterOf = ({ delivery }: Platform, environment: 'dev' | 'staging') => ({
    ...delivery.cluster,
    name: `holdfast-${environment}`,
    environment,
  })
  const devCluster = clusterOf(dev, 'dev')
  const eks: CloudProvider = {
    nameOf: (environment) => `holdfast-${environment}`,
    find: async (name) => (name === devCluster.name ? devCluster : undefined),
    copyImage: (image, { from, to, signal }) => copyPromoted(image, { from: from.registry, to: to.registry, signal }),
  }
  const stack = { ...dev.delivery.stack, clusters: { eks }, git: dev.delivery.git } as unknown as Stack
  return { dev, staging, delivery: { ...staging.delivery, stack, cluster: clusterOf(staging, 'staging') } }
}

test('in the cloud a digest goes from cluster to cluster, on the same evidence: the image first, then the commit', async () => {
  await using there = await startRegistry()
  const { dev, staging, delivery } = await twoClusters('clusters', there.address)
  const { digest } = dev.image
  const promoteIt = async () => promote(delivery, TO_STAGING, { revert: true, origin: await openOrigin(delivery, TO_STAGING) })
  const refused = await assert.rejects(promoteIt(), 'have not held')
  assert.is(refused.message, missing(digest, 'x, y').replace(/$/, ' --name holdfast-dev'))
  assert.is(await digestOf(there.address, NAME, digest), undefined, 'it was copied without evidence')
  await prove(dev, { x: 'held', y: 'held' })
  const before = dev.commits.length
  const { sha } = await promoteIt()
  assert.equal([sha, staging.digestOf('staging')], [staging.commits.at(-1)?.sha, digest])
  assert.equal([staging.digestOf('dev'), dev.digestOf('staging'), dev.commits.length], [undefined, undefined, before])
  assert.is(await digestOf(there.address, NAME, digest), digest)
  const attached = async (address: string) => (await listReferrers({ registry: address, name: NAME, digest })).map((each) => each.digest)
  const said = await attached(registry.address)
  assert.ok(said.length > 0)
  assert.equal(await attached(there.address), said, 'what is said of it did not come along')
  const { files } = await (await delivery.git()).readDeploy()
  assert.is(sourceRevisionIn(files, { part: 'service', environment: 'staging' }), KEPT)
  assert.equal(await promoteIt(), { digest }, 'once more changes nothing')
})

test('a promotion in the cloud is refused at another environment’s cluster, without the one before, and from another repository', async () => {
  const { delivery } = await twoClusters('refused', registry.address)
  const told = async (given: Delivery, promotion = TO_STAGING) => (await assert.rejects(openOrigin(given, promotion), 'Cannot')).message
  assert.is(
    await told(delivery, { from: 'staging', to: 'prod' }),
    "Cannot promote to 'prod': 'holdfast-staging' is the cluster of staging. Add --name holdfast-prod",
  )
  const eks = { ...delivery.stack.clusters.eks, find: async () => undefined }
  const without = { ...delivery, stack: { ...delivery.stack, clusters: { ...delivery.stack.clusters, eks } } }
  assert.is(await told(without), "Cannot promote to 'staging': no cluster 'holdfast-dev' runs. Run npm run cloud:up -- --env dev")
  const git = async () => ({ ...(await delivery.git()), url: 'http://git/y.git' })
  assert.match(await told({ ...delivery, git }), 'dev is read from http://git/x.git, and staging from http://git/y.git')
})

// ── Tags ────────────────────────────────────────────────────────────────────────────────────────────────────────────

test('latest, and the tag of the commit that a clean tree stands on, resolve to what was stored last', async () => {
  const image = await pushImage({ registry: registry.address, name: NAME }, 'stored')
  const spec = { name: NAME, tag: 'latest' }
  const { delivery } = createPlatform()
  const stored = async () => ({ spec, key: 'k', digest: image.digest, way: 'built' })
  const images = { canHave: async () => true, stored, made: stored } as unknown as Images
  const tags = async (sha: string, clean: boolean) => {
    const stack = { ...delivery.stack, signing, source: { head: async () => ({ sha, clean }) } as SourceTree }
    await storeImages(stack, { images, registry: registry.address })
    return Promise.all(['latest', sha].map((tag) => digestOf(registry.address, NAME, tag)))
  }
  assert.equal(await tags('cd'.repeat(20), true), [image.digest, image.digest])
  assert.equal(await tags('ef'.repeat(20), false), [image.digest, undefined], 'its files are not those of the commit')
})

// ── Rollback ────────────────────────────────────────────────────────────────────────────────────────────────────────

test('a rollback runs the image of a commit by its tag, by what was written down, and by a commit of deploy', async () => {
  const platform = await running('first', { source: { sha: SHA, clean: true } })
  const { delivery, image } = platform
  const back = async (text: string) => rollback(delivery, await askForCommit(delivery.stack.source, text, 'dev'), { revert: true })
  const first = platform.commits[0]?.sha ?? ''
  const move = async (label: string, facts: DeployFacts = {}) => {
    const { digest } = await pushImage(image, label)
    await deliver(delivery, { environment: 'dev', digest, message: 'Deploy', facts, revert: true })
    return digest
  }
  await move('second', { source: { sha: SHA, clean: true }, images: [{ name: NAME, digest: image.digest }] })
  const now = await back(SHA.slice(0, 8))
  assert.equal([now.digest, platform.digestOf('dev')], [image.digest, image.digest])
  assert.match(platform.commits.at(-1)?.message ?? '', /^Roll dev back to abababa\n/)
  const again = await assert.rejects(back(SHA), 'already')
  assert.is(again.message, `Cannot roll dev back to '${SHA}': dev runs its image ${short(image.digest)} already. Name an earlier commit`)
  const third = await move('third')
  await tagImage({ ...image, digest: third }, SHA)
  await move('fourth')
  assert.is((await back(SHA)).digest, third, 'the tag of exactly its files comes first')
  assert.is((await back(first)).digest, image.digest)
  assert.match(platform.commits.at(-1)?.message ?? '', `Roll dev back to ${first.slice(0, 7)} of deploy`)
})

test('a rollback to a commit of deploy whose image is gone is refused where nobody knows what it was built of', async () => {
  const platform = await running('lost')
  const { delivery, image } = platform
  const { digest } = await pushImage(image, 'after')
  await deliver(delivery, { environment: 'dev', digest, message: 'Deploy', revert: true })
  await fetch(`http://${registry.address}/v2/${NAME}/manifests/${image.digest}`, { method: 'DELETE' })
  const sha = platform.commits[0]?.sha ?? ''
  const error = await assert.rejects(rollback(delivery, await askForCommit(delivery.stack.source, sha, 'dev'), { revert: true }), 'gone')
  assert.is(
    error.message,
    `Cannot roll dev back to '${sha}': its image ${short(image.digest)} is gone from the registry, and no commit of yours is known that it was built of. Name a commit of your repository`,
  )
})

test.run()
