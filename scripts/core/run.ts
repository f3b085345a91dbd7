/** Runs scenarios of a stack one after the other: leftovers undone first, the cluster held, each run recorded and judged. */
import { type Explanation, UserError } from '#kit/errors'
import { unknownName } from '#kit/pick'
import { ENVIRONMENTS, type Environment, FIRST_ENVIRONMENT } from './environments.ts'
import { HOLDFAST_NAMESPACE, settleLeft, takeLease } from './journal.ts'
import { judge } from './judge.ts'
import { createLive } from './live.ts'
import { record, save } from './record.ts'
import type { Result } from './render.ts'
import { digestRun } from './rollout.ts'
import type { Context, Mutant, Scenario, SeriesMark } from './scenario.ts'
import { continueSeries, readRecords, type Series } from './series.ts'
import type { Capability, Cluster, Digest, Run, ServiceName, Stack } from './types.ts'
import { runningVersions } from './versions.ts'
import { workloadIn } from './workload.ts'

/** What a command says that needs a cluster and finds none. */
export function noCluster({ clusters }: Stack, { what, name }: { readonly what: string; readonly name: string }): Explanation {
  const environment = ENVIRONMENTS.find((each) => clusters.eks.nameOf(each) === name)
  const next = environment === undefined ? 'Run npm run local:up' : `Run npm run cloud:up -- --env ${environment}`
  return { what, why: `no cluster '${name}' runs`, next }
}

/** The running cluster of a name: one that somebody else runs by its environment's name, any other on this machine. */
export async function findCluster({ clusters }: Stack, name: string): Promise<Cluster | undefined> {
  const isInCloud = ENVIRONMENTS.some((environment) => clusters.eks.nameOf(environment) === name)
  return isInCloud ? clusters.eks.find(name) : clusters.local.find(name)
}

/** The same. @throws UserError where none runs; `what` says what could not be done. */
export async function needCluster(stack: Stack, { what, name }: { readonly what: string; readonly name: string }): Promise<Cluster> {
  const found = await findCluster(stack, name)
  if (found === undefined) throw new UserError(noCluster(stack, { what, name }))
  return found
}

/** A cluster taken for a run; disposing gives it back. Its signal aborts also where another run has taken it meanwhile. */
export interface OpenRun extends Run, AsyncDisposable {
  readonly context: Context
  /** What runs now: an upgrade may have come between two runs. */
  readonly versions: () => Promise<Readonly<Record<string, string>>>
  /** What an interrupted run had left, and is undone. */
  readonly undone: readonly string[]
}

/** Experiments are all that do harm, whatever else they are. */
const isOn = (menu: Scenario['kind'], { kind, harm }: Scenario) => (menu === 'chaos' ? harm !== undefined : kind === menu)
const scenariosOf = (stack: Stack, menu: Scenario['kind']) =>
  stack.parts.flatMap((part) => part.scenarios).filter((scenario) => isOn(menu, scenario))
const isExtraOn = (menu: Scenario['kind'], { isExtra = false, harm }: Scenario) => (menu === 'chaos' ? (harm?.isExtra ?? isExtra) : isExtra)
/** What is on a menu. */
const ENTRY: Readonly<Record<Scenario['kind'], string>> = { proof: 'proof', chaos: 'experiment' }

export interface Selection {
  readonly names?: readonly string[]
  readonly all?: boolean
  /** @default the first */
  readonly environment?: Environment
}

/**
 * The named scenarios; without names the default set, or with `all` every one.
 * @throws UserError with the nearest name for one that is not known, and for one that does not run in the environment.
 */
export function selectScenarios(
  stack: Stack,
  kind: Scenario['kind'],
  { names = [], all: withExtra = false, environment = FIRST_ENVIRONMENT }: Selection = {},
): Scenario[] {
  const all = scenariosOf(stack, kind)
  const known = all.map(({ name }) => name)
  for (const name of names) {
    if (known.includes(name)) continue
    throw unknownName(name, known, { what: `Cannot run '${name}'`, why: `there is no such ${ENTRY[kind]}` })
  }
  if (names.length > 0) return all.filter(({ name }) => names.includes(name)).map((scenario) => checkRunsIn(scenario, environment, kind))
  return all.filter((each) => withExtra || !isExtraOn(kind, each)).filter((each) => environmentsOf(each).includes(environment))
}

const environmentsOf = ({ environments = [FIRST_ENVIRONMENT] }: Scenario) => environments

function checkRunsIn(scenario: Scenario, environment: Environment, kind: Scenario['kind']): Scenario {
  const known = environmentsOf(scenario)
  if (known.includes(environment)) return scenario
  throw new UserError({
    what: `Cannot run '${scenario.name}' in ${environment}`,
    why: `it is ${kind === 'chaos' ? 'an' : 'a'} ${ENTRY[kind]} of ${known.join(' and ')}`,
    next: `Add --env ${known[0]}`,
  })
}

function remarks(scenario: Scenario, kind: Scenario['kind']): string {
  const where = environmentsOf(scenario)
  const elsewhere = where.includes(FIRST_ENVIRONMENT) ? '' : ` (in ${where.join(' and ')})`
  return `${isExtraOn(kind, scenario) ? ' (only by name or with --all)' : ''}${elsewhere}`
}

