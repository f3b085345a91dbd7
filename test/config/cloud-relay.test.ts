/** Images on their way to ECR: through the relay and the double's door, into a real registry that stands for it. */
import { digestOf } from '#kit/images'
import { attachArtifact, readBlob } from '#kit/registry'
import { pushVariant } from '#kit/variant'
import { Aws } from '../../cloud/aws.ts'
import { copyImages } from '../../cloud/copy.ts'
import { openRelay } from '../../cloud/relay.ts'
import { CREDENTIALS, type Double, startDouble } from '../rehearsal/double.ts'
import type { Behind } from '../rehearsal/eks-types.ts'
import { assert, suite } from '../suite.ts'
import { BUILD, pushImage, registryOf } from './registry-fixture.ts'

const test = suite('cloud relay')

const REGION = 'us-east-2'
const NAME = 'holdfast/service'
const REPOSITORY = 'holdfast-dev/holdfast/service'
const repositories = { [NAME]: `123456789012.dkr.ecr.${REGION}.amazonaws.com/${REPOSITORY}` }
const { signal } = new AbortController()

const { registry } = await registryOf(test, 'relay')
let double: Double
let relay: string
const before = { ...process.env }

test.before(async () => {
  const options = { region: REGION, motoUrl: 'http://127.0.0.1:1', registry: registry.address, behind: {} as Behind }
  double = await startDouble(options)
  const { accessKeyId, secretAccessKey } = CREDENTIALS
  Object.assign(process.env, { AWS_ENDPOINT_URL: double.url, AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey })
  relay = await openRelay({ aws: new Aws(REGION), repositories })
}, BUILD)
test.after(async () => {
  process.env = before
  await double[Symbol.asyncDispose]()
})

/** In the store on this machine, with a layer of its own. */
async function stored(label: string) {
  const image = await pushImage({ registry: registry.address, name: NAME }, label)
  return { spec: { name: NAME, tag: 'latest' }, key: `key-${label}`, digest: image.digest, way: 'built' } as const
}

test('an image is copied by the same digest into its repository, under the key of its inputs, and only once', async () => {
  const image = await stored('first')
  const copy = { from: registry.address, to: relay, signal }
  assert.is(await copyImages([image], copy), 1)
  assert.is(await digestOf(registry.address, REPOSITORY, 'built-key-first'), image.digest)
  assert.is(await digestOf(relay, NAME, 'built-key-first'), image.digest)
  assert.is(await copyImages([image], copy), 0)
})

test('a variant goes up by its digest alone, for a tag of ECR never moves', async () => {
  const image = await stored('varied')
  await copyImages([image], { from: registry.address, to: relay, signal })
  const digest = await pushVariant({ registry: relay, name: REPOSITORY, digest: image.digest }, undefined, (config) => ({
    ...config,
    Cmd: ['x'],
  }))
  assert.is.not(digest, image.digest)
  assert.is(await digestOf(registry.address, REPOSITORY, digest), digest)
  const { tags } = (await (await fetch(`http://${relay}/v2/${NAME}/tags/list`)).json()) as { tags: string[] }
  assert.equal(
    tags.filter((tag) => tag.startsWith('proof')),
    [],
  )
})

test('a statement is attached and read back', async () => {
  const image = await stored('attested')
  await copyImages([image], { from: registry.address, to: relay, signal })
  const ref = { registry: relay, name: NAME, digest: image.digest }
  const statement = { artifactType: 'application/vnd.in-toto+json', mediaType: 'application/vnd.in-toto+json', content: '{"held":true}' }
  assert.is(await readBlob(ref, await attachArtifact(ref, statement)), '{"held":true}')
})

test('without the login that the relay has, nobody comes in', async () => {
  assert.is((await fetch(`${double.url}/v2/`)).status, 401)
  assert.is((await fetch(`http://${relay}/v2/`)).status, 200)
})

test('what the registry does not have is missing through the relay too', async () => {
  assert.is(await digestOf(relay, NAME, 'never'), undefined)
})

test.run()
