/** Snapshots as files: found by what they say of themselves, kept to their owner, and refused where they do not fit. */
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { renderSnapshots } from '#core'
import { UserError } from '#kit/errors'
import { exec } from '#kit/exec'
import {
  ABOUT_FILE,
  type About,
  archiveOf,
  checkFits,
  draftFolder,
  findSnapshot,
  listSnapshots,
  removeSnapshot,
} from '../../local/snapshot-file.ts'
import { readFirstFile } from '../../local/tarball.ts'
import { assert, suite } from '../suite.ts'

const test = suite('snapshots')

const KEY = { Kubernetes: '1.36.3', chart: '0123456789ab', 'image redis': 'aaaaaaaaaaaa' }
const about = (label: string, takenAt = '2026-01-01T00:00:00.000Z'): About => ({
  ...{ label, cluster: 'demo', takenAt, key: KEY, commit: 'f'.repeat(40), volumes: ['v-data'], portsFrom: 17_440 },
})

async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const [folder, before] = [await mkdtemp(join(tmpdir(), 'holdfast-snapshots-')), process.env.HOLDFAST_DIR]
  process.env.HOLDFAST_DIR = folder
  try {
    await work(folder)
  } finally {
    if (before === undefined) delete process.env.HOLDFAST_DIR
    else process.env.HOLDFAST_DIR = before
    await rm(folder, { recursive: true })
  }
}

/** As tar writes it in the container; a time with parts of a second asks for a record of its own before the file. */
async function writeArchive(folder: string, archive: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content)
  await mkdir(join(archive, '..'), { recursive: true })
  await exec('tar', ['--create', '--format=posix', `--file=${archive}`, `--directory=${folder}`, ...Object.keys(files)])
}

test('readFirstFile() reads the first file behind the records about it, and nothing else', async () => {
  await inFolder(async (folder) => {
    const archive = join(folder, 'x', 'a.tar')
    const text = JSON.stringify({ long: 'x'.repeat(5_000) })
    await writeArchive(folder, archive, { [ABOUT_FILE]: text, other: 'y' })
    assert.is(await readFirstFile(archive, ABOUT_FILE), text)
    assert.is(await readFirstFile(archive, 'other'), undefined)
    for (const content of ['', 'no archive', 'x'.repeat(2_000)]) {
      await writeFile(archive, content)
      assert.is(await readFirstFile(archive, ABOUT_FILE), undefined)
    }
  })
})

test('snapshots are listed newest first, found by their label, and removed', async () => {
  await inFolder(async (folder) => {
    for (const each of [about('older'), about('newer', '2026-01-02T00:00:00.000Z')])
      await writeArchive(folder, archiveOf('demo', each.label), { [ABOUT_FILE]: JSON.stringify(each) })
    await writeFile(archiveOf('demo', 'strange'), 'none of ours')
    assert.equal(
      (await listSnapshots('demo')).map(({ label }) => label),
      ['newer', 'older'],
    )
    assert.is((await findSnapshot('demo', 'older')).portsFrom, 17_440)
    await assert.rejects(
      findSnapshot('demo', 'oldest'),
      "Cannot restore 'demo': there is no snapshot 'oldest' of it. Name one with --from: newer, older",
    )
    assert.is(await removeSnapshot('demo', 'older'), true)
    assert.is(await removeSnapshot('demo', 'older'), false)
    assert.equal(await listSnapshots('other'), [])
    await assert.rejects(findSnapshot('other', 'latest'), /there is no snapshot 'latest' of it\. Take one with npm run local:snapshot$/)
  })
})

test('a draft is its owner’s alone, no snapshot, and gone with what a killed one left', async () => {
  await inFolder(async () => {
    {
      await using draft = await draftFolder('demo', 'latest')
      await writeFile(join(draft.path, 'left'), '')
      assert.is(((await stat(draft.path)).mode & 0o777).toString(8), '700')
      await using again = await draftFolder('demo', 'latest')
      assert.equal(await readdir(again.path), [])
      assert.equal(await listSnapshots('demo'), [])
    }
    assert.not.ok(existsSync(`${archiveOf('demo', 'latest')}.draft`))
  })
})

test('what was taken with something else is refused in one sentence that says what, and what to do', () => {
  checkFits(about('latest'), { ...KEY })
  const refused = (wanted: Record<string, string>) => {
    try {
      checkFits(about('latest'), wanted)
    } catch (thrown) {
      assert.instance(thrown, UserError)
      return (thrown as Error).message
    }
    return undefined
  }
  assert.is(
    refused({ ...KEY, Kubernetes: '1.37.0', chart: 'ba9876543210', 'image new': 'cccccccccccc' }),
    "Cannot restore 'demo' from 'latest': it was taken with Kubernetes 1.36.3 instead of 1.37.0, another chart and no image new. " +
      'Check out ffffffffffff, which it was taken with, or run npm run local:up and npm run local:snapshot for a new one',
  )
  assert.match(refused({ Kubernetes: '1.36.3', chart: KEY.chart }) ?? '', /it was taken with image redis too\./)
})

test('a list says size and age', () => {
  const [nowMs, { volumes: _volumes, ...each }] = [Date.parse('2026-01-01T00:03:05Z'), about('latest')]
  assert.is(renderSnapshots([{ ...each, bytes: 2.14e9 }], nowMs), 'latest: 2.1 GB, taken 3 min 05 s ago')
  assert.is(renderSnapshots([]), 'There are no snapshots')
})

test.run()