/** The menu, as lines or as JSON; needs no cluster. */
export function listScenarios(stack: Stack, kind: Scenario['kind'], { json = false }: { readonly json?: boolean }): string {
  const all = scenariosOf(stack, kind)
  if (!json) return all.map((scenario) => `${scenario.name}${remarks(scenario, kind)}\n    ${scenario.about}`).join('\n')
  return JSON.stringify(
    all.map((scenario) => ({
      name: scenario.name,
      kind,
      about: scenario.about,
      needs: scenario.needs ?? [],
      environments: environmentsOf(scenario),
      inDefaultSet: !isExtraOn(kind, scenario),
      ...(kind === 'chaos' ? { held: scenario.harm?.held } : {}),
      mutants: scenario.mutants.map((mutant) => mutant.name),
    })),
    null,
    2,
  )
}

/** Where a run takes place. */
export interface Place {
  /** Of the cluster. */
  readonly name: string
  /** @default the first */
  readonly environment?: Environment
}

/** A cluster, and what scenarios act with. Nothing of it is changed. @throws UserError where no stack of ours runs, or nothing in the environment. */
export async function openContext(
  stack: Stack,
  { name, environment = FIRST_ENVIRONMENT, signal }: Omit<Run, 'progress'> & Place,
): Promise<Context> {
  const cluster = await needCluster(stack, { what: 'Cannot start a run', name })
  await checkOurs(cluster)
  await checkInhabited(cluster, environment)
  const { load, faults, network, timing } = stack
  return {
    cluster,
    environment,
    timing: timing[cluster.timing],
    signal,
    load,
    faults,
    network,
    git: (own = signal) => stack.git(cluster, own),
  }
}

/** @throws UserError as `openContext` does, and where another run holds the stack. */
export async function openRun(stack: Stack, { progress, signal: outer, ...place }: Run & Place): Promise<OpenRun> {
  const opened = await openContext(stack, { ...place, signal: outer })
  const lease = await takeLease(opened.cluster.kube)
  try {
    const signal = AbortSignal.any([outer, lease.lost])
    const context: Context = { ...opened, signal, git: (own = signal) => opened.git(own) }
    const undone = await settleLeft(context, progress)
    const versions = () => versionsOf(stack, context.cluster)
    return { context, versions, undone, progress, signal, [Symbol.asyncDispose]: () => lease[Symbol.asyncDispose]() }
  } catch (thrown) {
    await lease[Symbol.asyncDispose]()
    throw thrown
  }
}

/** None where the cluster does not answer: whether it is well is for the steady state to say, which is patient. */
async function versionsOf(stack: Stack, cluster: Cluster): Promise<Readonly<Record<string, string>>> {
  const looks = Promise.all([cluster.kube.list({ apiVersion: 'v1', kind: 'Node' }), runningVersions(cluster.kube, stack.parts)])
  return looks.then(
    ([[node], ofParts]) => ({ kubernetes: node?.status?.nodeInfo?.kubeletVersion ?? 'unknown', ...ofParts }),
    () => ({}),
  )
}

/** Whatever a kubeconfig leads to: nothing is acted on that was not brought up by us. */
async function checkOurs({ name, kube }: Cluster): Promise<void> {
  if ((await kube.get({ apiVersion: 'v1', kind: 'Namespace', name: HOLDFAST_NAMESPACE })) !== undefined) return
  throw new UserError({
    what: 'Cannot start a run',
    why: `the cluster '${name}' is none of Holdfast's: it has no namespace '${HOLDFAST_NAMESPACE}'`,
    next: 'Run npm run local:up',
  })
}

/** The first environment has its workload from the start, whatever became of it; another one from its first promotion on. */
async function checkInhabited({ kube }: Cluster, environment: Environment): Promise<void> {
  if (environment === FIRST_ENVIRONMENT || (await kube.get(workloadIn(environment))) !== undefined) return
  throw new UserError({
    what: `Cannot start a run in ${environment}`,
    why: 'nothing runs there',
    next: `Run npm run promote -- ${environment}`,
  })
}

/** What a cluster without a capability is, and the next step where there is one. */
const LACKS: Readonly<Record<Capability, readonly [why: string, next?: string]>> = {
  tuneControlPlane: ['its control plane is not ours to set'],
  restartNode: ['its machines are not ours to restart'],
  secondNode: ['it has one node', 'Run npm run local:up -- --nodes 2'],
  networkPolicy: ['it enforces no NetworkPolicy'],
  apiServerProcess: ['its API server is not a process of its own'],
  ownSources: ['its Git server and its registry are not ours to take away'],
}

/** Why a cluster cannot run a scenario, and the next step where there is one; undefined where it has all for it. */
export const lackOf = ({ can }: Pick<Cluster, 'can'>, { needs = [] }: Scenario) =>
  needs.filter((need) => !can[need]).map((need) => LACKS[need])[0]

