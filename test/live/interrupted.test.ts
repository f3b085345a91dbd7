/** A run that does not come to its end leaves no fault behind: not after Ctrl-C or the stop button, and after kill -9 not after the next command. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { type Cluster, containerOf, lookAll, openContext, openEntries, openRun, rolledOut, runOne, WORKLOAD_PODS } from '#core'
import { exec } from '#kit/exec'
import { root } from '#kit/paths'
import { createProgress } from '#kit/progress'
import { pending, ready, terminal, waitFor } from '#kit/wait'
import { allPodsKilled } from '../../chart/scenarios/pods.ts'
import { stack } from '../../holdfast.config.ts'
import { assert, suite } from '../suite.ts'
import { clusterName, runningCluster } from './stack.ts'

const test = suite('interrupted')
const TEST_TIMEOUT_MS = 240_000
/** What it breaks stands in Git, so that nothing but its undo mends it. */
const EXPERIMENT = 'image-missing'
const COMMAND = [join(root, 'scripts', 'chaos.ts'), '--name', clusterName]

let cluster: Cluster
test.before(async () => {
  cluster = await runningCluster()
})

/** A command of ours that runs; whatever becomes of its test, it ends with it. */
interface Running extends Disposable {
  readonly child: ChildProcess
  /** What it has printed so far. */
  printed(): string
}

function start(): Running {
  const child = spawn(process.execPath, [...COMMAND, EXPERIMENT], { stdio: ['ignore', 'pipe', 'pipe'] })
  let printed = ''
  const keep = (text: string) => {
    printed += text
  }
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', keep)
  return { child, printed: () => printed, [Symbol.dispose]: () => void child.kill('SIGKILL') }
}

async function untilBroken({ child, printed }: Running, signal: AbortSignal): Promise<void> {
  const look = async () => {
    if (child.exitCode !== null) return terminal(`the command ended with exit code ${child.exitCode}:\n${printed()}`)
    const pods = await cluster.kube.list(WORKLOAD_PODS)
    const waiting = pods.map((pod) => containerOf(pod)?.state?.waiting?.reason ?? 'running')
    return waiting.some((reason) => /ImagePull/.test(reason)) ? ready(undefined) : pending(waiting.join(', '))
  }
  await waitFor('the fault', look, { timeoutMs: 90_000, signal })
}

const journal = () => openEntries(cluster.kube)
const deployed = async (signal: AbortSignal) =>
  (await (await stack.git(cluster, signal)).readDeploy()).files.get('environments/dev/service.yaml')

async function untilMended(signal: AbortSignal): Promise<void> {
  const context = await openContext(stack, { name: clusterName, signal })
  await waitFor('the workload to be rolled out', () => lookAll([rolledOut], context), { timeoutMs: 90_000, signal })
}

test(
  'after Ctrl-C the fault is undone before the command ends, with 130',
  async ({ signal }) => {
    const before = await deployed(signal)
    using run = start()
    await untilBroken(run, signal)
    run.child.kill('SIGINT')
    const [code] = await once(run.child, 'exit', { signal })
    assert.is(code, 130)
    assert.equal(await journal(), [])
    assert.is(await deployed(signal), before)
    await untilMended(signal)
  },
  { timeoutMs: TEST_TIMEOUT_MS },
)

test(
  'after kill -9 the journal is in the cluster, and --undo undoes what it holds and then finds nothing',
  async ({ signal }) => {
    const before = await deployed(signal)
    using run = start()
    await untilBroken(run, signal)
    run.child.kill('SIGKILL')
    await once(run.child, 'exit', { signal })
    assert.ok((await journal()).length > 0)
    assert.is.not(await deployed(signal), before)
    const undone = await exec(process.execPath, [...COMMAND, '--undo'], { signal })
    assert.match(undone.stdout, new RegExp(`^Undid what an interrupted run had left: ${EXPERIMENT}$`, 'm'))
    assert.equal(await journal(), [])
    assert.is(await deployed(signal), before)
    await untilMended(signal)
    assert.is((await exec(process.execPath, [...COMMAND, '--undo'], { signal })).stdout.trim(), 'There is nothing to undo')
  },
  { timeoutMs: TEST_TIMEOUT_MS },
)

test(
  'an experiment that harms users more than it may is stopped, undone, and aborted',
  async ({ signal }) => {
    using progress = createProgress()
    await using run = await openRun(stack, { name: clusterName, progress, signal })
    const { harm } = allPodsKilled
    assert.ok(harm !== undefined)
    const { judgement } = await runOne(run, { ...allPodsKilled, harm: { ...harm, limit: { failedShare: 0.05, forMs: 3_000 } } })
    assert.is(judgement.verdict, 'aborted')
    assert.match(judgement.reason, /^Stopped: \d+ % of the requests/)
    assert.equal(await journal(), [])
    await untilMended(signal)
  },
  { timeoutMs: TEST_TIMEOUT_MS },
)

test(
  'what would be hit is printed, and nothing is',
  async ({ signal }) => {
    const { stdout } = await exec(process.execPath, [...COMMAND, 'all-pods-killed', '--dry-run'], { signal })
    const pods = await cluster.kube.list(WORKLOAD_PODS)
    assert.match(stdout, new RegExp(`^all-pods-killed: ${pods.length} objects in dev$`, 'm'))
    for (const { metadata } of pods) assert.ok(stdout.includes(metadata.name))
    assert.equal(
      (await cluster.kube.list(WORKLOAD_PODS)).map(({ metadata }) => metadata.uid),
      pods.map(({ metadata }) => metadata.uid),
    )
  },
  { timeoutMs: 60_000 },
)

test.run()
