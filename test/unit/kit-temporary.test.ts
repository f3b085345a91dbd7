/** Folders for a while, and what a process that was killed leaves of them. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chown, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { isRoot } from '#kit/debian'
import { exec } from '#kit/exec'
import { listTemporary, sweepTemporary, temporaryFolder } from '#kit/temporary'
import { assert, suite, type TestContext } from '../suite.ts'
import { createTree, runSource, urlOf } from './tree-fixture.ts'

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

/** The name of a folder whose process has ended. */
async function nameOfEnded(name: string): Promise<string> {
  const child = spawn(process.execPath, ['--eval', ''])
  await once(child, 'exit')
  return name.replace(`.${process.pid}-`, `.${child.pid}-`)
}

test('sweepTemporary() takes away what a killed process left, and nothing that lives, is of other numbers, or is not ours', async () => {
  await inFolder(async (inside) => {
    await using mine = await temporaryFolder('mine', inside)
    const left = await nameOfEnded(basename(mine.path))
    const others = [left.replace(/-\d+\./, '-1.'), 'holdfast-old-style-x', `somebody-${left}`]
    for (const name of [left, ...others]) await mkdir(join(inside, name, 'deep'), { recursive: true })
    assert.equal(await sweepTemporary([inside]), [join(inside, left)])
    assert.not.ok(existsSync(join(inside, left)))
    assert.equal((await readdir(inside)).toSorted(), [basename(mine.path), ...others].toSorted())
    assert.equal(await sweepTemporary([inside]), [])
  })
})

test('a folder that is not there has nothing to sweep', async () => {
  assert.equal(await sweepTemporary(['/not/there']), [])
})

const NOBODY = 65_534
const ANOTHERS = 'a folder of another user is neither listed nor taken away: only that user can'
if (isRoot()) test(ANOTHERS, anothers)
else test.skip(ANOTHERS, 'only root can give a folder to another user')

async function anothers(): Promise<void> {
  await inFolder(async (inside) => {
    await using mine = await temporaryFolder('mine', inside)
    const theirs = join(inside, await nameOfEnded(basename(mine.path)))
    await mkdir(theirs)
    assert.equal(await listTemporary([inside]), [theirs], 'as long as it is ours')
    await chown(theirs, NOBODY, NOBODY)
    assert.equal(await listTemporary([inside]), [])
    await sweepTemporary([inside])
    assert.ok(existsSync(theirs))
  })
}

// ── What is large ───────────────────────────────────────────────────────────────────────────────────────────────────

/** Where the system's folder for temporary files cannot be used at all. */
const noTmp = (cache: string) => ({ XDG_CACHE_HOME: cache, TMPDIR: join(cache, 'not', 'there') })

test('a large folder lies in our cache, and is swept from there when its process was killed', async () => {
  using cache = createTree()
  const roomy = join(cache.path, 'holdfast', 'temporary', hostname())
  const module = urlOf('scripts/kit/temporary.ts')
  const killed = `import { roomyFolder } from '${module}'\nawait roomyFolder('image')\nprocess.kill(process.pid, 'SIGKILL')\n`
  await runSource(killed, { env: noTmp(cache.path) })
  const [left = '', ...others] = await readdir(roomy)
  assert.match(left, /^holdfast-image-/)
  assert.equal(others, [])
  const sweep = `import { listTemporary, sweepTemporary } from '${module}'\nconsole.log(await listTemporary(), await sweepTemporary())\n`
  const { output } = await runSource(sweep, { env: noTmp(cache.path) })
  assert.is(output.split(join(roomy, left)).length - 1, 2, output)
  assert.equal(await readdir(roomy), [])
})

/** Lays one file where the real one lays a Debian, so that no network is needed. */
const DEBOOTSTRAP = '#!/bin/sh\necho "$3" > "$3/laid"\n'
const LAID = 'a Debian is laid in our cache'
if (isRoot()) test(LAID, laid)
else test.skip(LAID, 'debootstrap needs root')

async function laid({ signal }: TestContext): Promise<void> {
  using cache = createTree()
  cache.write('bin/debootstrap', DEBOOTSTRAP, 0o755)
  const target = join(cache.path, 'rootfs.tar')
  const source = `import { debootstrap } from '${urlOf('scripts/kit/debian.ts')}'
await debootstrap('trixie', '${target}', { signal: new AbortController().signal })`
  const env = { ...noTmp(cache.path), PATH: `${join(cache.path, 'bin')}:${process.env.PATH}` }
  const { exitCode, output } = await runSource(source, { env, signal })
  assert.is(exitCode, 0, output)
  const { stdout } = await exec('tar', ['-xOf', target, './laid'])
  assert.match(stdout, join(cache.path, 'holdfast', 'temporary', hostname()))
}

/** An engine without an image, which notes where the files of one are that it is to build. */
const DOCKER = `#!/bin/sh
case "$1" in
  version) echo linux/amd64 ;;
  build) for last; do :; done; echo "$last" >> "$NOTED" ;;
  *) echo "Error: No such object" >&2; exit 1 ;;
esac
`

test('what an image is built of is laid in our cache, and gone afterwards', async ({ signal }) => {
  using cache = createTree({ noted: '' })
  cache.write('bin/docker', DOCKER, 0o755)
  const source = `import { Images } from '${urlOf('scripts/kit/images.ts')}'
import { createProgress } from '${urlOf('scripts/kit/progress.ts')}'
const images = new Images({ progress: createProgress(), signal: new AbortController().signal, way: 'build' })
await images.local({ name: 'x', tag: '1', build: { context: 'load/network/image', files: ['cut.sh'] } })`
  const env = { ...noTmp(cache.path), PATH: `${join(cache.path, 'bin')}:${process.env.PATH}`, NOTED: join(cache.path, 'noted') }
  const { exitCode, output } = await runSource(source, { env, signal })
  assert.is(exitCode, 0, output)
  const roomy = join(cache.path, 'holdfast', 'temporary', hostname())
  assert.match(await readFile(env.NOTED, 'utf8'), join(roomy, 'holdfast-image-'))
  assert.equal(await readdir(roomy), [])
})

test.run()
