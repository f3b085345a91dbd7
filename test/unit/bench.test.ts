/** The bench: its arithmetic, its file, how a series goes on, and that README's table is what the file gives. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parse } from 'yaml'
import {
  type BenchResults,
  type BenchSeries,
  benchPath,
  benchTable,
  budgetText,
  chooseMeasures,
  continueBench,
  copiesIn,
  FIGURES,
  figureOf,
  formatBench,
  MEASURES,
  machineClass,
  measuredOn,
  measuredTimes,
  median,
  overBudget,
  parseBench,
  percentile,
  readBench,
  withoutMeasure,
  withSeries,
  withTable,
  writeBench,
} from '#core'
import { root } from '#kit/paths'
import { assert, suite } from '../suite.ts'
import { createTree } from './tree-fixture.ts'

const test = suite('bench')

const MACHINE = 'linux x64, 2 cores, 24 GiB'
const HEAD = { measure: 'warm', of: 3, commit: 'a'.repeat(40), code: 'abc', facts: { kernel: '6.1' } }

const series = (valuesMs: readonly number[], head: Partial<Omit<BenchSeries, 'runs'>> = {}): BenchSeries => ({
  ...HEAD,
  of: valuesMs.length,
  ...head,
  runs: valuesMs.map((ms) => ({ startedAt: '2026-11-26T05:00:00.000Z', values: { warm: [ms] } })),
})

const results = (...all: readonly BenchSeries[]): BenchResults => ({ version: 1, machines: [{ class: MACHINE, series: all }] })

// ── Arithmetic ──────────────────────────────────────────────────────────────────────────────────────────────────────

test('the median is the value in the middle, or halfway between the two that are', () => {
  assert.equal([median([3, 1, 2]), median([4, 1, 3, 2]), median([7]), median([])], [2, 2.5, 7, undefined])
})

test('p95 of fewer than 20 values is the slowest, of 20 the one before it', () => {
  const numbers = (n: number) => Array.from({ length: n }, (_, i) => n - i)
  assert.equal([percentile(numbers(19), 0.95), percentile(numbers(20), 0.95), percentile(numbers(100), 0.95)], [19, 19, 95])
})

test('a budget holds up to its limit, is not kept above it, and says by which share', () => {
  const warm = figureOf('warm')
  assert.equal(overBudget({ figure: warm, p50: 95_000, p95: 90_000 }), [])
  assert.is(budgetText({ figure: warm, p50: 80_000, p95: 90_000 }), 'p95 ≤ 1 min 30 s: kept')
  assert.is(budgetText({ figure: warm, p50: 80_000, p95: 90_001 }), 'p95 ≤ 1 min 30 s: **not kept** (p95)')
  const manifest = figureOf('manifest-live')
  assert.is(budgetText({ figure: manifest, p50: 6_000, p95: 7_000 }), 'median ≤ 5.0 s, p95 ≤ 8.0 s: **not kept** (median)')
  assert.is(budgetText({ figure: figureOf('growth-50-argocd'), p50: 1e9, p95: 1e9 }), '')
})

test('what the issue promises of the reference machine is what the figures say', () => {
  const promised = FIGURES.flatMap(({ id, budget }) => (budget === undefined ? [] : [[id, budget]]))
  assert.equal(Object.fromEntries(promised), {
    cold: { p95: 1_800_000 },
    warm: { p95: 90_000 },
    rerun: { p95: 5_000 },
    restore: { p95: 30_000 },
    'manifest-live': { p50: 5_000, p95: 8_000 },
    'code-live': { p95: 15_000 },
    'sync-live': { p95: 2_000 },
    drift: { p95: 1_500 },
  })
})

test('the class of a machine is its size, and no name of it', () => {
  const size = { platform: 'linux', arch: 'x64', cores: 2, memoryBytes: 25_200_000_000 }
  assert.is(machineClass(size), 'linux x64, 2 cores, 23 GiB')
  assert.is(machineClass({ ...size, cores: 1 }), 'linux x64, 1 core, 23 GiB')
})

// ── The file ────────────────────────────────────────────────────────────────────────────────────────────────────────

test('what is written is read again, a run a line', async () => {
  using tree = createTree({})
  const path = join(tree.path, 'deeper', 'bench.json')
  assert.equal(await readBench(path), { version: 1, machines: [] })
  const written = results(series([1, 2]), series([3], { measure: 'rerun' }))
  await writeBench(path, written)
  assert.equal(await readBench(path), written)
  assert.is(formatBench(written).match(/^ +\{"startedAt"/gm)?.length, 3)
})

const GOOD = JSON.parse(formatBench(results(series([1]))))

/** What is wrong, and how the error names it. */
const BAD: readonly (readonly [change: (file: typeof GOOD) => unknown, named: string])[] = [
  [() => [], 'the file is no object'],
  [(file) => ({ ...file, version: 2 }), 'version is not 1'],
  [(file) => ({ ...file, machines: {} }), 'machines is no list'],
  [(file) => ({ ...file, machines: [{ series: [] }] }), 'machines[0].class is no text'],
  [(file) => withRuns(file, []), 'machines[0].series[0].runs has 0 of 1'],
  [(file) => withRuns(file, [run(), run()]), 'machines[0].series[0].runs has 2 of 1'],
  [(file) => withRuns(file, [{ ...run(), startedAt: 'today' }]), 'startedAt is no time'],
  [(file) => withRuns(file, [{ ...run(), values: {} }]), 'values has no figure'],
  [(file) => withRuns(file, [{ ...run(), values: { wram: [1] } }]), "names 'wram', which is no figure"],
  [(file) => withRuns(file, [{ ...run(), values: { warm: [] } }]), 'values.warm is no list of numbers'],
  [(file) => withRuns(file, [{ ...run(), values: { warm: ['1'] } }]), 'values.warm is no list of numbers'],
  [(file) => withRuns(file, [{ ...run(), values: { warm: [-1] } }]), 'values.warm is no list of numbers'],
]

