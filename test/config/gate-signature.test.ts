/** The signature check with the real cosign and a real registry: whom it takes for vouched for, and whom not. */
import { join } from 'node:path'
import { attest, type Digest } from '#core'
import { NothingYet } from '#kit/gate/gate'
import { signatureCheck } from '#kit/gate/signature'
import { root } from '#kit/paths'
import type { ImageRef } from '#kit/registry'
import { keySigning } from '#kit/signing'
import { tool } from '#kit/tools'
import { assert, suite } from '../suite.ts'
import { pushImage, registryOf, saying } from './registry-fixture.ts'

const test = suite('gate signature')

/** Two minutes' compiling where nothing else is to be done. */
const COMPILE = { timeoutMs: 1_800_000 }
const { folder, registry } = await registryOf(test, 'gate-signature')
const ours = keySigning(join(folder, 'ours'))
const theirs = keySigning(join(folder, 'theirs'))
test.before(() => tool('cosign'), COMPILE)

type Image = ImageRef & { readonly digest: Digest }
const push = (label: string) => pushImage({ registry: registry.address, name: 'holdfast/service' }, label)
const problemsOf = (image: Image | undefined) => signatureCheck({ find: async () => image, signing: ours }).run({ root })

const STATES: readonly (readonly [what: string, make: (image: Image) => Promise<unknown>, isGood: boolean])[] = [
  ['nothing is attached to', async () => {}, false],
  ['another key vouches for', (image) => attest({ image, signing: theirs }, saying(image, 'provenance')), false],
  ['of which we say something else', (image) => attest({ image, signing: ours }, saying(image, 'sbom')), false],
  [
    'which has the provenance of another',
    async (image) => attest({ image, signing: ours }, saying(await push('another'), 'provenance')),
    false,
  ],
  ['we vouch for', (image) => attest({ image, signing: ours }, saying(image, 'provenance')), true],
]

for (const [what, make, isGood] of STATES)
  test(
    `an image that ${what} is ${isGood ? 'green' : 'red'}`,
    async () => {
      const image = await push(what)
      await make(image)
      const problems = await problemsOf(image)
      if (isGood) assert.equal(problems, [])
      else
        assert.match(
          problems.join('\n'),
          new RegExp(`^local/tools/cosign/go.mod:1 — cosign refuses ${image.registry}/holdfast/service@${image.digest}: \\S`),
        )
    },
    COMPILE,
  )

test('where no image of this tree is stored, nothing was looked at', async () => {
  assert.instance(await problemsOf(undefined).catch((thrown: unknown) => thrown), NothingYet)
})

test.run()
