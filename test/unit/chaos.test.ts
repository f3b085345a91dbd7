/** The menu of chaos: what every experiment must say and be, and what the command refuses before it asks a cluster. */
import {
  checkBreakable,
  endsOf,
  explain,
  listScenarios,
  plannedRequests,
  renderHits,
  type Scenario,
  type Step,
  selectScenarios,
  sumMs,
} from '#core'
import { UserError } from '#kit/errors'
import { createRandom, shuffled } from '#kit/random'
import { stack } from '../../holdfast.config.ts'
import { planOf } from '../../load/plan.ts'
import { assert, suite } from '../suite.ts'

const test = suite('chaos')

const { local, production } = stack.timing
const all = (['dev', 'staging'] as const).flatMap((environment) => selectScenarios(stack, 'chaos', { environment, all: true }))
const loadsOf = (scenario: Scenario) => scenario.steps(local).flatMap((step) => (step.kind === 'load' ? [step.profile] : []))
const lastingMs = (scenario: Scenario) =>
  Math.max(...loadsOf(scenario).map(({ stages }) => stages.reduce((sum, { forMs }) => sum + forMs, 0)))
const isWait = (step: Step) => step.kind !== 'act' && step.kind !== 'load'

/** The load generator runs in the node, and would go with it. */
const ASKED_FROM_OUTSIDE = ['node-restarted']

for (const scenario of all) {
  test(`${scenario.name} is a whole experiment`, () => {
    const { name, about, harm, mutants, steady } = scenario
    assert.match(name, /^[a-z]+(-[a-z]+)*$/)
    assert.match(about, /^[A-Z].*\.$/s)
    assert.match(harm?.held ?? '', /^[A-Z].*\.$/s)
    assert.ok((harm?.limit.failedShare ?? 1) < 1 && (harm?.limit.forMs ?? 0) > 0, 'a share that can be exceeded')
    assert.ok(steady.length > 0)
    const steps = scenario.steps(local)
    assert.is(steps.filter((step) => step.kind === 'until' && step.isBite === true).length, 1, 'one bite')
    assert.is(new Set(steps.map((step) => step.name)).size, steps.length, 'no two steps have one name')
    assert.ok(steps.some(isWait))
    const expected = mutants.map(({ expect }) => expect)
    assert.ok(expected.includes('violated') && expected.includes('not injected'), expected.join(', '))
    assert.is(new Set(mutants.map((mutant) => mutant.name)).size, mutants.length, 'no two mutants have one name')
  })

  test(`${scenario.name} sends load that the generator accepts`, () => {
    const loads = loadsOf(scenario)
    assert.ok(loads.length > 0 || ASKED_FROM_OUTSIDE.includes(scenario.name))
    for (const profile of loads) {
      assert.ok(planOf(profile, 'http://service.dev.svc.cluster.local').options)
      assert.ok(plannedRequests(profile) > 0)
    }
  })

  test(`${scenario.name} bounds a time, on both clocks`, () => {
    for (const timing of [local, production]) assert.ok(scenario.bounds(timing).length > 0)
  })
}

for (const scenario of stack.parts.flatMap((part) => part.scenarios))
  test(`${scenario.name} bounds times between steps that it has, on both clocks`, () => {
    for (const timing of [local, production]) {
      const steps = scenario.steps(timing)
      const names = steps.map((step) => step.name)
      for (const bound of scenario.bounds(timing)) {
        const { from, to } = endsOf(bound, steps)
        assert.ok(names.includes(from), `no step '${from}'`)
        assert.ok(names.indexOf(from) < names.indexOf(to), `'${to}' does not follow '${from}'`)
        const upperMs = sumMs(bound.partsMs)
        assert.ok(upperMs > bound.lowerMs && Number.isFinite(upperMs), `${bound.lowerMs} to ${upperMs}`)
      }
    }
  })

/** Of what an experiment takes beside its load: the steady state before and after it, the load's pod, the undo. */
const BESIDE_MS = 20_000