const run = () => GOOD.machines[0].series[0].runs[0]
const withRuns = (file: typeof GOOD, runs: readonly unknown[]) => {
  const [machine] = file.machines
  return { ...file, machines: [{ ...machine, series: [{ ...machine.series[0], runs }] }] }
}

for (const [change, named] of BAD) {
  test(`a file is refused where ${named}`, () => {
    assert.throws(
      () => parseBench(JSON.stringify(change(GOOD)), 'x.json'),
      (error: Error) => error.message.includes(named) && error.message.startsWith("Cannot read 'x.json'"),
    )
  })
}

test('a series is added at the end of its class; another class comes last', () => {
  const first = withSeries({ version: 1, machines: [] }, MACHINE, series([1]))
  const second = withSeries(withSeries(first, 'darwin arm64, 8 cores, 16 GiB', series([2])), MACHINE, series([3]))
  assert.equal(
    second.machines.map((machine) => [machine.class, machine.series.length]),
    [
      [MACHINE, 2],
      ['darwin arm64, 8 cores, 16 GiB', 1],
    ],
  )
})

test('a series that was cut short goes on, unless the code, the machine or the number of runs is another', () => {
  const cut = results(series([1, 2], { of: 3 }))
  assert.is(continueBench(cut, MACHINE, HEAD).runs.length, 2)
  assert.is(continueBench(cut, MACHINE, { ...HEAD, commit: 'b'.repeat(40) }).runs.length, 2, 'the same files under another commit')
  for (const other of [{ code: 'x' }, { of: 4 }, { measure: 'rerun' }, { facts: { kernel: '6.2' } }]) {
    assert.equal(continueBench(cut, MACHINE, { ...HEAD, ...other }), { ...HEAD, ...other, runs: [] })
  }
  assert.equal(continueBench(cut, 'another', HEAD).runs, [])
  assert.equal(continueBench(results(series([1, 2, 3])), MACHINE, HEAD).runs, [], 'a whole one')
})

test('what has become whole is no longer among what was cut short', () => {
  const both = results(series([1], { of: 3 }), series([2], { of: 3, measure: 'rerun' }))
  assert.equal(withoutMeasure(both, MACHINE, 'warm'), results(series([2], { of: 3, measure: 'rerun' })))
  assert.equal(withoutMeasure(results(series([1])), MACHINE, 'warm').machines, [])
})

// ── The table ───────────────────────────────────────────────────────────────────────────────────────────────────────

test('of each figure the last series counts, with the commit that it was measured at', () => {
  const all = results(series([99_000]), series([80_000, 70_000, 78_400], { commit: `c0ffee${'0'.repeat(34)}` }))
  const [warm, ...others] = all.machines.flatMap(measuredOn)
  assert.equal([others.length, warm?.n, warm?.p50, warm?.p95], [0, 3, 78_400, 80_000])
  const table = benchTable(all)
  assert.match(table, `On ${MACHINE} (kernel 6.1); of fewer than 20 values p95 is the slowest:`)
  assert.match(table, '| images in the store, no cluster → all Healthy | 3 | 1 min 18 s | 1 min 20 s | p95 ≤ 1 min 30 s: kept | c0ffee0 |')
  assert.match(table, /Not measured yet: cold, rerun, .*growth-50-prometheus\./)
})

