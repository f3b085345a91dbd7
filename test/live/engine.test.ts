/** The engine that we start, on a machine of its own: killed while it boots, started by two at once, gone when it is to be removed. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CLUSTER_LABEL } from '#kit/docker'
import { type TemporaryFolder, temporaryFolder } from '#kit/temporary'
import { pending, ready, waitFor } from '#kit/wait'
import { type OwnMachine, openOwnMachine, whyNotHere } from '../own-machine.ts'
import { assert, suite } from '../suite.ts'

const test = suite('engine')
const LONG = { timeoutMs: 120_000 }

function declareAll(): void {
  let machine: OwnMachine
  let folder: TemporaryFolder

  test.before(async ({ signal }) => {
    folder = await temporaryFolder('engine')
    machine = await openOwnMachine(signal)
    await machine.run('mount', ['-t', 'tmpfs', 'tmpfs', '/var/lib/docker'])
  })
  test.after(async () => {
    await machine?.[Symbol.asyncDispose]()
    await folder?.[Symbol.asyncDispose]()
  }, LONG)

  const state = () => join(folder.path, 'state', 'holdfast')
  /** With folders of its own: `--all` removes them. */
  const command = (name: string, ...args: string[]) =>
    machine.run(process.execPath, ['scripts/bootstrap.mjs', name, ...args], {
      env: {
        HOLDFAST_DIR: join(folder.path, 'own'),
        XDG_CACHE_HOME: join(folder.path, 'cache'),
        XDG_STATE_HOME: join(folder.path, 'state'),
      },
    })
  const startEngine = () => command('doctor', '--fix', '--only', 'engine')
  const removeAll = async () => (await command('local-down', '--all')).stderr
  const kill = (...pattern: string[]) => machine.run('pkill', ['-KILL', ...pattern])
  const engines = async () =>
    (await machine.run('pgrep', ['-x', '--runstates', 'R,S,D', 'dockerd'], { accept: [0, 1] })).stdout.split('\n').filter(Boolean)
  const recorded = () => readFile(join(state(), 'engine.pid'), 'utf8').catch(() => '')
  const volumes = async () => (await machine.run('docker', ['volume', 'ls', '--quiet'])).stdout.trim()
  const makeVolume = () => machine.run('docker', ['volume', 'create', '--label', `${CLUSTER_LABEL}=local`, 'of-ours'])

  async function nothingIsLeft(): Promise<void> {
    assert.equal(await engines(), [])
    assert.not.match((await machine.run('iptables-save', [])).stdout, /DOCKER/)
    assert.not.match((await machine.run('ip', ['-o', 'link'])).stdout, /docker0/)
    assert.equal(await readdir(state()).catch(() => []), [])
  }

  test(
    'two commands at once start one engine, and know which',
    async () => {
      await Promise.all([startEngine(), startEngine()])
      assert.equal(await engines(), [await recorded()])
      await removeAll()
      await nothingIsLeft()
    },
    LONG,
  )

  test(
    'an engine whose starter was killed while it boots is the next command’s',
    async ({ signal }) => {
      const killed = startEngine().catch(() => {})
      const look = async () => ((await recorded()) === '' ? pending('no engine') : ready(undefined))
      await waitFor('the engine to be started', look, { timeoutMs: 60_000, everyMs: 5, signal })
      await kill('--full', 'doctor')
      await killed
      await startEngine()
      assert.equal(await engines(), [await recorded()])
    },
    LONG,
  )

  test(
    'local:down --all removes what a killed engine held, and its rules',
    async () => {
      await makeVolume()
      await kill('-x', 'dockerd')
      assert.match(await removeAll(), /Removed volume of-ours/)
      await nothingIsLeft()
      await startEngine()
      assert.is(await volumes(), '')
    },
    LONG,
  )

  test(
    'and so does local:down, after the machine was switched off',
    async () => {
      await makeVolume()
      await kill('-x', 'dockerd')
      assert.match((await command('local-down')).stderr, /Removed volume of-ours/)
      assert.is(await volumes(), '')
      await removeAll()
      await nothingIsLeft()
    },
    LONG,
  )

  test(
    'where no engine of ours was, none is started to remove nothing',
    async () => {
      assert.match(await removeAll(), /nothing to remove/)
      assert.equal(await engines(), [])
    },
    LONG,
  )
}

const why = whyNotHere()
if (why === undefined) declareAll()
else test.skip('the engine that we start, on a machine of its own', why)
test.run()