test('the default set fits into eight minutes', () => {
  const set = selectScenarios(stack, 'chaos')
  assert.ok(set.length >= 6)
  const totalMs = set.reduce((sum, scenario) => sum + lastingMs(scenario) + BESIDE_MS, 0)
  assert.ok(totalMs <= 8 * 60_000, `${totalMs} ms`)
})

test('no two scenarios of the stack have one name', () => {
  const names = stack.parts.flatMap(({ scenarios }) => scenarios.map(({ name }) => name))
  assert.is(new Set(names).size, names.length)
})

test('a proof that does harm is on both menus, and stays in the default set of its own alone', () => {
  const names = (kind: 'proof' | 'chaos', withExtra: boolean) => selectScenarios(stack, kind, { all: withExtra }).map(({ name }) => name)
  for (const kind of ['proof', 'chaos'] as const) assert.ok(names(kind, true).includes('image-missing'), kind)
  assert.ok(names('proof', false).includes('image-missing'))
  assert.not.ok(names('chaos', false).includes('image-missing'))
  assert.not.ok(names('proof', true).includes('pod-killed'))
})

test('--list --json names every experiment with its mutants', () => {
  const rows = JSON.parse(listScenarios(stack, 'chaos', { json: true })) as { name: string; mutants: string[]; held: string }[]
  assert.is(rows.length, all.length)
  for (const { name, mutants, held } of rows) assert.ok(name !== '' && mutants.length >= 2 && held !== '', name)
})

function refusal(work: () => unknown): string {
  try {
    work()
    return 'nothing'
  } catch (thrown) {
    assert.instance(thrown, UserError)
    return (thrown as Error).message
  }
}

test('prod is never broken on purpose, and an unknown experiment is answered with the nearest', () => {
  assert.is(
    refusal(() => checkBreakable('prod')),
    'Cannot begin with chaos: nothing is broken on purpose in prod. Use --env dev or --env staging',
  )
  assert.is(checkBreakable('staging'), 'staging')
  assert.match(
    refusal(() => selectScenarios(stack, 'chaos', { names: ['pod-kiled'] })),
    /^Cannot run 'pod-kiled': there is no such experiment\. Did you mean 'pod-killed'\?/,
  )
  assert.is(
    refusal(() => selectScenarios(stack, 'chaos', { names: ['pod-killed'], environment: 'staging' })),
    "Cannot run 'pod-killed' in staging: it is an experiment of dev. Add --env dev",
  )
})

test('what would be hit is counted, and named object by object', () => {
  const pod = (name: string) => ({ apiVersion: 'v1', kind: 'Pod', namespace: 'dev', name })
  const hits = [{ name: 'all-pods-killed', targets: [pod('a'), pod('b')] }]
  assert.is(renderHits(hits, {}), 'all-pods-killed: 2 objects in dev\n    Pod dev/a\n    Pod dev/b')
  assert.equal(JSON.parse(renderHits(hits, { json: true })), hits)
})

test('an experiment is explained by what it does and by what holds its fault', () => {
  const killed = all.find(({ name }) => name === 'pod-killed')
  assert.ok(killed !== undefined)
  assert.match(explain(killed), /^pod-killed: Kills the process of a pod: .+\n {4}Nothing has to be held: /)
})

test('a seed draws the same order again, another one another', () => {
  const items = Array.from({ length: 20 }, (_, i) => i)
  const drawn = (seed: number) => shuffled(items, createRandom(seed))
  assert.equal(drawn(7), drawn(7))
  assert.not.equal(drawn(7), drawn(8))
  assert.equal(
    drawn(7).toSorted((a, b) => a - b),
    items,
  )
  const random = createRandom(1)
  const mean = Array.from({ length: 10_000 }, random).reduce((sum, value) => sum + value, 0) / 10_000
  assert.ok(Math.abs(mean - 0.5) < 0.01, String(mean))
})

test.run()
