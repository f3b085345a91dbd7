/** What is missing without the network, by an engine that has no image at all. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { debianBase, type ImageSpec } from '#core'
import { Images } from '#kit/images'
import { createProgress } from '#kit/progress'
import { serviceImage } from '../../chart/part.ts'
import { assert, suite } from '../suite.ts'

const test = suite('offline')
const folder = mkdtempSync(join(tmpdir(), 'holdfast-offline-'))
const path = process.env.PATH

test.before(() => {
  const engine = '#!/bin/sh\ncase "$1" in version) echo linux/amd64 ;; *) echo "Error: No such object" >&2; exit 1 ;; esac\n'
  writeFileSync(join(folder, 'docker'), engine)
  chmodSync(join(folder, 'docker'), 0o755)
  process.env.PATH = `${folder}:${path}`
})
test.after(() => {
  process.env.PATH = path
  rmSync(folder, { recursive: true, force: true })
})

const lacks = (spec: ImageSpec) => new Images({ progress: createProgress(), signal: new AbortController().signal }).lacks(spec)

test('an image whose steps fetch something is missing itself, one that is made of what is here lacks only what it builds upon', async () => {
  assert.equal(await lacks(debianBase), ['the image debian'])
  assert.equal(await lacks(serviceImage), ['the image node'])
  const { base: _, ...build } = serviceImage.build ?? { context: '' }
  assert.equal(await lacks({ ...serviceImage, build }), [], 'its code and Node are here')
})

test('an image that can only be pulled, and a program that was not compiled, are named', async () => {
  assert.equal(await lacks({ name: 'grafana/grafana', tag: '1' }), ['the image grafana/grafana'])
  const program = { kind: 'go', to: 'bin/program', goMod: 'local/node', package: './none', ldflags: ['-X none=none'] } as const
  const build = { context: 'local/node', dockerfile: 'Dockerfile.binary', inputs: [program] }
  assert.equal(await lacks({ name: 'program', tag: '1', build }), ['the compiled program bin/program'])
})

test.run()
