/** The SBOM of an image, by the real syft, which takes minutes to build: an image with something in it, and one without. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { imageGate } from '#kit/gate/image'
import { reportsDir, root } from '#kit/paths'
import { tool } from '#kit/tools'
import { assert, suite } from '../suite.ts'
import { createLayout } from '../unit/image-fixture.ts'

const test = suite('syft')
/** Cold: 630 s on two cores that others used too. */
const BUILD = { timeoutMs: 25 * 60_000 }

test.before(() => tool('syft'), BUILD)

async function sbomOf(files: Readonly<Record<string, string>>) {
  using layout = createLayout({ files, user: '10001' })
  const gate = imageGate(async () => ({ kind: 'oci-dir', path: layout.path, [Symbol.asyncDispose]: async () => {} }))
  const problems = await gate.checks.find((check) => check.tool === 'syft')?.run({ root })
  return { problems, sbom: JSON.parse(await readFile(join(reportsDir(), 'sbom.spdx.json'), 'utf8')) }
}

test(
  'what is in an image stands in its SBOM, by name and version',
  async () => {
    const manifest = JSON.stringify({ name: 'left-pad', version: '1.3.0', license: 'WTFPL' })
    const { problems, sbom } = await sbomOf({ 'app/node_modules/left-pad/package.json': manifest })
    assert.equal(problems, [])
    assert.match(sbom.spdxVersion, /^SPDX-2\.\d$/)
    const found = sbom.packages.map(({ name, versionInfo }: { name: string; versionInfo?: string }) => `${name} ${versionInfo}`)
    assert.ok(found.includes('left-pad 1.3.0'), found.join(', '))
  },
  BUILD,
)

test(
  'an image in which nothing is found is red',
  async () => {
    assert.match((await sbomOf({ 'a.txt': 'nothing' })).problems?.join() ?? '', /syft finds no package in the image/)
  },
  BUILD,
)

test.run()
