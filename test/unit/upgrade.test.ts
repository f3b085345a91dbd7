/** Moving a part of the platform to another version, and the way back. */
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import {
  judgeRelay,
  listUpgrades,
  lookAtPrograms,
  parseUpgrade,
  planUpgrade,
  type Relayed,
  renderPlan,
  renderUpgrade,
  runningVersions,
  settleAll,
  type UpgradeReport,
  unlessDown,
  upgrade,
  upgradeJson,
  versionedIn,
  versionIn,
} from '#core'
import { Failure, Interrupted, UserError } from '#kit/errors'
import type { Kube, KubeObject } from '#kit/kube'
import { reportsDir } from '#kit/paths'
import { pending, ready } from '#kit/wait'
import { assert, suite } from '../suite.ts'
import { createWorld, PROOF, type Version, type World } from './upgrade-fixture.ts'

const test = suite('upgrade')
/** The proof of the fixture leaves its records where all are. */
test.after(async () => {
  const folder = join(reportsDir(), 'runs')
  const own = (await readdir(folder)).filter((file) => file.endsWith(`-${PROOF}.json`))
  for (const file of own) await rm(join(folder, file))
})

async function move(world: World, to: Version): Promise<UpgradeReport> {
  return upgrade(world.run, world.stack, { ...parseUpgrade(world.stack, { part: 'tool', to }), images: world.images })
}

const messages = ({ commits }: World) => commits.map(({ message }) => message)
const versionInGit = ({ commits, stack }: World) => {
  const { part, upgrades } = parseUpgrade(stack, { part: 'tool', to: '1.0.0' })
  return versionIn(commits.at(-1)?.files ?? new Map(), part, upgrades)
}

test('a version that holds is moved to by one commit, and what runs says that it is the new one', async () => {
  const world = await createWorld()
  const report = await move(world, '1.1.0')
  assert.equal([report.moved, report.from, report.to], [true, '1.0.0', '1.1.0'])
  assert.equal(messages(world), ['Install', 'Move tool from 1.0.0 to 1.1.0'])
  assert.is(report.commit, world.commits.at(-1)?.sha)
  assert.equal(report.programs, [{ pod: 'tool-0', image: `quay.io/acme/tool@sha256:${'b'.repeat(64)}`, version: '1.1.0' }])
  assert.equal([report.before.length, report.after.length, report.load?.outcome], [1, 1, 'true'])
  assert.equal([world.open(), world.applied], [[], []], 'nothing is left to undo, and all went through Git')
  const text = renderUpgrade(report)
  assert.match(text, /^✓ tool 1\.0\.0 → 1\.1\.0: Healthy after .*, by commit ddddddd of deploy\n {4}before: ✓ always-works: held/)
  assert.match(
    text,
    /tool-0 says 1\.1\.0 \(quay\.io\/acme\/tool@sha256:b+\)\n {4}load: 0 of \d+ requests failed, 0 dropped, widest gap \d+ ms$/,
  )
  assert.is(JSON.parse(upgradeJson(report)).after[0].verdict, 'held')
})

/** It runs what it ran, Git says so, and nothing is left to undo. */
function isBack(world: World): void {
  assert.equal([world.running(), versionInGit(world), world.open()], ['1.0.0', '1.0.0', []])
  assert.is(messages(world).at(-1), 'Back to tool 1.0.0')
}

test('a proof that does not hold afterwards takes it back by a commit', async () => {
  const world = await createWorld()
  const report = await move(world, 'red')
  isBack(world)
  assert.equal(world.applied, [], 'what syncs runs, and syncs that too')
  assert.is(report.moved, false)
  assert.is(report.why, 'Cannot keep tool red: always-works is violated: it works: looked')
  assert.is(report.programs[0]?.version, '1.0.0')
  assert.match(renderUpgrade(report), /^✗ tool 1\.0\.0 → red: went back to 1\.0\.0, by commit ddddddd of deploy: Cannot keep tool red/)
})

test('a version that cannot start takes what syncs with it: the one before is applied directly too, over its stuck pod', async () => {
  const world = await createWorld()
  const report = await move(world, 'dead')
  isBack(world)
  assert.equal(world.applied, ['StatefulSet'])
  assert.match(report.why ?? '', /is of no use: Pod 'tools\/tool-0' crashes again and again: container 'tool' ended 2 times/)
  assert.equal(report.after, [])
})

test('the first request that fails takes it back at once', async () => {
  const world = await createWorld()
  const report = await move(world, 'lossy')
  isBack(world)
  assert.is(report.why, 'Cannot go on: 3 of the 10 requests of one second failed')
})

test(
  'load that was not measured is no pass',
  async () => {
    for (const [summary, why] of [
      [{ dropped: 1 }, /^Cannot keep tool 1\.1\.0: load: 0 of \d+ requests failed, 1 dropped/],
      [{ requests: 12 }, /^Cannot keep tool 1\.1\.0: load: only 12 of 450 requests were sent/],
      [{ exitCode: 137, problem: 'its pod went away before its end' }, /load: its pod went away before its end/],
    ] as const) {
      const world = await createWorld()
      Object.assign(world.summary, summary)
      assert.match((await move(world, '1.1.0')).why ?? '', why)
      isBack(world)
    }
  },
  { timeoutMs: 30_000 },
)

