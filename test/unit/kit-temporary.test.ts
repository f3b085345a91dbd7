/** Folders for a while, and what a process that was killed leaves of them. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { sweepTemporary, temporaryFolder } from '#kit/temporary'
import { assert, suite } from '../suite.ts'

const test = suite('kit/temporary')

async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-test-'))
  try {
    await work(folder)
  } finally {
    await rm(folder, { recursive: true })
  }
}

test('a folder is its owner’s alone, and gone after disposal', async () => {
  await inFolder(async (inside) => {
    {
      await using folder = await temporaryFolder('word', inside)
      assert.is(((await stat(folder.path)).mode & 0o777).toString(8), '700')
      await writeFile(join(folder.path, 'file'), '')
    }
    assert.equal(await readdir(inside), [])
  })
})

test('sweepTemporary() takes away what a killed process left, and nothing that lives, is of other numbers, or is not ours', async () => {
  await inFolder(async (inside) => {
    await using mine = await temporaryFolder('mine', inside)
    const child = spawn(process.execPath, ['--eval', ''])
    await once(child, 'exit')
    const left = basename(mine.path).replace(`.${process.pid}-`, `.${child.pid}-`)
    const others = [left.replace(/-\d+\./, '-1.'), 'holdfast-old-style-x', `somebody-${left}`]
    for (const name of [left, ...others]) await mkdir(join(inside, name, 'deep'), { recursive: true })
    assert.equal(await sweepTemporary(inside), [join(inside, left)])
    assert.not.ok(existsSync(join(inside, left)))
    assert.equal((await readdir(inside)).toSorted(), [basename(mine.path), ...others].toSorted())
    assert.equal(await sweepTemporary(inside), [])
  })
})

test('a folder that is not there has nothing to sweep', async () => {
  assert.equal(await sweepTemporary('/not/there'), [])
})

test.run()
