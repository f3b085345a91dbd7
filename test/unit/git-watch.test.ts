/** The working tree, watched: what would be pushed and nothing else, whatever way it is written. */
import { appendFileSync, chmodSync, mkdirSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { SourceChange, SourceWatch } from '#core'
import { watchTree } from '../../local/git-server/watch.ts'
import { assert, suite } from '../suite.ts'
import { createRepository, run, temporaryFolder } from './git-fixture.ts'

const test = suite('git watch')
const SLOW = { timeoutMs: 60_000 }
/** Longer than any notice takes. */
const SILENT_MS = 700

interface Place extends Disposable {
  readonly path: string
  readonly watch: SourceWatch
  /** The paths of the next change. */
  next(): Promise<readonly string[]>
  /** @throws where a change comes */
  nothing(): Promise<void>
}

async function open(): Promise<Place> {
  const folder = temporaryFolder()
  const path = createRepository(join(folder.path, 'repository'))
  mkdirSync(join(path, 'chart/templates'), { recursive: true })
  mkdirSync(join(path, 'ignored'))
  for (const file of ['chart/values.yaml', 'chart/templates/a.yaml', 'top']) writeFileSync(join(path, file), 'one')
  writeFileSync(join(path, '.gitignore'), 'ignored/\n')
  run(path, ['add', '--all'])
  run(path, ['commit', '--quiet', '--message', 'one'])
  const watch = await watchTree(path)
  const within = (ms: number): Promise<SourceChange | undefined> => watch.next(AbortSignal.timeout(ms))
  return {
    path,
    watch,
    async next() {
      return (await within(5_000))?.paths ?? ['nothing came']
    },
    async nothing() {
      assert.is(await within(SILENT_MS), undefined)
    },
    [Symbol.dispose]() {
      watch[Symbol.dispose]()
      folder[Symbol.dispose]()
    },
  }
}

test(
  'a written file, several at once, one that comes, one that goes and one that is renamed are told by their names',
  async () => {
    using place = await open()
    const at = (path: string) => join(place.path, path)
    appendFileSync(at('chart/values.yaml'), 'two')
    assert.equal(await place.next(), ['chart/values.yaml'])
    for (const file of ['chart/templates/a.yaml', 'top']) appendFileSync(at(file), 'two')
    assert.equal(await place.next(), ['chart/templates/a.yaml', 'top'], 'one change')
    writeFileSync(at('new'), '')
    assert.equal(await place.next(), ['new'])
    rmSync(at('new'))
    assert.equal(await place.next(), ['new'])
    renameSync(at('top'), at('bottom'))
    assert.equal(await place.next(), ['bottom', 'top'])
    chmodSync(at('bottom'), 0o755)
    assert.equal(await place.next(), ['bottom'], 'Git keeps whether it is executable')
    rmSync(at('bottom'))
    symlinkSync('chart', at('bottom'))
    assert.equal(await place.next(), ['bottom'])
  },
  SLOW,
)

test(
  'an editor that writes a new file over the old one is told as any other',
  async () => {
    using place = await open()
    for (const text of ['two', 'three']) {
      writeFileSync(join(place.path, 'chart/.values.yaml.swp'), text)
      renameSync(join(place.path, 'chart/.values.yaml.swp'), join(place.path, 'chart/values.yaml'))
      assert.equal(await place.next(), ['chart/values.yaml'])
    }
  },
  SLOW,
)

test(
  'folders that come, go and come back under their name are watched',
  async () => {
    using place = await open()
    const folder = join(place.path, 'a/b')
    for (const text of ['one', 'two']) {
      mkdirSync(folder, { recursive: true })
      writeFileSync(join(folder, 'file'), text)
      assert.equal(await place.next(), ['a/b/file'])
      appendFileSync(join(folder, 'file'), text)
      assert.equal(await place.next(), ['a/b/file'])
      rmSync(join(place.path, 'a'), { recursive: true })
      assert.equal(await place.next(), ['a/b/file'])
    }
  },
  SLOW,
)

test(
  'what Git ignores, a save without a change, a new time and a commit are no change',
  async () => {
    using place = await open()
    const at = (path: string) => join(place.path, path)
    writeFileSync(at('ignored/file'), 'one')
    await place.nothing()
    writeFileSync(at('top'), 'one')
    utimesSync(at('top'), new Date(), new Date())
    await place.nothing()
    run(place.path, ['commit', '--quiet', '--allow-empty', '--message', 'two'])
    await place.nothing()
    writeFileSync(at('.gitignore'), '')
    assert.equal(await place.next(), ['.gitignore', 'ignored/file'], 'until it is ignored no more')
    appendFileSync(at('ignored/file'), 'two')
    assert.equal(await place.next(), ['ignored/file'])
  },
  SLOW,
)

test(
  'what changes while nobody waits is told by the next look, once',
  async () => {
    using place = await open()
    appendFileSync(join(place.path, 'top'), 'two')
    await sleep(SILENT_MS)
    appendFileSync(join(place.path, 'chart/values.yaml'), 'two')
    assert.equal(await place.next(), ['chart/values.yaml', 'top'])
    await place.nothing()
  },
  SLOW,
)

test(
  'an aborted signal ends the wait, also one that aborted before',
  async () => {
    using place = await open()
    const abort = new AbortController()
    const waiting = place.watch.next(abort.signal)
    abort.abort()
    assert.is(await waiting, undefined)
    assert.is(await place.watch.next(abort.signal), undefined)
  },
  SLOW,
)

test.run()
