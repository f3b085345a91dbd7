/** The gate over the unit tests, with one that fails and one that passes. */
import { cpSync, readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { unit } from '#kit/gate/unit'
import { root } from '#kit/paths'
import { assert, suite } from '../suite.ts'
import { createTree } from './tree-fixture.ts'

const test = suite('gate unit')

/** A copy of what runs the tests, with one test of its own. */
function testTree(body: string) {
  const tree = createTree({
    'package.json': readFileSync(join(root, 'package.json'), 'utf8'),
    'test/unit/planted.test.ts': `import { assert, suite } from '../suite.ts'\nconst test = suite('planted')\ntest('it', () => ${body})\ntest.run()\n`,
  })
  for (const file of ['run.ts', 'suite.ts']) cpSync(join(root, 'test', file), join(tree.path, 'test', file))
  for (const folder of ['scripts', 'node_modules']) symlinkSync(join(root, folder), join(tree.path, folder))
  return tree
}

for (const [body, says] of [
  ['assert.is(1, 2)', /^test\/unit\/planted\.test\.ts:1 — 0 passed, 1 failed.* — npm run test:unit -- planted$/],
  ['assert.is(1, 1)', /^$/],
] as const)
  test(
    `the unit gate on a test of ${body} is ${says.test('') ? 'green' : 'red'}`,
    async () => {
      using tree = testTree(body)
      assert.match((await unit.checks[0]?.run({ root: tree.path }))?.join('\n') ?? 'no check', says)
    },
    { timeoutMs: 30_000 },
  )

test.run()
