/** Runs scenarios of a stack one after the other: leftovers undone first, the cluster held, each run recorded and judged. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Explanation, UserError } from '#kit/errors'
import { nearest } from '#kit/nearest'
import { reportsDir } from '#kit/paths'
import { settleAll, takeLease } from './journal.ts'
import { judge } from './judge.ts'
import { record, save } from './record.ts'
import { type Result, renderJson, renderJunit } from './render.ts'
import type { Context, Mutant, Scenario } from './scenario.ts'
import { readStatus } from './status.ts'
import type { Cluster, Run, ServiceName, Stack } from './types.ts'

/** What a command says that needs a cluster and finds none. */
export function noCluster(what: string, name: string): Explanation {
  return { what, why: `no cluster '${name}' runs`, next: 'Run npm run local:up' }
}

/** A cluster taken for a run; disposing gives it back. */
export interface OpenRun extends Run, AsyncDisposable {
  readonly context: Context
  readonly versions: Readonly<Record<string, string>>
}

const scenariosOf = (stack: Stack, kind: Scenario['kind']) =>
  stack.parts.flatMap((part) => part.scenarios).filter((scenario) => scenario.kind === kind)

/**
 * The named scenarios; without names the default set, or with `all` every one.
 * @throws UserError with the nearest name for one that is not known.
 */
export function selectScenarios(
  stack: Stack,
  kind: Scenario['kind'],
  { names = [], all: withExtra = false }: { readonly names?: readonly string[]; readonly all?: boolean } = {},
): Scenario[] {
  const all = scenariosOf(stack, kind)
  const known = all.map(({ name }) => name)
  for (const name of names) {
    if (known.includes(name)) continue
    throw new UserError({
      what: `Cannot run '${name}'`,
      why: `there is no such ${kind}`,
      next: `Did you mean '${nearest(name, known)}'? Known: ${known.join(', ')}`,
    })
  }
  if (names.length > 0) return all.filter(({ name }) => names.includes(name))
  return all.filter(({ isExtra = false }) => withExtra || !isExtra)
}

/** The menu, as lines or as JSON; needs no cluster. */
export function listScenarios(stack: Stack, kind: Scenario['kind'], { json = false }: { readonly json?: boolean }): string {
  const all = scenariosOf(stack, kind)
  if (!json)
    return all.map(({ name, about, isExtra }) => `${name}${isExtra ? ' (only by name or with --all)' : ''}\n    ${about}`).join('\n')
  return JSON.stringify(
    all.map(({ name, about, needs = [], isExtra = false, mutants }) => ({
      name,
      kind,
      about,
      needs,
      inDefaultSet: !isExtra,
      mutants: mutants.map((mutant) => mutant.name),
    })),
    null,
    2,
  )
}

/** @throws UserError where no healthy stack of ours runs, or another run holds it. */
export async function openRun(stack: Stack, { name, progress, signal }: Run & { readonly name: string }): Promise<OpenRun> {
  const cluster = await stack.clusters.local.find(name)
  if (cluster === undefined) throw new UserError(noCluster('Cannot start a run', name))
  const lease = await takeLease(cluster.kube)
  const { load, faults, timing } = stack
  const context: Context = { cluster, timing: timing.local, signal, load, faults, git: () => stack.git(cluster, signal) }
  try {
    for (const reason of await settleAll(context)) progress.say(`Undid what an interrupted run had left: ${reason}`)
    const { nodes } = await readStatus(stack, cluster)
    const versions = { kubernetes: nodes[0]?.version ?? 'unknown', holdfast: stack.name }
    return {
      context,
      versions,
      progress,
      signal,
      [Symbol.asyncDispose]: () => lease[Symbol.asyncDispose](),
    }
  } catch (thrown) {
    await lease[Symbol.asyncDispose]()
    throw thrown
  }
}

const ANSWER_TIMEOUT_MS = 5_000

/** @throws UserError naming the first of these services that does not answer. */
export async function checkAnswering(cluster: Cluster, services: Iterable<ServiceName>): Promise<void> {
  for (const service of new Set(services)) {
    const why = await cluster.fetch(service, HEALTH[service], { signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) }).then(
      ({ ok, status }) => (ok ? undefined : `answers ${status}`),
      () => 'does not answer',
    )
    if (why === undefined) continue
    throw new UserError({
      what: 'Cannot begin',
      why: `${service} ${why} at ${cluster.address(service)}`,
      next: 'See what is wrong with npm run local:status, and mend it with npm run local:up',
    })
  }
}

/** Where each service says that it can be used. */
const HEALTH: Readonly<Record<ServiceName, string>> = {
  git: '/healthz',
  service: '/ready',
  argocd: '/healthz',
  prometheus: '/-/ready',
  alertmanager: '/-/ready',
  sink: '/health',
}

export interface RunChoice {
  /** Told each result as it comes: a series that is cut short keeps what it has. */
  readonly onResult: (result: Result) => void
  /** Each mutant in place of the scenario itself. @default false */
  readonly mutate?: boolean
  /** Every run this often: nothing is run again because it was red. @default 1 */
  readonly repeat?: number
}

/** Each scenario, or each of its mutants, as often as wanted. */
export async function runAll(
  run: OpenRun,
  scenarios: readonly Scenario[],
  { mutate = false, repeat = 1, onResult }: RunChoice,
): Promise<void> {
  await checkAnswering(
    run.context.cluster,
    scenarios.flatMap(({ asks = [] }) => asks),
  )
  const runs = scenarios.flatMap((scenario) => (mutate ? scenario.mutants : [undefined]).map((mutant) => ({ scenario, mutant })))
  for (const { scenario, mutant } of runs) {
    for (let i = 0; i < repeat; i++) {
      onResult(await runOne(run, scenario, mutant))
      run.signal.throwIfAborted()
    }
  }
}

/** Records and judges one run. */
export async function runOne(run: OpenRun, scenario: Scenario, mutant?: Mutant): Promise<Result> {
  const { context, progress, versions } = run
  const title = mutant === undefined ? scenario.name : `${scenario.name} with ${mutant.name}`
  return progress.step(title, async (note) => {
    const recorded = await record(scenario, context, { versions, onStep: note, ...(mutant === undefined ? {} : { mutant }) })
    const path = await save(recorded)
    return {
      record: recorded,
      path,
      scenario,
      judgement: judge(recorded, scenario, context.timing),
      ...(mutant === undefined ? {} : { mutant }),
    }
  })
}

/** Writes JUnit and JSON beside the records. @returns their folder. */
export async function writeReports(results: readonly Result[]): Promise<string> {
  const folder = reportsDir()
  await writeFile(join(folder, 'results.json'), renderJson(results))
  await writeFile(join(folder, 'junit.xml'), renderJunit(results))
  return folder
}