test('the table stands between its two marks, and all else stays', () => {
  const [begin, end] = ['<!-- bench: written by `npm run bench -- --table` -->', '<!-- /bench -->']
  const readme = `before\n${begin}\n\nold\n\n${end}\nafter\n`
  const written = withTable(readme, { version: 1, machines: [] })
  assert.is(written, `before\n${begin}\n\nNothing was measured yet: \`npm run bench\`.\n\n${end}\nafter\n`)
  assert.is(withTable(written, { version: 1, machines: [] }), written)
  assert.throws(() => withTable('no marks', results()), /README.md has no/)
})

test('README’s table is what docs/bench.json gives', async () => {
  const readme = await readFile(join(root, 'README.md'), 'utf8')
  assert.is(readme, withTable(readme, await readBench(benchPath())), 'write it with npm run bench -- --table')
})

// ── The menu ────────────────────────────────────────────────────────────────────────────────────────────────────────

test('what is cold is measured only where that is asked for by name of the flag', () => {
  const names = (choice: Parameters<typeof chooseMeasures>[0]) => chooseMeasures(choice).map(({ name }) => name)
  assert.not.ok(names({ cold: false }).includes('cold'))
  assert.is(names({ cold: true })[0], 'cold')
  assert.equal(names({ cold: false, only: ['rerun', 'warm'] }), ['warm', 'rerun'])
  assert.throws(() => names({ cold: false, only: ['cold'] }), /removes the image store.*Add --cold/)
  assert.throws(() => names({ cold: false, only: ['wram'] }), /Did you mean 'warm'\?/)
})

test('each figure is one of a measure, by the beginning of its name', () => {
  for (const { id } of FIGURES)
    assert.ok(
      MEASURES.some(({ name }) => id === name || id.startsWith(`${name}-`)),
      id,
    )
})

// ── Copies ──────────────────────────────────────────────────────────────────────────────────────────────────────────

const APPLICATION = `
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: { name: service, namespace: argocd, finalizers: [f] }
spec:
  project: services
  destination: { server: s, namespace: dev }
  sources:
    - repoURL: u
      targetRevision: source
      path: chart
      helm:
        releaseName: service
        valueFiles: [values.yaml, values-dev.yaml, values-local.yaml, values-local-published.yaml]
        valuesObject: { image: { digest: sha256:a }, autoscaling: { scaleDownStabilizationSeconds: 20 }, database: { secretName: x } }
`
const PROJECT = `
apiVersion: argoproj.io/v1alpha1
kind: AppProject
metadata: { name: services, namespace: argocd }
spec: { sourceRepos: [u], destinations: [{ server: s, namespace: dev }], namespaceResourceWhitelist: [{ group: apps, kind: Deployment }] }
`

test('a copy is the service’s Application, small, unpublished, and in a namespace and a project of its own', () => {
  const files = new Map([
    ['applications/application.argocd.service.yaml', APPLICATION],
    ['applications/appproject.argocd.services.yaml', PROJECT],
  ])
  const written = copiesIn(files, 10)
  assert.equal(Object.keys(written).length, 11)
  const project = parse(written['applications/appproject.argocd.copies.yaml'] ?? '')
  assert.equal(project.spec, { ...parse(PROJECT).spec, destinations: [{ server: 's', namespace: 'copies' }] })
  const { metadata, spec } = parse(written['applications/application.argocd.copy-10.yaml'] ?? '')
  assert.equal([metadata.name, metadata.finalizers, spec.project, spec.destination.namespace], ['copy-10', ['f'], 'copies', 'copies'])
  const { releaseName, valueFiles, valuesObject } = spec.sources[0].helm
  assert.equal([releaseName, valueFiles], ['copy-10', ['values.yaml', 'values-dev.yaml', 'values-local.yaml']])
  assert.equal(valuesObject.autoscaling, { scaleDownStabilizationSeconds: 20, enabled: false })
  assert.equal([valuesObject.image.digest, valuesObject.replicas, valuesObject.database.secretName], ['sha256:a', 1, ''])
  assert.is(valuesObject.resources.requests.cpu, '10m')
})

test('growth is not measured where deploy has no service', () => {
  assert.throws(() => copiesIn(new Map(), 1), /deploy has no service/)
})

test('a proof that measured nothing gives no figure', () => {
  const time = { bound: 'reverted', share: 1, lowerMs: 0, upperMs: 1, partsMs: {}, valuesMs: [7] }
  assert.equal(measuredTimes({ times: [time] }), [7])
  for (const times of [[], [{ ...time, valuesMs: [] }]])
    assert.throws(() => measuredTimes({ times }), /^Cannot measure drift: no time was measured$/)
})

test.run()
