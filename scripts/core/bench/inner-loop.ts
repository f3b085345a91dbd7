/** Measures of every day: a change of a manifest and of code made live, and a hand edit reverted. */
import { spawn } from 'node:child_process'
import { copyFile, readFile, symlink, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Failure } from '#kit/errors'
import { exec } from '#kit/exec'
import { exitOf, feedLines } from '#kit/group'
import type { Kube, KubeObject } from '#kit/kube'
import { ownDir, root } from '#kit/paths'
import { temporaryFolder } from '#kit/temporary'
import { pending, ready, waitFor } from '#kit/wait'
import { openRun, runOne, selectScenarios } from '../run.ts'
import type { Judgement } from '../scenario.ts'
import { readStatus } from '../status.ts'
import type { Cluster } from '../types.ts'
import { isWorkload, WORKLOAD, WORKLOAD_PODS } from '../workload.ts'
import { BENCH_CLUSTER, type Bench, type Bout, type Measure, nothingToUndo } from './measure.ts'

/** Without effect on pods, so that nothing but the delivery is measured. */
const FIELD = 'revisionHistoryLimit'
const VALUES_FILE = 'chart/values-dev.yaml'
const CODE_FILE = 'service/main.ts'
/** Above what the chart has, and allowed by its schema up to 50. */
const limitOf = (run: number) => 10 + (run % 40)

export const manifest: Measure = {
  name: 'manifest',
  about: `Changes ${FIELD} in a copy of the working tree and delivers it with local:deploy.`,
  runs: 20,
  onStack: true,
  open: (bench) =>
    openLoop(bench, async (copy, number) => {
      const cluster = await bench.cluster()
      await copy.change(VALUES_FILE, (text) => `${text}\n${FIELD}: ${limitOf(number)}\n`)
      const [liveMs, done] = await measureLive(bench, copy, (signal) => untilValue(cluster, limitOf(number), signal))
      return { values: { 'manifest-live': [liveMs], 'manifest-done': [done.ms] } }
    }),
}

export const code: Measure = {
  name: 'code',
  about: 'Changes the service’s code in a copy of the working tree and delivers it with local:deploy, by image, on a platform at rest.',
  runs: 10,
  onStack: true,
  open: (bench) =>
    openLoop(bench, async (copy, number) => {
      const cluster = await bench.cluster()
      await untilAtRest(bench, cluster)
      const before = await versionsOf(cluster.kube)
      // Of each run anew: an image of before would be in the store.
      const mark = `${Date.now()}-${number}`
      await copy.change(CODE_FILE, (text) => `Object.assign(globalThis, { holdfastBench: '${mark}' })\n${text}`)
      const [liveMs, done] = await measureLive(bench, copy, (signal) => untilNewVersion(cluster, before, signal))
      return { values: { 'code-live': [liveMs], 'code-done': [done.ms] } }
    }),
}

export const sync: Measure = {
  name: 'sync',
  about: 'Changes the service’s code in a copy of the working tree while local:deploy --sync watches it, until every pod answers by it.',
  runs: 20,
  onStack: true,
  open: (bench) =>
    openLoop(
      bench,
      async (copy, number) => {
        const { kube } = await bench.cluster()
        const version = `bench-${Date.now()}-${number}`
        const started = performance.now()
        await copy.change(CODE_FILE, (text) => `process.env.VERSION = '${version}'\n${text}`)
        await untilEveryPod(kube, version, bench.signal)
        return { values: { 'sync-live': [Math.round(performance.now() - started)] } }
      },
      startSync,
    ),
}

export const drift: Measure = {
  name: 'drift',
  about: 'The proof hand-edit: 20 edits by hand, each reverted.',
  runs: 2,
  onStack: true,
  async open({ stack, progress, signal }) {
    const run = await openRun(stack, { name: BENCH_CLUSTER, progress, signal })
    const [scenario] = selectScenarios(stack, 'proof', { names: ['hand-edit'] })
    if (scenario === undefined) throw new TypeError('There is no proof of hand edits')
    return {
      async run() {
        const { judgement } = await runOne(run, scenario)
        if (judgement.verdict !== 'held') throw new Failure({ what: 'Cannot measure drift', why: judgement.reason })
        return { values: { drift: measuredTimes(judgement) } }
      },
      [Symbol.asyncDispose]: () => run[Symbol.asyncDispose](),
    }
  },
}

