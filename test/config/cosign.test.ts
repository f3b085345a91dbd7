/** A second reader: cosign 3 believes what we sign and refuses what we refuse, and we believe what it signs. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { attest, lacks, PREDICATES, readAttestations } from '#core'
import { exec } from '#kit/exec'
import { type ImageRef, listReferrers } from '#kit/registry'
import { keySigning, type Signing } from '#kit/signing'
import { tool } from '#kit/tools'
import { assert, suite } from '../suite.ts'
import { pushImage, registryOf, saying } from './registry-fixture.ts'

const test = suite('cosign')

/** Two minutes' compiling where nothing else is to be done. */
const COMPILE = { timeoutMs: 1_800_000 }
const { folder, registry } = await registryOf(test, 'cosign')
const signing = keySigning(folder)
let cosign: string
test.before(async () => {
  cosign = await tool('cosign')
}, COMPILE)

const refOf = ({ registry: host, name, digest }: ImageRef) => `${host}/${name}@${digest}`
const env = () => ({ HOME: folder, COSIGN_PASSWORD: '' })

async function publicKeyOf(by: Signing): Promise<string> {
  const path = join(folder, 'other.pub')
  await writeFile(path, by.publicKey() ?? '')
  return path
}

/** By the bundle or by the older envelope, as the policy-controller reads it. */
async function verify(image: ImageRef, { by, isBundle }: { by: Signing; isBundle: boolean }) {
  const args = ['verify-attestation', '--key', await publicKeyOf(by), '--type', PREDICATES.provenance, '--insecure-ignore-tlog']
  const format = `--new-bundle-format=${isBundle}`
  return exec(cosign, [...args, format, '--allow-http-registry', refOf(image)], { env: env(), accept: [0, 1] })
}

for (const isBundle of [true, false]) {
  test(
    `cosign believes what we sign, and no other key, by the ${isBundle ? 'bundle' : 'older envelope'}`,
    async () => {
      const image = await pushImage({ registry: registry.address, name: 'holdfast/service' }, `cosign ${isBundle}`)
      const none = await verify(image, { by: signing, isBundle })
      assert.is(none.exitCode, 1, 'nothing is attached yet')
      await attest({ image, signing }, saying(image, 'provenance'))
      const good = await verify(image, { by: signing, isBundle })
      assert.is(good.exitCode, 0, good.stderr)
      const bad = await verify(image, { by: keySigning(join(folder, 'other')), isBundle })
      assert.is(bad.exitCode, 1)
    },
    COMPILE,
  )
}

test(
  'we believe what cosign signs with our key',
  async () => {
    const image = await pushImage({ registry: registry.address, name: 'holdfast/service' }, 'by cosign')
    await writeFile(join(folder, 'predicate.json'), '{"spdxVersion":"SPDX-2.3"}')
    const own = { cwd: folder, env: env() }
    await signing.sign('{}') // which makes the key
    await exec(cosign, ['import-key-pair', '--key', 'key.pem', '--output-key-prefix', 'cosign'], own)
    assert.is((await readFile(join(folder, 'cosign.pub'), 'utf8')).trim(), signing.publicKey()?.trim())
    const flags = ['--key', 'cosign.key', '--type', PREDICATES.sbom, '--predicate', 'predicate.json', '--yes']
    await exec(
      cosign,
      ['attest', ...flags, '--tlog-upload=false', '--use-signing-config=false', '--allow-http-registry', refOf(image)],
      own,
    )
    const attestations = await readAttestations({ image, signing })
    assert.is(lacks(attestations, 'sbom'), undefined, JSON.stringify([attestations, await listReferrers(image)]))
  },
  COMPILE,
)

test.run()
