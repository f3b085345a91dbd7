/** A manifest of upstream's that cannot be had: what is said of it. */
import { type PinnedManifest, readPinned } from '../../scripts/core/manifest.ts'
import { assert, suite } from '../suite.ts'

const test = suite('pinned manifests')

const manifest: PinnedManifest = {
  of: 'nothing',
  goMod: 'local/tools/no-such-module',
  module: 'example.invalid/nothing',
  path: 'nothing.yaml',
  url: 'http://127.0.0.1:2/nothing.yaml',
  sha256: '0'.repeat(64),
}

test('what is had neither of its module nor of its release says both causes', async () => {
  const error = await assert.rejects(readPinned(manifest), /^Cannot fetch the manifest of nothing.*127\.0\.0\.1:2 does not answer: /s)
  assert.match(error.message, /not to be had of its Go module either \('go list .*failed with exit code|Go is not on the PATH/)
})

test('a bug on the way to its module is not taken for a module that is not there', async () => {
  const broken = { ...manifest, sha256: '1'.repeat(64), path: undefined as unknown as string, goMod: undefined as unknown as string }
  await assert.rejects(readPinned(broken), /must be of type string/)
})

test.run()
