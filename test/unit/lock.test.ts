import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { takeLock } from '../../local/lock.ts'
import { assert, suite } from '../suite.ts'

const test = suite('lock')

/** A folder of its own for locks. */
async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-lock-'))
  try {
    await work(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

test('a second taker is refused with the command and the pid of the first', async () => {
  await inFolder(async (folder) => {
    await using _first = await takeLock('local', 'local:up', folder)
    await assert.rejects(
      takeLock('local', 'local:down', folder),
      new RegExp(`^Cannot run local:down: local:up of the cluster 'local' is running \\(pid ${process.pid}\\)`),
    )
  })
})

test('another cluster has a lock of its own', async () => {
  await inFolder(async (folder) => {
    await using _first = await takeLock('local', 'local:up', folder)
    await using _second = await takeLock('other', 'local:up', folder)
    assert.is((await readdir(folder)).length, 2)
  })
})

test('a lock is gone after its disposal, with the folder where nothing else is in it', async () => {
  await inFolder(async (folder) => {
    {
      await using _lock = await takeLock('local', 'local:up', folder)
    }
    assert.not.ok(existsSync(folder))
  })
})

test('the lock of a process that was killed is taken over', async () => {
  await inFolder(async (folder) => {
    const child = spawn('sleep', ['60'])
    const pid = child.pid ?? 0
    child.kill('SIGKILL')
    await new Promise((done) => child.once('exit', done))
    await writeFile(join(folder, 'local.lock'), JSON.stringify({ pid, started: '1', command: 'local:up' }))
    await using _lock = await takeLock('local', 'local:up', folder)
    assert.is((await readdir(folder)).length, 1)
  })
})

test('a lock whose number now belongs to another process is taken over', async () => {
  await inFolder(async (folder) => {
    await writeFile(join(folder, 'local.lock'), JSON.stringify({ pid: process.pid, started: 'long ago', command: 'local:up' }))
    await using _lock = await takeLock('local', 'local:up', folder)
  })
})

test('the draft that a killed command left is gone, that of a living one stays', async () => {
  await inFolder(async (folder) => {
    const child = spawn('true')
    await new Promise((done) => child.once('exit', done))
    for (const pid of [child.pid, process.ppid]) await writeFile(join(folder, `other.lock.${pid}`), '{}')
    await using _lock = await takeLock('local', 'local:up', folder)
    assert.equal((await readdir(folder)).toSorted(), ['local.lock', `other.lock.${process.ppid}`])
  })
})

test('a half-written lock is taken over', async () => {
  await inFolder(async (folder) => {
    await writeFile(join(folder, 'local.lock'), '{"pid":')
    await using _lock = await takeLock('local', 'local:up', folder)
  })
})

test.run()