test('a proof that does not hold before is a failure, and nothing is moved', async () => {
  const world = await createWorld()
  await move(world, '1.1.0')
  const before = world.commits.length
  const [tool] = world.stack.parts
  Object.assign(tool?.scenarios[0] ?? {}, { claims: () => [{ name: 'it works', check: () => ({ outcome: 'no data', seen: 'nothing' }) }] })
  const error = await assert.rejects(move(world, '1.0.0'), /^Cannot move/)
  assert.instance(error, Failure)
  assert.is(error.message, 'Cannot move tool from 1.1.0: always-works is no data: it works: nothing')
  assert.equal([world.commits.length, world.open(), world.running()], [before, [], '1.1.0'])
})

test('what Argo CD is made of is down when too few of its pods are ready, or it is not there', async () => {
  const world = await createWorld()
  const { kube } = world.run.context.cluster
  const files = Object.fromEntries(world.commits.at(-1)?.files ?? [])
  const look = async () => pending('not compared')
  assert.equal(await unlessDown(kube, files, look), pending('not compared'))
  const gone = { ...kube, get: async () => undefined } as unknown as Kube
  assert.equal(await unlessDown(gone, files, look), ready(false))
  assert.equal(await unlessDown(gone, files, async () => ready(true)), ready(true), 'what it has done, it has done')
})

test('an interrupt in the middle goes back first', async () => {
  const world = await createWorld()
  world.onProof = (version) => version === '1.1.0' && world.abort(new Interrupted('SIGINT'))
  const error = await assert.rejects(move(world, '1.1.0'), 'Interrupted by SIGINT')
  assert.instance(error, Interrupted)
  isBack(world)
  assert.equal(world.said.slice(-2), ['Going back to tool 1.0.0: Interrupted by SIGINT', 'tool runs 1.0.0 again'])
})

test('what cannot go back says so, and the next command does, by the journal', async () => {
  const world = await createWorld()
  world.onProof = (version) => {
    world.gitIsDown = version === 'red'
  }
  const error = await assert.rejects(move(world, 'red'), /^Cannot go back/)
  assert.is(
    error.message,
    'Cannot go back to tool 1.0.0: Cannot push: Git is down. Run npm run local:up, which tries it again, and installs what the working tree pins',
  )
  assert.equal([world.running(), world.open()], ['red', ['Move tool from 1.0.0 to red']])
  world.gitIsDown = false
  assert.equal(await settleAll(world.run.context), ['Move tool from 1.0.0 to red'])
  isBack(world)
})

// ── What is asked for ───────────────────────────────────────────────────────────────────────────────────────────────

const KNOWN = '1.0.0, 1.1.0, dead, red, lossy'

test('what is missing, unknown or the only one is refused with one sentence', async () => {
  const { stack } = await createWorld()
  const told = (named: { part?: string; to?: string }): string => {
    try {
      parseUpgrade(stack, named)
    } catch (thrown) {
      assert.instance(thrown, UserError)
      return (thrown as Error).message
    }
    return 'not refused'
  }
  assert.is(told({}), 'Cannot upgrade: no part is named. Add --part tool or --part kubernetes')
  assert.is(
    told({ part: 'tol', to: '1' }),
    "Cannot upgrade 'tol': there is no such part. Did you mean 'tool'? Parts with several: tool, kubernetes",
  )
  assert.is(told({ part: 'other' }), "Cannot upgrade 'other': one version of it alone is pinned here. Parts with several: tool, kubernetes")
  assert.match(told({ part: 'tool' }), "Cannot upgrade 'tool': no version is named. Add --to 1.0.0 or --to 1.1.0")
  assert.is(
    told({ part: 'tool', to: '1.1.1' }),
    `Cannot upgrade 'tool' to '1.1.1': that version is not pinned here. Did you mean '1.1.0'? Known: ${KNOWN}`,
  )
  assert.is(parseUpgrade(stack, { part: 'tool', to: 'v1.1.0' }).to, '1.1.0')
})

test('the version that runs is refused, and a plan says which way it goes', async () => {
  const world = await createWorld()
  const { cluster } = world.run.context
  const plan = async (to: string) =>
    planUpgrade(parseUpgrade(world.stack, { part: 'tool', to }), { cluster, git: await world.run.context.git(), images: world.images })
  await assert.rejects(plan('1.0.0'), `Cannot upgrade 'tool' to '1.0.0': 1.0.0 runs already. Known: ${KNOWN}`)
  assert.is((await plan('1.1.0')).isBack, false)
  await move(world, '1.1.0')
  const back = await plan('1.0.0')
  assert.is(renderPlan(back), `tool 1.1.0 → 1.0.0 (back)\n    proofs before and after: always-works\n    image: sha256:${'a'.repeat(64)}`)
})

