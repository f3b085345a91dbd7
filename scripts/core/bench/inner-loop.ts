/** Measures of every day: a change of a manifest and of code made live, and a hand edit reverted. */
import { copyFile, readFile, symlink, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Failure } from '#kit/errors'
import { exec } from '#kit/exec'
import { ownDir, root } from '#kit/paths'
import { temporaryFolder } from '#kit/temporary'
import { openRun, runOne, selectScenarios } from '../run.ts'
import type { Cluster } from '../types.ts'
import { isWorkload, WORKLOAD } from '../workload.ts'
import { BENCH_CLUSTER, type Bench, type Bout, type Measure } from './measure.ts'

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
  about: 'Changes the service’s code in a copy of the working tree and delivers it with local:deploy, by image.',
  runs: 10,
  onStack: true,
  open: (bench) =>
    openLoop(bench, async (copy, number) => {
      const cluster = await bench.cluster()
      const before = await versionOf(cluster)
      // Of each run anew: an image of before would be in the store.
      const mark = `${Date.now()}-${number}`
      await copy.change(CODE_FILE, (text) => `Object.assign(globalThis, { holdfastBench: '${mark}' })\n${text}`)
      const [liveMs, done] = await measureLive(bench, copy, (signal) => untilOtherVersion(cluster, before, signal))
      return { values: { 'code-live': [liveMs], 'code-done': [done.ms] } }
    }),
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
        return { values: { drift: judgement.times[0]?.valuesMs ?? [] } }
      },
      [Symbol.asyncDispose]: () => run[Symbol.asyncDispose](),
    }
  },
}

// ── A copy that may be changed ──────────────────────────────────────────────────────────────────────────────────────

interface Copy extends AsyncDisposable {
  readonly folder: string
  /** Writes a file anew, always of the text that it was copied with. */
  readonly change: (path: string, edit: (text: string) => string) => Promise<void>
}

type Loop = (copy: Copy, number: number) => ReturnType<Bout['run']>

/** Delivers the copy as it is, so that each run differs from the one before in one thing; at the end the working tree runs again. */
async function openLoop(bench: Bench, loop: Loop): Promise<Bout> {
  const copy = await copyOfTree()
  const dispose = () => copy[Symbol.asyncDispose]()
  try {
    await deploy(bench, copy)
  } catch (thrown) {
    await dispose()
    throw thrown
  }
  return {
    run: (number) => loop(copy, number),
    async [Symbol.asyncDispose]() {
      await dispose()
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

/** With our own folder, where the kubeconfig is. */
const deploy = ({ npm }: Bench, { folder }: Copy) => npm('local:deploy', [], { cwd: folder, env: { HOLDFAST_DIR: resolve(ownDir()) } })

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

const LOOK_MS = 100
const ANSWER_MS = 2_000

async function versionOf(cluster: Cluster): Promise<string> {
  const response = await cluster.fetch('service', '/health', { signal: AbortSignal.timeout(ANSWER_MS) })
  const version = response.headers.get('x-version')
  await response.body?.cancel()
  if (version === null) throw new Failure({ what: 'Cannot measure', why: 'the service does not say its version' })
  return version
}

async function untilOtherVersion(cluster: Cluster, before: string, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const now = await versionOf(cluster).catch(() => before)
    if (now !== before) return
    await sleep(LOOK_MS, undefined, { signal })
  }
  signal.throwIfAborted()
}
