/** The engine that we start, on a machine of its own: killed while it boots, started by two at once, gone when it is to be removed. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CLUSTER_LABEL } from '#kit/docker'
import type { ExecResult } from '#kit/exec'
import { temporaryFolder } from '#kit/temporary'
import { pending, ready, waitFor } from '#kit/wait'
import { type OwnMachine, openOwnMachine, whyNotHere } from '../own-machine.ts'
import { assert, suite } from '../suite.ts'

const test = suite('engine')
const LONG = { timeoutMs: 180_000 }
const RUNNING = ['-x', '--runstates', 'R,S,D'] // there is no init here: what has ended stays a zombie

interface Place extends AsyncDisposable {
  readonly run: OwnMachine['run']
  /** One of our commands, with folders of its own: `--all` removes them. */
  command(name: string, ...args: readonly string[]): Promise<ExecResult>
  /** What is known about the machine. */
  readonly state: string
}

async function openPlace(signal: AbortSignal): Promise<Place> {
  await using begun = new AsyncDisposableStack()
  const { path } = begun.use(await temporaryFolder('engine'))
  const { run } = begun.use(await openOwnMachine(signal))
  await run('mount', ['-t', 'tmpfs', 'tmpfs', '/var/lib/docker'])
  const held = begun.move()
  const folders = { HOLDFAST_DIR: join(path, 'own'), XDG_CACHE_HOME: join(path, 'cache'), XDG_STATE_HOME: join(path, 'state') }
  const env = { ...folders, DOCKER_HOST: undefined } // npm test has it, and an engine that somebody named is not ours to start
  return {
    run,
    command: (name, ...args) => run(process.execPath, ['scripts/bootstrap.mjs', name, ...args], { env }),
    state: join(path, 'state', 'holdfast'),
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  }
}

const why = whyNotHere()
let place: Place

if (why === undefined)
  test.before(async ({ signal }) => {
    place = await openPlace(signal)
  }, LONG)
test.after(async () => place?.[Symbol.asyncDispose](), LONG)

function onMachine(name: string, work: (signal: AbortSignal) => Promise<void>): void {
  if (why === undefined) test(name, ({ signal }) => work(signal), LONG)
  else test.skip(name, why)
}

const startEngine = () => place.command('doctor', '--fix', '--only', 'engine')
const removeAll = async () => (await place.command('local-down', '--all')).stderr
const engines = async () => (await place.run('pgrep', [...RUNNING, 'dockerd'], { accept: [0, 1] })).stdout.split('\n').filter(Boolean)
const recorded = () => readFile(join(place.state, 'engine.pid'), 'utf8').catch(() => '')
const volumes = async () => (await place.run('docker', ['volume', 'ls', '--quiet'])).stdout.trim()

/** It holds a volume of a cluster's, and is killed as by the end of the machine. */
async function endEngine(): Promise<void> {
  await place.run('docker', ['volume', 'create', '--label', `${CLUSTER_LABEL}=local`, 'of-ours'])
  await place.run('pkill', ['-KILL', '-x', 'dockerd'])
}

async function nothingIsLeft(): Promise<void> {
  assert.equal(await engines(), [])
  assert.not.match((await place.run('iptables-save', [])).stdout, /DOCKER/)
  assert.not.match((await place.run('ip', ['-o', 'link'])).stdout, /docker0/)
  assert.equal(await readdir(place.state).catch(() => []), [])
}

onMachine('two commands at once start one engine, and know which', async () => {
  await Promise.all([startEngine(), startEngine()])
  assert.equal(await engines(), [await recorded()])
  await removeAll()
  await nothingIsLeft()
})

onMachine('an engine whose starter was killed while it boots is the next command’s', async (signal) => {
  const killed = startEngine().catch(() => {})
  const look = async () => ((await recorded()) === '' ? pending('no engine') : ready(undefined))
  await waitFor('the engine to be started', look, { timeoutMs: 60_000, everyMs: 5, signal })
  await place.run('pkill', ['-KILL', '--full', 'doctor'])
  await killed
  await startEngine()
  assert.equal(await engines(), [await recorded()])
})

onMachine('local:down --all removes what a killed engine held, and its rules', async () => {
  await endEngine()
  assert.match(await removeAll(), /Removed volume of-ours/)
  await nothingIsLeft()
  await startEngine()
  assert.is(await volumes(), '')
})

onMachine('local:down removes it too', async () => {
  await endEngine()
  assert.match((await place.command('local-down')).stderr, /Removed volume of-ours/)
  assert.is(await volumes(), '')
  await removeAll()
  await nothingIsLeft()
})

onMachine('where no engine of ours was, none is started to remove nothing', async () => {
  assert.match(await removeAll(), /nothing to remove/)
  assert.equal(await engines(), [])
})

test.run()
