/** `npm test`: the gates, then the tests from the cheapest to the dearest; the last line sums them up. */
import { bringUp } from '#core'
import { type Counts, formatCounts, isGreen, sumCounts } from '#kit/counts'
import { messageOf } from '#kit/errors'
import { exec } from '#kit/exec'
import { type ProfileFlags, withProfile } from '#kit/flags'
import { readAbsence } from '#kit/gate/absence'
import { pickGates } from '#kit/gate/gate'
import { countsOf } from '#kit/gate/report'
import { runGates } from '#kit/gate/run'
import { Images } from '#kit/images'
import { type Invocation, main } from '#kit/main'
import { root } from '#kit/paths'
import { unknownName } from '#kit/pick'
import { runStage } from '#kit/stage'
import { runTestFolder } from '#kit/test-folder'
import { gates, stack } from '../holdfast.config.ts'

interface Flags extends ProfileFlags {
  readonly require: readonly string[]
}

/** One stage: a gate, each tool of which counts as one test, or a folder of tests. */
interface Stage {
  readonly name: string
  readonly run: (x: Invocation<Flags>) => Promise<Counts>
  readonly onStack?: boolean
  /** Needs the machine for itself: the stack is stopped meanwhile. @default false */
  readonly isAlone?: boolean
  /** Only run by its name. @default false */
  readonly isExtra?: boolean
}

const folder = (name: string): Stage => ({ name, run: (x) => runFolder(name, x) })
const gate = (name: string): Stage => ({ name, run: (x) => runGate(name, x) })

const STAGES: readonly Stage[] = [
  gate('lint'),
  gate('types'),
  folder('unit'),
  gate('secrets'),
  gate('licences'),
  gate('dependencies'),
  folder('config'),
  { ...folder('gates'), isExtra: true },
  { ...folder('contract'), onStack: true },
  { ...folder('live'), onStack: true },
  { ...folder('series'), onStack: true, isExtra: true },
  { ...folder('rehearsal'), isAlone: true },
  { ...folder('parity'), isAlone: true, isExtra: true },
]
/** A stack takes minutes: it is not brought up for code that is known to be broken. */
const BEFORE_STACK = ['lint', 'types', 'unit', 'secrets']
const CLUSTER = 'local'
const NOTHING_RAN: Counts = { passed: 0, failed: 0, skipped: 0 }
const FAILED: Counts = { ...NOTHING_RAN, failed: 1 }

await main<Flags>({
  name: 'test',
  summary: 'Runs the gates and the tests that every change must pass, or one stage',
  example: 'npm test -- unit wait',
  declare: (command) =>
    withProfile(command)
      .argument('[stage]', STAGES.map(({ name }) => name).join(', '))
      .argument('[filter]', 'of a folder of tests, only files whose name contains this')
      .option(
        '--require <name>',
        'fail where a test was skipped for want of this; repeatable',
        (name, all: string[]) => [...all, name],
        [],
      ),
  run,
})

async function run(x: Invocation<Flags>): Promise<number> {
  const stages = pickStages(x.args[0])
  const lookForTraces = x.args[0] === undefined ? await openTraces(x) : async () => NOTHING_RAN
  const results = await runStages(
    stages.filter(({ onStack, isAlone }) => !(onStack || isAlone)),
    x,
  )
  const broken = BEFORE_STACK.filter((name) => (results.get(name)?.failed ?? 0) > 0)
  const dear = [
    [stages.filter(({ onStack }) => onStack), runOnStack],
    [stages.filter(({ isAlone }) => isAlone), runAlone],
  ] as const
  for (const [some, runSome] of dear) {
    if (some.length === 0) continue
    if (broken.length > 0) x.progress.say(`${namesOf(some)} not run: ${broken.join(', ')} failed`)
    else
      await runSome(some, { results, lookForTraces, x }).catch((thrown) => void results.set(`around ${namesOf(some)}`, failed(thrown, x)))
  }
  results.set('traces', await lookForTraces())
  const total = sumCounts([...results.values()])
  process.stdout.write(`${formatCounts(total)}\n`)
  return isGreen(total) ? 0 : 1
}