/** What the first bound of a proof measured. @throws Failure where that is nothing: no figure must be made of it */
export function measuredTimes({ times: [first] }: Pick<Judgement, 'times'>): readonly number[] {
  if (first !== undefined && first.valuesMs.length > 0) return first.valuesMs
  throw new Failure({ what: 'Cannot measure drift', why: 'no time was measured' })
}

// ── A copy that may be changed ──────────────────────────────────────────────────────────────────────────────────────

interface Copy extends AsyncDisposable {
  readonly folder: string
  /** Writes a file anew, always of the text that it was copied with. */
  readonly change: (path: string, edit: (text: string) => string) => Promise<void>
}

type Loop = (copy: Copy, number: number) => ReturnType<Bout['run']>

/** What the runs begin from, so that each differs from the one before in one thing; what it opens is disposed before the copy. */
type Begin = (bench: Bench, copy: Copy) => Promise<AsyncDisposable>

const asItIs: Begin = async (bench, copy) => {
  await deploy(bench, copy)
  return nothingToUndo
}

/** At the end the working tree runs again. */
async function openLoop(bench: Bench, loop: Loop, begin = asItIs): Promise<Bout> {
  await using opened = new AsyncDisposableStack()
  const copy = opened.use(await copyOfTree())
  opened.use(await begin(bench, copy))
  const held = opened.move()
  return {
    run: (number) => loop(copy, number),
    async [Symbol.asyncDispose]() {
      await held.disposeAsync()
      if (!bench.signal.aborted) await bench.npm('local:deploy') // else the cluster goes as a whole
    },
  }
}

/** A clone at HEAD that shares the installed packages. The user's working tree is never written. */
async function copyOfTree(): Promise<Copy> {
  await using opened = new AsyncDisposableStack()
  const { path: folder } = opened.use(await temporaryFolder('bench'))
  const { stdout } = await exec('git', ['rev-parse', '--show-toplevel', '--show-prefix'], { cwd: root })
  const [top = root, prefix = ''] = stdout.split('\n')
  await exec('git', ['clone', '--quiet', '--shared', '--', top, join(folder, 'tree')])
  const own = join(folder, 'tree', prefix)
  // Of the working tree, or bootstrap.mjs would install others into the shared folder.
  for (const file of ['package.json', 'package-lock.json']) await copyFile(join(root, file), join(own, file))
  await symlink(join(root, 'node_modules'), join(own, 'node_modules'))
  const texts = new Map<string, string>()
  const held = opened.move()
  return {
    folder: own,
    async change(path, edit) {
      const text = texts.get(path) ?? (await readFile(join(own, path), 'utf8'))
      texts.set(path, text)
      await writeFile(join(own, path), edit(text))
    },
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  }
}

/** Our own folder, where the kubeconfig is. */
const ownFolder = () => ({ HOLDFAST_DIR: resolve(ownDir()) })

const deploy = ({ npm }: Bench, { folder }: Copy) => npm('local:deploy', [], { cwd: folder, env: ownFolder() })

/** Until disposal, which ends it as Ctrl-C does. */
async function startSync({ signal }: Bench, { folder }: Copy): Promise<AsyncDisposable> {
  const args = [join(folder, 'scripts', 'local-deploy.ts'), '--name', BENCH_CLUSTER, '--sync']
  const child = spawn(process.execPath, args, { cwd: folder, env: { ...process.env, ...ownFolder() }, stdio: ['ignore', 'ignore', 'pipe'] })
  const ended = exitOf(child)
  await using begun = new AsyncDisposableStack()
  begun.defer(async () => {
    child.kill('SIGINT')
    await ended
  })
  const watches = Promise.withResolvers<void>()
  let last = ''
  const lines = feedLines(child.stderr, (line) => {
    last = line
    if (line.includes('Watching the code')) watches.resolve()
  })
  void lines.then(() => watches.reject(new Failure({ what: 'Cannot measure', why: `local:deploy --sync ended: ${last}` })))
  signal.addEventListener('abort', () => watches.reject(signal.reason), { once: true })
  await watches.promise
  const held = begun.move()
  return { [Symbol.asyncDispose]: () => held.disposeAsync() }
}

