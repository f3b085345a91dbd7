/** The images of our own programs: nothing in them but Node, what it loads, and one bundle. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { root } from '#kit/paths'
import { assert, suite } from '../suite.ts'

const test = suite('dockerfiles')

const OURS = ['service/Dockerfile', 'alerts/sink/Dockerfile']
const texts = await Promise.all(OURS.map((path) => readFile(join(root, path), 'utf8')))
const stagesOf = (text: string) => text.slice(text.indexOf('ARG BASE')).split(/^(?=FROM )/m)

test('each ends with a stage from scratch, not as root, and without a shell to start it', () => {
  for (const text of texts) {
    const last = stagesOf(text).at(-1) ?? ''
    assert.match(last, /^FROM scratch$/m)
    assert.match(last, /^USER 10001:10001$/m)
    assert.match(last, /^ENTRYPOINT \["\/usr\/local\/bin\/node", /m)
  }
})

test('all have the same first stage, so that they share its layer', () => {
  const first = texts.map((text) => stagesOf(text).slice(0, -1).join(''))
  assert.equal(new Set(first).size, 1)
  assert.match(first[0] ?? '', /^FROM \$\{BASE\} AS runtime$/m)
})

test.run()
