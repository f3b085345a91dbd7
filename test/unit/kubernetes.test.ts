/** Another version of Kubernetes: what a move would be, what is pinned, what a move shows. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type Context,
  type KubernetesReport,
  kubernetesJson,
  type LoadProfile,
  type LoadSummary,
  type MovedNode,
  planKubernetes,
  problemOf,
  renderKubernetes,
  renderKubernetesPlan,
  startRelay,
} from '#core'
import { UserError } from '#kit/errors'
import { root } from '#kit/paths'
import { pending, ready, waitFor } from '#kit/wait'
import { stack } from '../../holdfast.config.ts'
import { NODE_IMAGES, versionsOf } from '../../local/node/image.ts'
import { assert, suite } from '../suite.ts'
import { createWorld } from './upgrade-fixture.ts'

const test = suite('kubernetes')

// ── The plan ────────────────────────────────────────────────────────────────────────────────────────────────────────

test('to the pinned version it goes from the one before, to any other one from the pinned one', async () => {
  const { stack: fake } = await createWorld()
  const wayTo = (to: string) => {
    const { from, isBack } = planKubernetes(fake, { name: 'demo', to })
    return { from, isBack }
  }
  assert.equal(wayTo('1.36.3'), { from: '1.36.2', isBack: false })
  assert.equal(wayTo('v1.36.2'), { from: '1.36.3', isBack: true })
  assert.equal(wayTo('1.36.4'), { from: '1.36.3', isBack: false })
})

test('a plan says which cluster is made, which is spared, and who comes first', async () => {
  const { stack: fake } = await createWorld()
  assert.is(
    renderKubernetesPlan(planKubernetes(fake, { name: 'demo', to: '1.36.2' })),
    [
      'kubernetes 1.36.3 → 1.36.2 (back)',
      "    on a cluster of its own, 'demo-upgrade', with 2 nodes, which is removed afterwards; 'demo' is not touched",
      '    order: the agents, then the node with the API server',
      '    proofs before and after: always-works',
      '    parts: tool, other',
    ].join('\n'),
  )
})

test('the cluster of its own has a name that commands take', async () => {
  const { stack: fake } = await createWorld()
  const { cluster, spared } = planKubernetes(fake, { name: 'a-name-of-20-letters', to: '1.36.3' })
  assert.equal([cluster, spared], ['a-name-of-20-upgrade', 'a-name-of-20-letters'])
})

test('a version that is missing, unknown or the oldest is refused with one sentence', async () => {
  const { stack: fake } = await createWorld()
  const oldest = {
    ...fake,
    clusters: { ...fake.clusters, local: { ...fake.clusters.local, kubernetes: { pinned: '1.36.2', known: ['1.36.2'] } } },
  }
  for (const [given, to, sentence] of [
    [fake, undefined, "Cannot upgrade 'kubernetes': no version is named. Add --to 1.36.2 or --to 1.36.3 or --to 1.36.4"],
    [
      fake,
      '1.37.3',
      "Cannot upgrade 'kubernetes' to '1.37.3': that version is not pinned here. Did you mean '1.36.3'? Known: 1.36.2, 1.36.3, 1.36.4",
    ],
    [oldest, '1.36.2', "Cannot upgrade 'kubernetes' to '1.36.2': no version before it is pinned here to come from"],
  ] as const) {
    const error = await assert.rejects(
      (async () => planKubernetes(given, { name: 'demo', ...(to === undefined ? {} : { to }) }))(),
      sentence,
    )
    assert.instance(error, UserError)
  }
})

test('every proof of a move is one that the parts on the second cluster have', () => {
  const { parts, proofs } = stack.kubernetes
  const known = parts.flatMap(({ scenarios }) => scenarios).filter(({ kind }) => kind === 'proof')
  assert.equal(
    proofs.filter((name) => !known.some((proof) => proof.name === name)),
    [],
  )
  assert.not.ok(
    parts.some(({ name }) => name === 'database'),
    'it is one pod on a volume of one node',
  )
})

// ── What is pinned ──────────────────────────────────────────────────────────────────────────────────────────────────

const MODULE = /^(?:\t|replace .* => )(\S+) (v\S+)/

test('each version is built of the same modules, all of Kubernetes among them at that version', async () => {
  const { pinned, known } = versionsOf(NODE_IMAGES)
  assert.ok(known.length >= 2 && known.includes(pinned))
  const own = await modulesAt('local/node')
  for (const [version, { build }] of NODE_IMAGES) {
    const kube = build?.inputs?.find((input) => input.kind === 'go' && input.to === 'bin/kube')
    const pins = kube?.kind === 'go' ? (kube.pins ?? kube.goMod) : ''
    const modules = await modulesAt(pins)
    assert.is(modules.get('k8s.io/kubernetes'), `v${version}`, pins)
    assert.is(modules.get('k8s.io/kubelet'), `v${version.replace(/^1/, '0')}`, pins)
    const at = (module: string, text: string) =>
      module.startsWith('k8s.io/') ? text.replace(/^v([01])\.36\.\d+$/, `v$1${version.replace(/^1/, '')}`) : text
    for (const [module, found] of own) assert.is(modules.get(module), at(module, found), `${module} in ${pins}`)
    assert.is(modules.size, own.size)
  }
})

async function modulesAt(folder: string): Promise<ReadonlyMap<string, string>> {
  const text = await readFile(join(root, folder, 'go.mod'), 'utf8')
  const found = text.split('\n').flatMap((line) => MODULE.exec(line)?.slice(1, 3) ?? [])
  return new Map(Array.from({ length: found.length / 2 }, (_, i) => [found[2 * i] ?? '', found[2 * i + 1] ?? '']))
}

// ── What a move shows ───────────────────────────────────────────────────────────────────────────────────────────────

const moved: MovedNode = {
  node: 'holdfast-demo-upgrade',
  says: ['v1.36.3', 'v1.36.3+k3s1'],
  served: 1,
  emptiedMs: 12_000,
  replacedMs: 14_000,
  healthyMs: 9_000,
  load: { outcome: 'true', seen: '0 of 900 requests failed' },
}

test('a node counts as moved where all of it says so, requests were answered all the while, and the service had run on it', () => {
  assert.is(problemOf(moved, '1.36.3'), undefined)
  assert.is(problemOf(moved, '1.36.30'), 'it says that it is v1.36.3')
  assert.is(problemOf({ ...moved, says: ['v1.36.3', 'v1.36.2'] }, '1.36.3'), 'it says that it is v1.36.2')
  for (const outcome of ['false', 'no data'] as const)
    assert.is(problemOf({ ...moved, load: { outcome, seen: 'what was seen' } }, '1.36.3'), 'load: what was seen')
  assert.is(problemOf({ ...moved, served: 0 }, '1.36.3'), 'no pod of the service ran on it: its move shows nothing')
})

const report: KubernetesReport = {
  ...{ part: 'kubernetes', from: '1.36.2', to: '1.36.3', cluster: 'demo-upgrade', spared: 'demo', held: true },
  ...{ before: [], nodes: [moved], after: [] },
}

test('a report says what was seen of each node, and what it means for the cluster that was spared', () => {
  assert.is(
    renderKubernetes(report),
    [
      '✓ kubernetes 1.36.2 → 1.36.3: every node moved, and nobody noticed',
      '    holdfast-demo-upgrade says v1.36.3 and v1.36.3+k3s1: empty after 12.0 s, ready again 14.0 s later, all Healthy 9.0 s later; pods of the service that moved: 1',
      '        load: 0 of 900 requests failed',
      "    'demo-upgrade' is gone; 'demo' was not touched: it runs what it ran",
    ].join('\n'),
  )
})

test('one that did not hold says why, and whether there is a way back', () => {
  const red = { ...report, nodes: [], held: false, why: 'Cannot keep it: no' }
  const back = { nodes: ['a', 'b'], holds: true, proofs: [] }
  assert.is(
    renderKubernetes({ ...red, back }),
    [
      '✗ kubernetes 1.36.2 → 1.36.3: Cannot keep it: no',
      '    way back: there is one: a, b of 1.36.2 again, on the same data',
      "    'demo-upgrade' is gone; 'demo' was not touched: it runs what it ran. Do not pin 1.36.3",
    ].join('\n'),
  )
  assert.match(
    renderKubernetes({ ...red, back: { ...back, holds: false, why: 'it ended' } }),
    '\n    way back: there is none in place: it ended\n',
  )
  assert.equal(JSON.parse(kubernetesJson({ ...red, back })).back, back)
})

// ── Load ────────────────────────────────────────────────────────────────────────────────────────────────────────────

test('a leg that is begun early puts off the next one', async ({ signal }) => {
  const world = await createWorld()
  const begun: { name: string; atMs: number }[] = []
  const { context } = world.run
  const load: Context['load'] = {
    ...context.load,
    async start(profile: LoadProfile) {
      begun.push({ name: profile.name, atMs: Date.now() })
      const done = Promise.resolve<LoadSummary>({ profile: profile.name, planned: 1, requests: 1, dropped: 0, failed: 0, exitCode: 0 })
      return { done, async [Symbol.asyncDispose]() {} }
    },
  }
  // Two seconds from one leg to the next.
  const relay = await startRelay({ ...context, load }, { legMs: 17_000 })
  await sleep(400)
  await relay.renew()
  const third = async () => (begun.length >= 3 ? ready(undefined) : pending(`${begun.length} legs`))
  await waitFor('the third leg', third, { timeoutMs: 8_000, everyMs: 20, signal })
  const { legs, problem } = await relay.end()
  assert.equal([legs.length, problem], [3, undefined])
  assert.equal(
    begun.map(({ name }) => name),
    ['relay-1', 'relay-2', 'relay-3'],
  )
  const [, second = 0, last = 0] = begun.map(({ atMs }) => atMs)
  assert.ok(last - second >= 1_990, `${last - second} ms`)
})

test.run()
