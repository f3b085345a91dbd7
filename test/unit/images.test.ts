/** How images are made, with an engine that only notes what it is asked. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ImageSpec } from '#core'
import { Images } from '#kit/images'
import { createProgress } from '#kit/progress'
import { assert, suite } from '../suite.ts'
import { createTree } from './tree-fixture.ts'

const test = suite('kit/images')

/** It has the images whose names say so, and takes its time to save one. */
const DOCKER = `#!/bin/sh
echo "$@" >> "$(dirname "$0")/asked"
case "$*" in
  version*) echo linux/amd64 ;;
  inspect*there*) echo '[{}]' ;;
  inspect*) echo 'no such image' >&2; exit 1 ;;
  save*) sleep 1 ;;
esac
`
const archive = (to: string) => ({ kind: 'image-archive', to, as: 'there:1', image: { name: 'test/there', tag: '1' } }) as const

test('the folder of a build is gone when the build fails, and nothing fills it any more', async () => {
  using tree = createTree({ 'temporary/.keep': '' })
  tree.write('docker', DOCKER, 0o755)
  const { PATH, TMPDIR } = process.env
  Object.assign(process.env, { PATH: `${tree.path}:${PATH}`, TMPDIR: join(tree.path, 'temporary') })
  try {
    const base: ImageSpec = { name: 'test/only-pulled', tag: '1' }
    const spec: ImageSpec = {
      name: 'test/it',
      tag: '1',
      build: { context: 'service', base, inputs: [archive('first.tar'), archive('folder/second.tar')] },
    }
    const images = new Images({ progress: createProgress(), signal: new AbortController().signal, way: 'build' })
    await assert.rejects(images.local(spec), 'Cannot build test/only-pulled: it can only be pulled')
    assert.is(readFileSync(join(tree.path, 'asked'), 'utf8').match(/^rmi there:1$/gm)?.length, 2)
    assert.equal(readdirSync(join(tree.path, 'temporary')), ['.keep'])
  } finally {
    Object.assign(process.env, { PATH, TMPDIR })
    if (TMPDIR === undefined) delete process.env.TMPDIR
  }
})

test.run()