/** @throws UserError for the first scenario that needs what the cluster lacks. */
export function checkNeeds(cluster: Cluster, scenarios: readonly Scenario[]): void {
  const scenario = scenarios.find((each) => lackOf(cluster, each) !== undefined)
  if (scenario === undefined) return
  const [why = '', next] = lackOf(cluster, scenario) ?? []
  throw new UserError({ what: `Cannot run '${scenario.name}' on '${cluster.name}'`, why, ...(next === undefined ? {} : { next }) })
}

/** Those of a set that the cluster has all for, and for each other one a line that says why it is left out. */
export function fittingScenarios(
  cluster: Cluster,
  scenarios: readonly Scenario[],
): { readonly fitting: readonly Scenario[]; readonly leftOut: readonly string[] } {
  const leftOut = scenarios.flatMap((scenario) => {
    const lack = lackOf(cluster, scenario)
    return lack === undefined ? [] : [`Left out: ${scenario.name}; ${lack.join('. ')}`]
  })
  return { fitting: scenarios.filter((scenario) => lackOf(cluster, scenario) === undefined), leftOut }
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
  /** Told before a scenario is run for the first time. @default nobody */
  readonly onBegin?: (scenario: Scenario) => void
  /** Each mutant in place of the scenario itself. @default false */
  readonly mutate?: boolean
  /** Every run this often: nothing is run again because it was red. @default 1 */
  readonly repeat?: number
}

/** Each scenario, or each of its mutants, as often as wanted; a series that was cut short goes on. */
export async function runAll(
  run: OpenRun,
  scenarios: readonly Scenario[],
  { mutate = false, repeat = 1, onResult, onBegin }: RunChoice,
): Promise<void> {
  checkNeeds(run.context.cluster, scenarios)
  await checkAnswering(
    run.context.cluster,
    scenarios.flatMap(({ asks = [] }) => asks),
  )
  for (const scenario of scenarios) {
    onBegin?.(scenario)
    for (const mutant of mutate ? scenario.mutants : [undefined]) {
      for await (const result of runOften(run, { scenario, mutant }, repeat)) {
        onResult(result)
        run.signal.throwIfAborted()
      }
    }
  }
}

interface OneOf {
  readonly scenario: Scenario
  readonly mutant: Mutant | undefined
  readonly series?: SeriesMark | undefined
}

/** What is recorded already is judged again, the rest is run. */
async function* runOften(run: OpenRun, { scenario, mutant }: OneOf, repeat: number): AsyncGenerator<Result> {
  const series = repeat === 1 ? undefined : await seriesOf(run, { scenario, mutant }, repeat)
  const done = series?.done ?? []
  if (done.length > 0) run.progress.say(`Goes on with ${titleOf(scenario, mutant)}: ${done.length} of ${repeat} are recorded`)
  for (const { record: recorded, path } of done) yield resultOf(run, { scenario, mutant }, { recorded, path })
  for (let i = done.length; i < repeat; i++) yield await runIn(run, { scenario, mutant, series: series?.mark })
}

/** Undefined where the environment runs no one digest that the series could be of. */
async function seriesOf({ context }: OpenRun, { scenario, mutant }: OneOf, of: number): Promise<Series | undefined> {
  const digest = await runningDigest(context)
  if (digest === undefined) return undefined
  const { cluster, environment } = context
  return continueSeries(await readRecords(scenario, mutant), { of, digest, cluster: cluster.name, environment })
}

/** Records and judges one run. */
export async function runOne(run: OpenRun, scenario: Scenario, mutant?: Mutant): Promise<Result> {
  return runIn(run, { scenario, mutant })
}

const titleOf = ({ name }: Scenario, mutant: Mutant | undefined) => (mutant === undefined ? name : `${name} with ${mutant.name}`)

async function runIn(run: OpenRun, { scenario, mutant, series }: OneOf): Promise<Result> {
  const { context, progress } = run
  return progress.step(titleOf(scenario, mutant), async (note) => {
    const [before, versions] = await Promise.all([runningDigest(context), run.versions()])
    const live = createLive()
    const onStep = (text: string) => note(text, live.lines)
    const facts = await record(scenario, context, { versions, onStep, onEvent: live.see, ...(mutant === undefined ? {} : { mutant }) })
    const isOne = before !== undefined && before === (await runningDigest(context))
    const recorded = { ...facts, ...(isOne ? { digest: before } : {}), ...(series === undefined ? {} : { series }) }
    return resultOf(run, { scenario, mutant }, { recorded, path: await save(recorded) })
  })
}

function resultOf(
  { context }: OpenRun,
  { scenario, mutant }: OneOf,
  { recorded, path }: { recorded: Result['record']; path: string },
): Result {
  const judgement = judge(recorded, scenario, context.timing)
  return { record: recorded, path, scenario, timing: context.timing, judgement, ...(mutant === undefined ? {} : { mutant }) }
}

/** Undefined also where the cluster does not answer: then nothing was shown of any. */
async function runningDigest({ cluster, environment }: Context): Promise<Digest | undefined> {
  return cluster.kube.get(workloadIn(environment)).then(digestRun, () => undefined)
}
