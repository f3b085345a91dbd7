/** Experiments as a person meets them: what would be hit, whether it may be, and what is going on. */
import { type Explanation, UserError } from '#kit/errors'
import type { ObjectRef } from '#kit/kube'
import { pending, ready, waitFor } from '#kit/wait'
import type { Environment } from './environments.ts'
import { settleAll, takeLease, undoneLine } from './journal.ts'
import { checkNeeds, fittingScenarios, type OpenRun, openContext, openRun, type Place } from './run.ts'
import type { Context, Scenario } from './scenario.ts'
import { readStatus, unhealthy } from './status.ts'
import type { Run, Stack } from './types.ts'

const WHAT = 'Cannot begin with chaos'
/** For what ends by itself: an HPA that met no ready pod says so until its next look, and Argo CD calls it Degraded for some 25 s. */
const CALM_MS = 60_000
/** After an undo some pods may still come. */
const UNDONE_MS = 120_000

/** @throws UserError for the environment that people use. */
export function checkBreakable(environment: Environment): Environment {
  if (environment !== 'prod') return environment
  throw new UserError({ what: WHAT, why: 'nothing is broken on purpose in prod', next: 'Use --env dev or --env staging' })
}

/** What somebody chose. */
export interface Chosen {
  readonly scenarios: readonly Scenario[]
  /** Whether each by its name: then none is left out. */
  readonly isNamed: boolean
}

/** The stack taken for experiments, and those that it has all for. */
export type OpenChaos = OpenRun & Pick<Chosen, 'scenarios'>

/** @throws UserError as `openRun` does, where the stack is not healthy, for a named one that needs more, and where there is nothing to hit. */
export async function openChaos(stack: Stack, place: Run & Place, chosen: Chosen): Promise<OpenChaos> {
  await using begun = new AsyncDisposableStack()
  const run = begun.use(await openRun(stack, place))
  await checkHealthy(stack, run.context, run.undone.length === 0 ? CALM_MS : UNDONE_MS)
  const scenarios = fit(run.context, chosen, place)
  await findHits(run.context, scenarios)
  const held = begun.move()
  return { ...run, scenarios, [Symbol.asyncDispose]: () => held.disposeAsync() }
}

function fit({ cluster }: Context, { scenarios, isNamed }: Chosen, { progress }: Pick<Run, 'progress'>): readonly Scenario[] {
  if (isNamed) checkNeeds(cluster, scenarios)
  const { fitting, leftOut } = fittingScenarios(cluster, scenarios)
  for (const line of leftOut) progress.say(line)
  return fitting
}

/** What the experiments would hit; nothing is changed. @throws UserError as above. */
export async function planChaos(stack: Stack, place: Run & Place, chosen: Chosen): Promise<readonly Hit[]> {
  const context = await openContext(stack, place)
  await checkHealthy(stack, context, CALM_MS)
  return findHits(context, fit(context, chosen, place))
}

/** What is broken already would be taken for what an experiment breaks. */
async function checkHealthy(stack: Stack, { cluster, signal }: Context, patienceMs: number): Promise<void> {
  let why: string | undefined
  const look = async () => {
    why = unhealthy(await readStatus(stack, cluster))
    return why === undefined ? ready(undefined) : pending(why)
  }
  await waitFor('the stack to be healthy', look, { timeoutMs: patienceMs, signal }).catch((thrown) => {
    if (why === undefined) throw thrown
    throw new UserError(notHealthy(why), thrown)
  })
}

const notHealthy = (why: string): Explanation => ({
  what: WHAT,
  why: `the stack is not healthy: ${why}`,
  next: 'See it with npm run local:status, and mend it with npm run local:up',
})

// ── Targets ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** What one experiment hits. */
export interface Hit {
  readonly name: string
  readonly targets: readonly ObjectRef[]
}

async function findHits(context: Context, scenarios: readonly Scenario[]): Promise<readonly Hit[]> {
  if (scenarios.length === 0)
    throw new UserError({ what: WHAT, why: `there is no experiment of ${context.environment}`, next: 'See them with --list' })
  return Promise.all(scenarios.map(async ({ name, harm }) => ({ name, targets: checkHit(name, (await harm?.targets(context)) ?? []) })))
}

function checkHit(name: string, targets: readonly ObjectRef[]): readonly ObjectRef[] {
  if (targets.length > 0) return targets
  throw new UserError({
    what: `Cannot run '${name}'`,
    why: 'there is nothing that it could hit',
    next: 'See what runs with npm run local:status',
  })
}

/** An experiment with its count and namespaces, then a line per object. */
export function renderHits(hits: readonly Hit[], { json = false }: { readonly json?: boolean }): string {
  if (json) return JSON.stringify(hits, null, 2)
  return hits.flatMap(({ name, targets }) => [`${name}: ${countOf(targets)}`, ...targets.map((each) => `    ${nameOf(each)}`)]).join('\n')
}

function countOf(targets: readonly ObjectRef[]): string {
  const namespaces = [...new Set(targets.map(({ namespace = 'the cluster' }) => namespace))]
  return `${targets.length} ${targets.length === 1 ? 'object' : 'objects'} in ${namespaces.join(' and ')}`
}

const nameOf = ({ kind, namespace, name }: ObjectRef) => `${kind} ${namespace === undefined ? '' : `${namespace}/`}${name}`

/** For the person who watches: what is about to happen, why it should heal, and what keeps it from healing too soon. */
export function explain({ name, about, harm }: Scenario): string {
  return [`${name}: ${about}`, ...(harm === undefined ? [] : [`    ${harm.held}`])].join('\n')
}

// ── Undo ────────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Undoes what an interrupted run has left, and nothing else. @returns a line for each. @throws UserError as `openRun` does */
export async function undoLeftovers(stack: Stack, place: Omit<Run, 'progress'> & Place): Promise<readonly string[]> {
  const context = await openContext(stack, place)
  await using _lease = await takeLease(context.cluster.kube)
  return settleAll(context)
}

export function renderUndone(reasons: readonly string[]): string {
  return reasons.length === 0 ? 'There is nothing to undo' : reasons.map(undoneLine).join('\n')
}
