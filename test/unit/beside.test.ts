/** kind's cluster for the comparison: what was there before is nobody's to delete. */
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { measureKind } from '#core'
import { createProgress } from '#kit/progress'
import { assert, suite } from '../suite.ts'

const test = suite('beside')

/** Measures with a kind that has these clusters and makes none. @returns what it was asked for, and the error that ended it. */
async function measureWith(clusters: string, signal: AbortSignal): Promise<{ asked: string[]; error: Error }> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-kind-'))
  try {
    const [kind, log] = [join(folder, 'kind'), join(folder, 'log')]
    await writeFile(kind, `#!/bin/sh\necho "$1 $2" >>${log}\ncase $1 in get) echo ${clusters} ;; create) exit 1 ;; esac\n`)
    await chmod(kind, 0o755)
    const progress = createProgress(new PassThrough() as unknown as NodeJS.WriteStream)
    const error = await assert.rejects(measureKind({ progress, signal }, { env: { PATH: `${folder}:${process.env.PATH}` } }), /./)
    return { asked: (await readFile(log, 'utf8')).trim().split('\n'), error }
  } finally {
    await rm(folder, { recursive: true })
  }
}

test('a cluster that was there is refused, and stays', async ({ signal }) => {
  const { asked, error } = await measureWith('holdfast-beside', signal)
  assert.equal(asked, ['get clusters'])
  assert.is(
    error.message,
    "Cannot compare: kind has a cluster 'holdfast-beside' already. Remove it with kind delete cluster --name holdfast-beside",
  )
})

test('what came of a creation that failed is deleted', async ({ signal }) => {
  const { asked } = await measureWith('holdfast-beside-other', signal)
  assert.equal(asked, ['get clusters', 'create cluster', 'delete cluster'])
})

test.run()