function pickStages(name: string | undefined): readonly Stage[] {
  if (name === undefined) return STAGES.filter(({ isExtra = false }) => !isExtra)
  const picked = STAGES.filter((stage) => stage.name === name)
  if (picked.length > 0) return picked
  const known = STAGES.map((stage) => stage.name)
  throw unknownName(name, known, { what: `Cannot run the tests of '${name}'`, why: 'there is no stage of that name' })
}

type Results = Map<string, Counts>

interface Running {
  readonly results: Results
  readonly lookForTraces: () => Promise<Counts>
  readonly x: Invocation<Flags>
}

/** Runs stages in order; a red one does not stop the next. */
async function runStages(stages: readonly Stage[], x: Invocation<Flags>): Promise<Results> {
  const results: Results = new Map()
  for (const { name, run: runIt } of stages) {
    const guarded = () => runIt(x).catch((thrown) => failed(thrown, x))
    results.set(name, await runStage(name, guarded, { progress: x.progress, isGood: (counts) => counts.failed === 0 }))
  }
  return results
}

async function runOnStack(stages: readonly Stage[], { results, lookForTraces, x }: Running): Promise<void> {
  await withStack(x, async () => {
    for (const [name, counts] of await runStages(stages, x)) results.set(name, counts)
    results.set('traces of the stack', await lookForTraces())
  })
}

/** With the stack that runs, if one does, stopped for so long. */
async function runAlone(stages: readonly Stage[], { results, x }: Running): Promise<void> {
  const { local } = stack.clusters
  await using _lock = await local.lock(CLUSTER, 'npm test')
  await using _paused = await local.pause(CLUSTER)
  for (const [name, counts] of await runStages(stages, x)) results.set(name, counts)
}

/** Syncs the stack that runs to the working tree, or brings one up for the time of `work` and takes it down again. */
async function withStack({ progress, signal }: Invocation<Flags>, work: () => Promise<void>): Promise<void> {
  const { local } = stack.clusters
  await using _lock = await local.lock(CLUSTER, 'npm test')
  const wasThere = await local.exists(CLUSTER)
  try {
    await bringUp(stack, { name: CLUSTER, images: new Images({ progress, signal }), progress, signal })
    await work()
  } finally {
    if (!wasThere) await local.down({ name: CLUSTER, all: false, progress })
  }
}

async function runGate(name: string, { flags, progress, signal }: Invocation<Flags>): Promise<Counts> {
  const absence = await readAbsence(flags.profile, gates)
  return countsOf(await runGates(pickGates(gates, [name]), { root, absence, progress, signal }))
}

function runFolder(name: string, { args, flags, progress, signal }: Invocation<Flags>): Promise<Counts> {
  return runTestFolder(name, { filter: args[1] ?? '', env: { HOLDFAST_REQUIRE: flags.require.join(',') }, progress, signal })
}

/** What tests must not add to, a line for each: what Git sees of the working tree, and ports that others can reach. */
async function lookAround(): Promise<readonly string[]> {
  const { stdout } = await exec('git', ['status', '--porcelain'], { cwd: root, accept: [0, 128] }) // 128: no repository
  const ports = await stack.clusters.local.portsBeyondLoopback()
  return [...stdout.split('\n').filter((line) => line !== ''), ...ports.map((port) => `port ${port} listens beyond 127.0.0.1`)]
}

/** Each look counts as one test. Who edits the tree meanwhile reads here that it is not the one that was tested. */
async function openTraces({ progress }: Invocation<Flags>): Promise<() => Promise<Counts>> {
  const before = await lookAround()
  return async () => {
    const added = (await lookAround()).filter((line) => !before.includes(line))
    for (const line of added) progress.say(`✗ since the tests began: ${line}`)
    return added.length === 0 ? { ...NOTHING_RAN, passed: 1 } : FAILED
  }
}

/** A stage that cannot run is a failed test; an interrupt ends everything. */
function failed(thrown: unknown, { progress, signal }: Invocation<Flags>): Counts {
  signal.throwIfAborted()
  progress.say(`  ${thrown instanceof TypeError ? thrown.stack : messageOf(thrown)}`)
  return FAILED
}

function namesOf(stages: readonly Stage[]): string {
  return stages.map(({ name }) => name).join(', ')
}
