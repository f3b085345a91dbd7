/** Files of ours that only their owner reads. */
import { linkSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { writePrivate } from '#kit/files'
import { assert, suite } from '../suite.ts'
import { createTree } from './tree-fixture.ts'

const test = suite('kit/files')

test('a private file is its owner’s alone, and replaces one that others could read without ever being that one', async () => {
  using tree = createTree({ kubeconfig: 'old' })
  const path = join(tree.path, 'kubeconfig')
  linkSync(path, join(tree.path, 'opened')) // as who had it open sees it
  await writePrivate(path, 'secret')
  assert.is(readFileSync(path, 'utf8'), 'secret')
  assert.is((statSync(path).mode & 0o777).toString(8), '600')
  assert.is(readFileSync(join(tree.path, 'opened'), 'utf8'), 'old')
  assert.equal(readdirSync(tree.path).toSorted(), ['kubeconfig', 'opened'])
})

test.run()
