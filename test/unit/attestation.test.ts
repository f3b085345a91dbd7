/** What is attached to an image where no tag moves, as in ECR, and where every tag does. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  attest,
  type Cluster,
  deliver,
  evidencePath,
  imageIn,
  keepEvidence,
  type OpenRun,
  type Result,
  readAttestations,
  type Stack,
} from '#core'
import type { ImageRef } from '#kit/registry'
import { keySigning } from '#kit/signing'
import { pushImage, saying } from '../config/registry-fixture.ts'
import { assert, suite } from '../suite.ts'
import { createPlatform } from './platform-fixture.ts'
import { ECR, type RegistryTraits, startRegistryDouble } from './registry-double.ts'

const test = suite('attestation')

const NAME = 'holdfast/service'
const folder = await mkdtemp(join(tmpdir(), 'holdfast-attestation-'))
test.after(() => rm(folder, { recursive: true, force: true }))
const signing = keySigning(folder)

const envelopesOf = ({ digest }: ImageRef) => `${digest.replace(':', '-')}.att`

async function openRegistry(traits: RegistryTraits) {
  const registry = await startRegistryDouble(traits)
  return {
    registry,
    image: await pushImage({ registry: registry.address, name: NAME }, 'attested'),
    [Symbol.asyncDispose]: registry[Symbol.asyncDispose],
  }
}

const believed = async (image: ImageRef) =>
  (await readAttestations({ image, signing })).flatMap(({ believed: each }) => ('statement' in each ? each.statement.predicateType : []))

test('where no tag moves, a key attaches one statement after another, and gives nothing a tag', async () => {
  await using opened = await openRegistry(ECR)
  const image = { ...opened.image, tagsMove: false }
  for (const name of ['provenance', 'sbom', 'test-result'] as const) await attest({ image, signing }, saying(image, name))
  assert.is((await believed(image)).length, 3)
  assert.equal(opened.registry.tags(), [])
})

test('where tags move, the tag that the policy-controller reads has every statement of a key', async () => {
  await using opened = await openRegistry({ immutable: false, referrers: true })
  const { image, registry } = opened
  for (const name of ['provenance', 'sbom'] as const) await attest({ image, signing }, saying(image, name))
  assert.equal(registry.tags(), [envelopesOf(image)])
  const found = await fetch(`http://${registry.address}/v2/${NAME}/manifests/${envelopesOf(image)}`)
  assert.is(((await found.json()) as { layers: object[] }).layers.length, 2)
})

test('a registry that neither lists referrers nor moves tags takes one statement, and says why it takes no more', async () => {
  await using opened = await openRegistry({ immutable: true, referrers: false })
  const { registry } = opened
  const image = { ...opened.image, tagsMove: false }
  await attest({ image, signing }, saying(image, 'provenance'))
  const refused = await assert.rejects(attest({ image, signing }, saying(image, 'sbom')), 'Cannot attach')
  const why = `the registry at ${registry.address} does not list referrers, and does not let the tag '${image.digest.replace(':', '-')}' move, which would`
  const next = "Let tags that begin with 'sha256-' move there, or use a registry of OCI 1.1"
  assert.is(refused.message, `Cannot attach a statement to ${NAME}: ${why}. ${next}`)
  assert.is((await believed(image)).length, 1)
})

/** As `npm run prove` ends on a cluster of this kind. */
async function evidenceOn(kind: Cluster['kind'], registry: string) {
  const platform = createPlatform({ registry, stack: { evidence: { dev: ['x'], staging: [], prod: [] }, signing } })
  const image = await pushImage({ registry, name: NAME }, kind)
  await deliver(platform.delivery, { environment: 'dev', digest: image.digest, message: 'Deploy', revert: true })
  const cluster = { ...platform.delivery.cluster, kind }
  const path = join(folder, 'record.json')
  await writeFile(path, '{}')
  const record = { scenario: 'x', startedAt: '2026-01-01T00:00:00Z', digest: image.digest }
  const results = [{ record, scenario: { name: 'x' }, judgement: { verdict: 'held' }, path }] as unknown as Result[]
  const run = { context: { environment: 'dev', cluster, git: platform.delivery.git } } as unknown as OpenRun
  return { image, keep: () => keepEvidence(platform.delivery.stack, run, results), platform, cluster }
}

test('on EKS evidence is kept beside what is attached already, as often as it is proven', async () => {
  await using opened = await openRegistry(ECR)
  const { image, keep, platform } = await evidenceOn('eks', opened.registry.address)
  for (let n = 0; n < 2; n++) assert.match((await keep()) ?? '', /^Evidence for /)
  assert.is((await believed(image)).length, 2)
  assert.ok((await (await platform.delivery.git()).readDeploy()).files.has(evidencePath('dev')))
  assert.equal(opened.registry.tags(), [])
})

test('on this machine evidence is where the policy-controller of prod looks for it', async () => {
  await using opened = await openRegistry({ immutable: false, referrers: false })
  const { image, keep } = await evidenceOn('k3s', opened.registry.address)
  await keep()
  assert.ok(opened.registry.tags().includes(envelopesOf(image)))
})

for (const [kind, tagsMove] of [
  ['k3s', true],
  ['eks', false],
] as const) {
  test(`an SBOM for what an environment runs knows whether tags move: ${kind}`, async ({ signal }) => {
    await using opened = await openRegistry(ECR)
    const { image, cluster, platform } = await evidenceOn(kind, opened.registry.address)
    const clusters = {
      local: { find: async () => cluster },
      eks: { nameOf: (environment: string) => environment, find: async () => undefined },
    }
    const stack = { ...platform.delivery.stack, clusters, git: platform.delivery.git } as unknown as Stack
    const found = await imageIn(stack, { name: 'fake', environment: 'dev' }, { progress: platform.delivery.progress, signal })
    assert.equal([found.digest, found.tagsMove], [image.digest, tagsMove])
  })
}

test.run()