/** How long until `seen`, and the whole command. What was never seen ends with the command, as an error. */
async function measureLive(
  bench: Bench,
  copy: Copy,
  seen: (signal: AbortSignal) => Promise<void>,
): Promise<[liveMs: number, done: { readonly ms: number }]> {
  const over = new AbortController()
  const started = performance.now()
  const live = seen(AbortSignal.any([over.signal, bench.signal])).then(
    () => Math.round(performance.now() - started),
    () => undefined,
  )
  try {
    const done = await deploy(bench, copy)
    const liveMs = await Promise.race([live, sleep(LATE_MS)])
    if (liveMs === undefined) throw new Failure({ what: 'Cannot measure', why: 'local:deploy has ended, and the change was never seen' })
    return [liveMs, done]
  } finally {
    over.abort()
  }
}

/** After the command has ended all of it is live: only the look may be late. */
const LATE_MS = 2_000

async function untilValue({ kube }: Cluster, value: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve: found } = Promise.withResolvers<void>()
  using _watch = kube.watch({ apiVersion: WORKLOAD.apiVersion, kind: WORKLOAD.kind, namespace: WORKLOAD.namespace ?? '' }, ({ object }) => {
    if (isWorkload(object) && object.spec[FIELD] === value) found()
  })
  signal.addEventListener('abort', () => found(), { once: true })
  await promise
  signal.throwIfAborted()
}

/** By then no pod of before is left, and the HPA has the usage of those that came: else a round would measure the end of the last one. */
const REST_MS = 20_000
const REST_TIMEOUT_MS = 60_000

async function untilAtRest({ stack, signal }: Bench, cluster: Cluster): Promise<void> {
  await sleep(REST_MS, undefined, { signal })
  const look = async () => ((await readStatus(stack, cluster)).healthy ? ready(undefined) : pending('not everything is Healthy'))
  await waitFor('the platform to be at rest', look, { timeoutMs: REST_TIMEOUT_MS, signal })
}

const LOOK_MS = 100
const ANSWER_MS = 2_000
const SYNC_TIMEOUT_MS = 30_000

async function versionOf(cluster: Cluster): Promise<string> {
  // A connection that is kept stays with its pod, also while that one drains.
  const headers = { connection: 'close' }
  const response = await cluster.fetch('service', '/health', { headers, signal: AbortSignal.timeout(ANSWER_MS) })
  const version = response.headers.get('x-version')
  await response.body?.cancel()
  if (version === null) throw new Failure({ what: 'Cannot measure', why: 'the service does not say its version' })
  return version
}

/** Of all pods, also of those that drain: one of them may still be the Service's answer. @throws where one does not say it */
async function versionsOf(kube: Kube): Promise<ReadonlySet<string>> {
  return new Set(await Promise.all((await kube.list(WORKLOAD_PODS)).map((pod) => versionIn(kube, pod))))
}

/** Each by itself: the Service would show only the one that answered. */
async function untilEveryPod(kube: Kube, version: string, signal: AbortSignal): Promise<void> {
  const look = async () => {
    const pods = (await kube.list(WORKLOAD_PODS)).filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    const said = await Promise.all(pods.map((pod) => versionIn(kube, pod)))
    return said.length > 0 && said.every((each) => each === version) ? ready(undefined) : pending(said.join(', '))
  }
  await waitFor(`every pod to answer by version '${version}'`, look, { timeoutMs: SYNC_TIMEOUT_MS, everyMs: 50, signal })
}

async function versionIn(kube: Kube, { metadata }: KubeObject): Promise<string> {
  const path = `/api/v1/namespaces/${metadata.namespace}/pods/${metadata.name}:8080/proxy/health`
  const response = await kube.fetch(path, { signal: AbortSignal.timeout(ANSWER_MS) })
  await response.body?.cancel()
  return response.headers.get('x-version') ?? `HTTP ${response.status}`
}

async function untilNewVersion(cluster: Cluster, before: ReadonlySet<string>, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const now = await versionOf(cluster).catch(() => undefined)
    if (now !== undefined && !before.has(now)) return
    await sleep(LOOK_MS, undefined, { signal })
  }
  signal.throwIfAborted()
}
