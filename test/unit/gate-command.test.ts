/** `npm run gate` and `npm test` as commands: what they list, and what they answer to a name that is none. */
import { realpathSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '#kit/paths'
import { gates } from '../../holdfast.config.ts'
import { assert, suite } from '../suite.ts'
import { createTree, runFile } from './tree-fixture.ts'

const test = suite('gate command')
const LONG = { timeoutMs: 30_000 }

test(
  'the command lists an element for each tool of a gate, without running any; one that is not there, by where its version is pinned',
  async () => {
    using path = createTree()
    // What a program is started by, and no Terraform.
    for (const name of ['bash', 'sh']) symlinkSync(realpathSync(join('/bin', name)), join(path.path, name))
    const { exitCode, output } = await runFile(join(root, 'scripts', 'gate.ts'), { args: ['--list', '--json'], env: { PATH: path.path } })
    assert.is(exitCode, 0, output)
    const rows = JSON.parse(output) as Record<string, string>[]
    assert.equal(
      rows.map(({ name, tool }) => [name, tool]),
      gates.flatMap(({ name, checks }) => checks.map(({ tool }) => [name, tool])),
    )
    assert.equal(
      [...new Set(rows.map(({ name }) => name))],
      ['secrets', 'dependencies', 'licences', 'lint', 'types', 'unit', 'chart', 'rules', 'terraform', 'workflows', 'dockerfiles', 'image'],
    )
    for (const { tool, version = '', how = '', about = '' } of rows) {
      assert.match(version, tool === 'terraform' ? /^see cloud\/toolchain\.ts$/ : /^v?\d+(\.\d+)+|^[\w ]*live[\w ]*$/, tool)
      assert.ok(how !== '' && about !== '', tool)
    }
  },
  LONG,
)

test(
  'the command answers an unknown gate with the nearest one, and exit code 2',
  async () => {
    const { exitCode, output } = await runFile(join(root, 'scripts', 'gate.ts'), { args: ['--only', 'lint,typs'] })
    assert.match(output, /^Cannot run the gate 'typs': there is none of that name\. Did you mean 'types'\? Known: secrets, /)
    assert.is(exitCode, 2)
  },
  LONG,
)

test(
  'npm test answers an unknown stage in the same way',
  async () => {
    const { exitCode, output } = await runFile(join(root, 'scripts', 'test.ts'), { args: ['unti'] })
    assert.match(output, /^Cannot run the tests of 'unti'.*Did you mean 'unit'\?/)
    assert.is(exitCode, 2)
  },
  LONG,
)

test.run()
