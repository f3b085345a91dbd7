/** What is kept beside an image in the registry that the stack runs: tags, variants, attached statements. */
import { digestOf } from '#kit/images'
import { attachArtifact, digestOfText, listReferrers, readBlob, tagImage } from '#kit/registry'
import { pushVariant } from '#kit/variant'
import { assert, suite } from '../suite.ts'
import { pushImage, registryOf } from './registry-fixture.ts'

const test = suite('registry')

const { registry } = await registryOf(test, 'attached')

const repository = () => ({ registry: registry.address, name: 'holdfast/service' })
const statement = (content: string) => ({
  artifactType: 'application/vnd.in-toto+json',
  mediaType: 'application/vnd.in-toto+json',
  content,
  annotations: { 'dev.holdfast.environment': 'dev' },
})

test('tags are more names of one digest', async () => {
  const image = await pushImage(repository(), 'tagged')
  const sha = 'ab'.repeat(20)
  await tagImage(image, 'latest')
  await tagImage(image, sha)
  assert.equal(await Promise.all(['latest', sha, image.digest, 'none'].map((tag) => digestOf(image.registry, image.name, tag))), [
    image.digest,
    image.digest,
    image.digest,
    undefined,
  ])
})

test('an image that is not there is neither tagged nor attached to', async () => {
  const image = { ...repository(), digest: digestOfText('nothing') }
  await assert.rejects(
    tagImage(image, 'x'),
    `Cannot tag holdfast/service as x: GET /v2/holdfast/service/manifests/${image.digest} answered 404`,
  )
  await assert.rejects(attachArtifact(image, statement('{}')), 'Cannot attach a statement to holdfast/service: GET')
})

test('a statement is found by the image that it is attached to, and read by its digest', async () => {
  const [image, other] = [await pushImage(repository(), 'attached'), await pushImage(repository(), 'other')]
  const digest = await attachArtifact(image, statement('{"a":"é"}'))
  assert.is(digest, digestOfText('{"a":"é"}'))
  assert.is(await readBlob(image, digest), '{"a":"é"}')
  const [found, ...others] = await listReferrers(image, 'application/vnd.in-toto+json')
  assert.equal(found?.annotations, { 'dev.holdfast.environment': 'dev' })
  assert.equal(others, [])
  assert.equal(await listReferrers(image, 'application/spdx+json'), [])
  assert.equal(await listReferrers(other), [])
  assert.is(await readBlob(image, digestOfText('other')), undefined)
})

test('statements add up, and the same one counts once', async () => {
  const image = await pushImage(repository(), 'several')
  for (const content of ['1', '2', '1']) await attachArtifact(image, statement(content))
  assert.is((await listReferrers(image)).length, 2)
  const manifest = await fetch(`http://${image.registry}/v2/${image.name}/manifests/${(await listReferrers(image))[0]?.digest}`, {
    headers: { accept: 'application/vnd.oci.image.manifest.v1+json' },
  })
  const { subject, layers, artifactType } = (await manifest.json()) as Record<string, { digest: string } & { digest: string }[]>
  assert.is(subject?.digest, image.digest)
  assert.is(layers?.[0]?.digest, digestOfText('1'))
  assert.is(artifactType as unknown, 'application/vnd.in-toto+json')
})

test('a variant is another image under a tag of its own', async () => {
  const image = await pushImage(repository(), 'original')
  const variant = await pushVariant(image, 'proof', (config) => ({ ...config, Labels: { ...config.Labels, proof: '1' } }))
  assert.is.not(variant, image.digest)
  assert.is(await digestOf(image.registry, image.name, 'proof'), variant)
})

test.run()
