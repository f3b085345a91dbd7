/** Where commands are killed: a clone of their own, and a cluster of their own, on this machine. */
import { spawn } from 'node:child_process'
import { appendFile, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { docker, listByLabel, ROLE_LABEL } from '#kit/docker'
import { exec } from '#kit/exec'
import { exitOf, feedLines, signalGroup } from '#kit/group'
import { Images } from '#kit/images'
import { root } from '#kit/paths'
import { processesWith, signalIfThere } from '#kit/process'
import type { Progress } from '#kit/progress'
import { temporaryFolder } from '#kit/temporary'
import { overdue, pending, ready, waitFor } from '#kit/wait'
import { HOLDFAST_NAMESPACE, openEntries } from './journal.ts'
import { differencesOf, type EndedRun, type KillingPlace, type RunningVictim, type Victim, type Way } from './kills.ts'
import type { Stack } from './types.ts'

export const KILLS_CLUSTER = 'kills'
const IMAGES = `${ROLE_LABEL}=image`
const NAME = ['--name', KILLS_CLUSTER]
const COMMANDS: Readonly<Record<Victim, readonly [file: string, ...args: string[]]>> = {
  'local:up from nothing': ['local-up', ...NAME],
  'local:up': ['local-up', ...NAME],
  'local:deploy': ['local-deploy', ...NAME],
  prove: ['prove', 'hand-edit', 'manifest-pruned', ...NAME],
  'local:down': ['local-down', ...NAME],
}
/** What its bundle is made of; a line behind the last one is never reached. */
const SERVICE = join('service', 'main.ts')
const LAST_LINES = 6
/** What a killed command had begun ends by itself: a build, a push. */
const ALONE_TIMEOUT_MS = 90_000
/** Beyond any run; one that hangs must not hang the test. */
const RUN_TIMEOUT_MS = 600_000

export interface PlaceOptions {
  readonly progress: Progress
  readonly signal: AbortSignal
}

/** Runs every victim once in peace: that is how long each takes, and what is there afterwards. Disposal removes cluster and clone. */
export async function openKillingPlace(stack: Stack, options: PlaceOptions): Promise<KillingPlace & AsyncDisposable> {
  await using opened = new AsyncDisposableStack()
  // The engine runs and images are in the store: neither is what is killed.
  await stack.clusters.local.prepare({ name: KILLS_CLUSTER, images: new Images(options), ...options })
  const folder = opened.use(await temporaryFolder('kills'))
  const clone = join(folder.path, 'clone')
  await exec('git', ['clone', '--quiet', '--no-hardlinks', root, clone], { signal: options.signal })
  await symlink(join(root, 'node_modules'), join(clone, 'node_modules'))
  opened.use(withFilesIn(join(clone, '.holdfast')))
  const place = new Place(stack, clone, options)
  opened.defer(() => place.remove())
  await options.progress.step('Run every command once in peace', (note) => place.measure(note))
  const held = opened.move()
  return Object.assign(place, { [Symbol.asyncDispose]: () => held.disposeAsync() })
}

/** For what is looked for here, and for what is started. */
function withFilesIn(folder: string): Disposable {
  const { HOLDFAST_DIR: before } = process.env
  process.env.HOLDFAST_DIR = folder
  return {
    [Symbol.dispose]() {
      delete process.env.HOLDFAST_DIR
      if (before !== undefined) process.env.HOLDFAST_DIR = before
    },
  }
}

class Place implements KillingPlace {
  readonly #stack: Stack
  readonly #clone: string
  readonly #options: PlaceOptions
  /** Inherited by all that is started, so that none is lost. */
  readonly #mark = `HOLDFAST_KILLS_MARK=${process.pid}-${Date.now()}`
  readonly #usual = new Map<Victim, number>()
  readonly #look = { stack: [] as readonly string[], nothing: [] as readonly string[] }
  #images: readonly string[] = []
  /** Undefined where a command was killed that makes it so, or not so. */
  #isUp: boolean | undefined
  #changes = 0
  /** What was wrong while there was to be no cluster. */
  #gone: readonly string[] = []

  constructor(stack: Stack, clone: string, options: PlaceOptions) {
    this.#stack = stack
    this.#clone = clone
    this.#options = options
  }

  async measure(note: (text: string) => void): Promise<void> {
    this.#images = await listByLabel('image', IMAGES)
    await this.#must('local:down')
    this.#look.nothing = await this.#lookNow()
    const inPeace = ['local:up from nothing', 'local:deploy', 'prove', 'local:up', 'local:down', 'local:up from nothing'] as const
    for (const victim of inPeace) {
      note(victim)
      if (victim === 'local:deploy') await this.#change()
      this.#usual.set(victim, (await this.#must(victim)).ms)
    }
    this.#look.stack = await this.#lookNow()
  }

  usualMs(victim: Victim): number {
    return this.#usual.get(victim) ?? 0
  }

  async ready(victim: Victim): Promise<void> {
    const wantsUp = victim !== 'local:up from nothing'
    if (wantsUp !== this.#isUp) await this.#must(wantsUp ? 'local:up from nothing' : 'local:down')
    if (victim === 'local:deploy') await this.#change()
  }

  /** Whoever was killed may have done its work or not: from here on the stack is up, by the run that comes next. */
  async next(victim: Victim): Promise<readonly EndedRun[]> {
    const runs: EndedRun[] = []
    for (const each of victim === 'local:down' ? (['local:down', 'local:up'] as const) : (['local:up'] as const)) {
      runs.push(await this.#run(each))
      if (each === 'local:down') this.#gone = differencesOf(this.#look.nothing, await this.#lookNow())
    }
    return runs
  }

  async differences(): Promise<readonly string[]> {
    const gone = this.#gone.map((each) => `after local:down ${each}`)
    this.#gone = []
    return [...gone, ...differencesOf(this.#look.stack, await this.#lookNow())]
  }

  start(victim: Victim): RunningVictim {
    const [file, ...args] = COMMANDS[victim]
    const [name = '', value = ''] = this.#mark.split('=')
    const started = performance.now()
    const child = spawn(process.execPath, [join(this.#clone, 'scripts', `${file}.ts`), ...args], {
      cwd: this.#clone,
      env: { ...process.env, [name]: value },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    })
    const said: string[] = []
    for (const stream of [child.stdout, child.stderr]) void feedLines(stream, (line) => void said.push(line))
    const timer = setTimeout(() => signalGroup(child, 'SIGKILL'), RUN_TIMEOUT_MS)
    const ended = exitOf(child).then((exitCode) => {
      clearTimeout(timer)
      if (/^local:(up|down)/.test(victim)) this.#isUp = exitCode === 0 ? victim !== 'local:down' : undefined
      return { exitCode, ms: performance.now() - started, last: said.slice(-LAST_LINES).join(' | ') }
    })
    return { ended, kill: (way) => this.#kill(child, way) }
  }

  /** Every child of ours leads a group of its own, so that a signal to one group is not one to all. */
  async #kill(child: ReturnType<typeof spawn>, way: Way): Promise<void> {
    if (way === 'SIGINT') return signalGroup(child, 'SIGINT')
    child.kill('SIGKILL')
    if (way === 'SIGKILL') return
    for (const pid of await processesWith(this.#mark)) signalIfThere(pid, 'SIGKILL')
  }

  async #run(victim: Victim): Promise<EndedRun> {
    this.#options.signal.throwIfAborted()
    const running = this.start(victim)
    const stop = () => void running.kill('SIGINT')
    this.#options.signal.addEventListener('abort', stop, { once: true })
    const ended = await running.ended.finally(() => this.#options.signal.removeEventListener('abort', stop))
    this.#options.signal.throwIfAborted()
    return ended
  }

  async #must(victim: Victim): Promise<EndedRun> {
    const ended = await this.#run(victim)
    if (ended.exitCode === 0) return ended
    throw new Error(`${victim} ended with ${ended.exitCode} in peace: ${ended.last}`)
  }

  /** By turns, so that many kills make two images. */
  async #change(): Promise<void> {
    const path = join(this.#clone, SERVICE)
    const [before = ''] = (await readFile(path, 'utf8')).split('// killed')
    await writeFile(path, before)
    await appendFile(path, `// killed\nconsole.log(${this.#changes++ % 2})\n`)
  }

  /** Everything that a killed command could leave, a line for each. */
  async #lookNow(): Promise<readonly string[]> {
    const { local } = this.#stack.clusters
    const found = await Promise.all([local.listLeft(KILLS_CLUSTER), this.#processes(), unnamedVolumes(), this.#inCluster()])
    const ports = (await local.portsBeyondLoopback()).map((port) => `port ${port} beyond 127.0.0.1`)
    return [...found.flat(), ...ports].map((line) => line.replaceAll(this.#clone, '.')).toSorted()
  }

  async #processes(): Promise<readonly string[]> {
    const look = async () => {
      const pids = await processesWith(this.#mark)
      return pids.length === 0 ? ready(true) : pending(pids.join(', '))
    }
    const areGone = await waitFor('processes to end', look, { timeoutMs: ALONE_TIMEOUT_MS, signal: this.#options.signal }).catch(overdue)
    return areGone ? [] : (await processesWith(this.#mark)).map((pid) => `process ${pid}`)
  }

  /** Undos that wait, and who holds the cluster. */
  async #inCluster(): Promise<readonly string[]> {
    const cluster = await this.#stack.clusters.local.find(KILLS_CLUSTER)
    if (cluster === undefined) return []
    const { kube } = cluster
    const found = await Promise.all([
      openEntries(kube),
      kube.list({ apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', namespace: HOLDFAST_NAMESPACE }),
    ])
    return found.flat().map(({ kind, metadata }) => `${kind} ${metadata.name}`)
  }

  async remove(): Promise<void> {
    const { progress } = this.#options
    await this.#stack.clusters.local.down({ name: KILLS_CLUSTER, all: false, progress })
    const made = (await listByLabel('image', IMAGES)).filter((image) => !this.#images.includes(image))
    if (made.length > 0) await docker(['rmi', '--force', ...made])
  }
}

/** Those that an image asks for and nobody has named: they carry no label of ours. */
async function unnamedVolumes(): Promise<string[]> {
  const { stdout } = await docker(['volume', 'ls', '--format', '{{.Name}}'])
  return stdout
    .split('\n')
    .filter((name) => /^[0-9a-f]{64}$/.test(name))
    .map((name) => `volume ${name.slice(0, 12)}`)
}
