/** The SBOM of an image, by the real syft, which takes minutes to build: an image with something in it, and one without. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { exec } from '#kit/exec'
import type { ObtainImage } from '#kit/gate/archive'
import type { Check } from '#kit/gate/gate'
import { imageGate } from '#kit/gate/image'
import { licences } from '#kit/gate/licences'
import type { BundledPackage } from '#kit/packages'
import { reportsDir, root } from '#kit/paths'
import { tool } from '#kit/tools'
import { assert, suite } from '../suite.ts'
import { createLayout } from '../unit/image-fixture.ts'

const test = suite('syft')
/** Cold: 630 s on two cores that others used too. */
const BUILD = { timeoutMs: 25 * 60_000 }

const MANIFEST = JSON.stringify({ name: 'left-pad', version: '1.3.0', license: 'WTFPL' })

test.before(() => tool('syft'), BUILD)

async function sbomOf(files: Readonly<Record<string, string>>, bundled: readonly BundledPackage[] = []) {
  using layout = createLayout({ files, user: '10001' })
  const obtain: ObtainImage = async () => ({ kind: 'oci-dir', path: layout.path, [Symbol.asyncDispose]: async () => {} })
  const [other] = licences.checks as [Check]
  const gate = imageGate({ obtain, packages: async () => bundled }, other)
  const problems = await gate.checks.find((check) => check.tool === 'syft')?.run({ root })
  return { problems, sbom: JSON.parse(await readFile(join(reportsDir(), 'sbom.spdx.json'), 'utf8')) }
}

test(
  'what is in an image stands in its SBOM, by name and version',
  async () => {
    const { problems, sbom } = await sbomOf({ 'app/node_modules/left-pad/package.json': MANIFEST })
    assert.equal(problems, [])
    assert.match(sbom.spdxVersion, /^SPDX-2\.\d$/)
    const found = sbom.packages.map(({ name, versionInfo }: { name: string; versionInfo?: string }) => `${name} ${versionInfo}`)
    assert.ok(found.includes('left-pad 1.3.0'), found.join(', '))
  },
  BUILD,
)

test(
  'what a bundle is made of stands there too, and a scanner reads it as packages of npm',
  async () => {
    const bundled = [{ purl: 'pkg:npm/%40scope/lodash@4.17.20', sha512: 'ab'.repeat(64), license: 'MIT' }]
    const { problems } = await sbomOf({ 'app/node_modules/left-pad/package.json': MANIFEST }, bundled)
    assert.equal(problems, [])
    // As grype reads it: it has the same reader.
    const args = ['convert', join(reportsDir(), 'sbom.spdx.json'), '-o', 'json']
    const { stdout } = await exec(await tool('syft'), args, { env: { SYFT_CHECK_FOR_APP_UPDATE: 'false' } })
    const { artifacts } = JSON.parse(stdout) as { artifacts: readonly Record<'name' | 'version' | 'type' | 'purl', string>[] }
    const found = artifacts.map(({ name, version, type, purl }) => ({ name, version, type, purl }))
    assert.equal(
      found.filter(({ name }) => name !== 'left-pad'),
      [{ name: '@scope/lodash', version: '4.17.20', type: 'npm', purl: 'pkg:npm/%40scope/lodash@4.17.20' }],
    )
  },
  BUILD,
)

test(
  'an image in which nothing is found is red',
  async () => {
    const bundled = [{ purl: 'pkg:npm/lodash@4.17.20', sha512: 'ab'.repeat(64) }]
    await assert.rejects(sbomOf({ 'a.txt': 'nothing' }, bundled), /syft finds no package in the image/)
  },
  BUILD,
)

test.run()
