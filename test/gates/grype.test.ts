/** grype, which takes minutes to build: it is the version that is pinned, and without its database it breaks instead of calling an image clean. */
import { join } from 'node:path'
import { withPackages } from '#core'
import { exec } from '#kit/exec'
import { goVersionOf } from '#kit/gate/gate'
import type { SpdxDocument } from '#kit/syft'
import { tool } from '#kit/tools'
import { assert, suite } from '../suite.ts'
import { createTree } from '../unit/tree-fixture.ts'

const test = suite('grype')
/** Cold: 181 s on two cores that others used too. */
const BUILD = { timeoutMs: 25 * 60_000 }

/** As the gate gives it, with one package. */
const LIST = JSON.stringify(
  withPackages(
    {
      spdxVersion: 'SPDX-2.3',
      dataLicense: 'CC0-1.0',
      SPDXID: 'SPDXRef-DOCUMENT',
      name: 'a',
      packages: [],
      relationships: [],
    } as SpdxDocument,
    [{ uri: 'pkg:npm/lodash@4.17.20', digest: {} }],
  ),
)

let grype = ''
test.before(async () => {
  grype = await tool('grype')
}, BUILD)

test('it is the version that is pinned', async () => {
  const { stdout } = await exec(grype, ['version', '-o', 'json'])
  assert.is(JSON.parse(stdout).version, await goVersionOf('local/tools/grype', 'github.com/anchore/grype'))
})

test(
  'without its database it has not looked',
  async () => {
    using list = createTree({ 'sbom.spdx.json': LIST })
    using empty = createTree()
    const env = { GRYPE_DB_CACHE_DIR: empty.path, GRYPE_DB_AUTO_UPDATE: 'false', GRYPE_CHECK_FOR_APP_UPDATE: 'false' }
    await assert.rejects(exec(grype, [`sbom:${join(list.path, 'sbom.spdx.json')}`, '-o', 'json'], { env }), /exit code 1[\s\S]*database/)
  },
  { timeoutMs: 60_000 },
)

test.run()