test('the list names parts with several versions, what is pinned, and the proofs', async () => {
  const { stack } = await createWorld()
  assert.equal(JSON.parse(listUpgrades(stack, { json: true })), [
    { name: 'tool', versions: KNOWN.split(', '), pinned: '1.1.0', proofs: ['always-works'] },
    { name: 'kubernetes', versions: ['1.36.2', '1.36.3', '1.36.4'], pinned: '1.36.3', proofs: ['always-works'] },
  ])
  assert.is(
    listUpgrades(stack, {}),
    `tool: ${KNOWN} (pinned: 1.1.0)\n    proofs: always-works\nkubernetes: 1.36.2, 1.36.3, 1.36.4 (pinned: 1.36.3)\n    proofs: always-works`,
  )
})

// ── Load ────────────────────────────────────────────────────────────────────────────────────────────────────────────

const LEG = { profile: 'relay-1', planned: 450, requests: 450, dropped: 0, failed: 0, exitCode: 0 }
const secondsUpTo = (lastMs: number) => Array.from({ length: lastMs / 1000 + 1 }, (_, i) => ({ requests: 10, failed: 0, atMs: i * 1000 }))

test('load counts from one moment to the other: a silence is no data, a failed request is false', () => {
  const span = { fromMs: 500, toMs: 20_500 }
  const whole: Relayed = { seconds: secondsUpTo(30_000), legs: [LEG] }
  assert.equal(judgeRelay(whole, span), { outcome: 'true', seen: '0 of 310 requests failed, 0 dropped, widest gap 1000 ms' })
  const without = (from: number, to: number) => ({ ...whole, seconds: whole.seconds.filter(({ atMs }) => atMs < from || atMs > to) })
  assert.is(judgeRelay(without(5000, 12_000), span).outcome, 'no data')
  assert.is(judgeRelay(without(5000, 10_000), span).outcome, 'true', 'as long as a request may take')
  assert.is(judgeRelay(without(13_000, 30_000), span).outcome, 'no data', 'it ended too early')
  assert.is(judgeRelay({ ...whole, legs: [] }, span).outcome, 'no data')
  assert.equal(judgeRelay({ ...whole, problem: 'no pod' }, span), { outcome: 'no data', seen: 'no pod' })
  const failing = { ...whole, seconds: whole.seconds.map((second) => ({ ...second, failed: second.atMs === 3000 ? 1 : 0 })) }
  assert.match(judgeRelay(failing, span).seen, /^1 of 310 requests failed/)
  assert.is(judgeRelay({ ...failing, problem: 'no pod' }, span).outcome, 'false', 'what failed has failed')
})

// ── What runs ───────────────────────────────────────────────────────────────────────────────────────────────────────

test('programs count once all of them run what Git names, and say so', async () => {
  const world = await createWorld()
  const { part, upgrades } = parseUpgrade(world.stack, { part: 'tool', to: '1.0.0' })
  const { kube } = world.run.context.cluster
  const workloads = versionedIn(world.commits.at(-1)?.files ?? new Map(), part, upgrades)
  const look = (version: string, more: object = {}, given = workloads) =>
    lookAtPrograms({ ...kube, ...more } as Kube, given, { version, upgrades })
  assert.is((await look('1.0.0')).state, 'ready')
  assert.equal(await look('1.1.0'), pending('tool-0 says 1.0.0 of its version'))
  assert.equal(await look('1.0.0', {}, []), pending("no workload runs the image 'acme/tool'"))
  const silent = { request: async () => 'no first lines any more' }
  assert.equal(await look('1.0.0', silent), pending('tool-0 says nothing of its version'))
  const quiet = await lookAtPrograms({ ...kube, ...silent } as unknown as Kube, workloads, {
    version: '1.0.0',
    upgrades,
    mayBeSilent: true,
  })
  assert.is(quiet.state, 'ready')
  const [pod] = await kube.list({ apiVersion: 'v1', kind: 'Pod' })
  assert.equal(await look('1.0.0', { list: async () => [pod, pod] }), pending('tool is not rolled out'), 'an old pod is still there')
  const image = `quay.io/acme/tool@sha256:${'b'.repeat(64)}`
  const stray = { ...pod, spec: { containers: [{ name: 'tool', image }] } }
  assert.equal(await look('1.0.0', { list: async () => [stray] }), pending(`tool-0 runs ${image}`))
})

test('the version of a part that runs is what its workload carries; what names none, or does not run, is left out', async () => {
  const { stack, commits, run } = await createWorld()
  const [set] = versionedIn(commits.at(-1)?.files ?? new Map(), ...partsOf(stack))
  const having = (...all: readonly (KubeObject | undefined)[]) =>
    ({ ...run.context.cluster.kube, list: async () => all }) as unknown as Kube
  assert.equal(await runningVersions(having(set), stack.parts), { tool: '1.0.0' })
  assert.equal(await runningVersions(having(), stack.parts), {})
})

function partsOf(stack: World['stack']) {
  const { part, upgrades } = parseUpgrade(stack, { part: 'tool', to: '1.1.0' })
  return [part, upgrades] as const
}

test.run()
