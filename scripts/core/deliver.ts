/**
 * Moves an environment to another digest by a commit on `deploy`, waits until it runs, and takes it back when it does not. The command
 * that moves it watches it and reverts: on EKS `deploy` is a branch of the user's own remote, which the cluster may read and never
 * write, so that no controller there could.
 */
import { Failure, messageOf } from '#kit/errors'
import { type Condition, ready, waitFor } from '#kit/wait'
import { commitDeploy, pathsOf, withValues } from './delivery.ts'
import { type Environment, FIRST_ENVIRONMENT } from './environments.ts'
import { filesWithDigest, filesWithoutDigest, type ValuesOf } from './gitops.ts'
import { type Deployed, type DeployFacts, lastHealthy, readHistory, shortDigest, withFacts } from './history.ts'
import { type Installed, type InstallRequest, install } from './install.ts'
import { settleLeft, takeLease } from './journal.ts'
import { type LoadProfile, startLoad } from './load.ts'
import { digestRun, lookAtRollout, type RolloutWanted, readHealthy, rolloutCondition } from './rollout.ts'
import { needCluster } from './run.ts'
import type { Cluster, Digest, GitRemote, ImageSpec, Part, Pushed, Run, Stack, Target } from './types.ts'
import { rolloutIn, WORKLOAD_NAME, workloadIn } from './workload.ts'

const ROLLOUT_TIMEOUT_MS = 300_000
const VERDICT_MS = 10_000

export type ReleasePart = Part & { readonly release: ImageSpec }

/** The part whose image moves through the environments. */
export function releasePart(stack: Stack): ReleasePart {
  const part = stack.parts.find(({ name }) => name === WORKLOAD_NAME)
  if (part?.release === undefined) throw new TypeError(`The stack has no part '${WORKLOAD_NAME}' with an image that moves`)
  return { ...part, release: part.release }
}

/** The stack taken for a change of what an environment runs; disposing gives it back. Its signal aborts also where it is lost. */
export interface Delivery extends Run, AsyncDisposable {
  readonly stack: Stack
  readonly part: ReleasePart
  readonly cluster: Cluster
  readonly git: () => Promise<GitRemote>
}

/** @throws UserError where no cluster of that name runs, or another run holds it; `what` says what could not be done. */
export async function openDelivery(stack: Stack, { name, what, ...run }: Run & { name: string; what: string }): Promise<Delivery> {
  const cluster = await needCluster(stack, { what, name })
  return takeDelivery(stack, cluster, run)
}

async function takeDelivery(stack: Stack, cluster: Cluster, { progress, signal: outer }: Run): Promise<Delivery> {
  await using begun = new AsyncDisposableStack()
  const { lost } = begun.use(await takeLease(cluster.kube))
  const signal = AbortSignal.any([outer, lost])
  let git: Promise<GitRemote> | undefined
  const opened = { cluster, signal, git: () => (git ??= stack.git(cluster, signal)) }
  await settleLeft(opened, progress)
  const held = begun.move()
  return { ...opened, stack, part: releasePart(stack), progress, [Symbol.asyncDispose]: () => held.disposeAsync() }
}

export interface Move {
  readonly environment: Environment
  readonly digest: Digest
  /** The commit that its chart is taken from. @default the environment keeps chart and settings as they are */
  readonly sourceRevision?: string
  /** Of the commit. */
  readonly message: string
  readonly facts?: DeployFacts
  /** Whether an environment that does not come to run it is taken back. */
  readonly revert: boolean
}

/** @throws Failure where it does not run in the end, which says whether it was taken back. */
export async function deliver(delivery: Delivery, move: Move): Promise<Pushed> {
  const { environment, digest, message, facts = {} } = move
  const { cluster, progress } = delivery
  const healthy = await readHealthy(cluster.kube)
  const change = await changeOf(delivery, move)
  await using _load = await askMeanwhile(delivery, environment)
  const pushed = await progress.step(`Commit ${shortDigest(digest)} to ${environment}`, () =>
    commitDeploy(delivery, { message: withFacts(message, { ...facts, healthy }), files: change, applications: [] }),
  )
  await runsOrReverts(delivery, move, Date.now())
  return pushed
}

/** The same for what `deploy` says already, as an interrupted command left it. */
export async function deliverAgain(delivery: Delivery, move: Pick<Move, 'environment' | 'digest' | 'revert'>): Promise<void> {
  const seen = await lookAtRollout(delivery.cluster.kube, move.environment)
  const isThere = rolloutCondition(seen, { digest: move.digest, sinceMs: 0 }, Date.now()).state === 'ready'
  await using _load = isThere ? undefined : await askMeanwhile(delivery, move.environment)
  await runsOrReverts(delivery, move, 0)
}

async function runsOrReverts(delivery: Delivery, { environment, digest, revert }: Omit<Move, 'message'>, sinceMs: number): Promise<void> {
  try {
    await waitUntilRuns(delivery, environment, { digest, sinceMs })
  } catch (thrown) {
    if (!revert || delivery.signal.aborted || !(thrown instanceof Failure)) throw thrown
    throw await reverted(delivery, { environment, failing: digest, cause: thrown })
  }
}

/** A promotion brings the chart and the settings along, as do the first digest and whoever has none; all else moves the digest alone. */
async function changeOf(delivery: Delivery, { environment, digest, sourceRevision }: Move): Promise<Record<string, string>> {
  const { part } = delivery
  const of = { part: part.name, environment }
  const { files } = await (await delivery.git()).readDeploy()
  if (sourceRevision === undefined && files.has(pathsOf(of)[1])) return withValues(files, of, { image: { digest } })
  const target = await targetOf(delivery, environment)
  return filesWithDigest(files, part, { target: sourceRevision === undefined ? target : { ...target, sourceRevision }, digest })
}

async function targetOf({ cluster, stack, git }: Delivery, environment: Environment): Promise<Target> {
  const { url, refs } = await git()
  const timing = stack.timing[cluster.timing]
  return { cluster, environment, timing, repoUrl: url, images: new Map(), refs }
}

/** Enough for a canary with a third of the pods, and a trickle for a service of two. */
const ASKING: LoadProfile = {
  name: 'canary',
  about: '20 requests per second for as long as a new version is waited for.',
  stages: [{ name: 'steady', forMs: ROLLOUT_TIMEOUT_MS, ratePerS: 20, requests: [{ path: '/api/products' }] }],
}

/** A canary is judged by how it answers, and nobody may be there to ask: too few requests promote nothing. */
async function askMeanwhile(
  { cluster, stack, progress, signal, git }: Delivery,
  environment: Environment,
): Promise<AsyncDisposable | undefined> {
  if ((await cluster.kube.get(rolloutIn(environment))) === undefined) return undefined
  progress.say(`Sends ${environment} 20 requests per second meanwhile: a canary is judged by how it answers`)
  const running = await startLoad(ASKING, { cluster, environment, load: stack.load, signal, git }, () => {})
  running.done.catch(() => {}) // what came of it is the canary's analysis
  return running
}

/** @throws Failure at once where it never will, else when the time is over. */
async function waitUntilRuns({ cluster, progress, signal }: Delivery, environment: Environment, wanted: RolloutWanted): Promise<void> {
  await progress.step(`Wait until ${environment} runs it`, (onSeen) => {
    const look = async () => rolloutCondition(await lookAtRollout(cluster.kube, environment), wanted, Date.now())
    return waitFor(`${environment} to run ${shortDigest(wanted.digest)}`, look, { timeoutMs: ROLLOUT_TIMEOUT_MS, signal, onSeen })
  })
}

// ── The way back ────────────────────────────────────────────────────────────────────────────────────────────────────

export interface Failing {
  readonly environment: Environment
  /** What does not come to run. */
  readonly failing: Digest
  readonly cause: Failure
}

/**
 * Commits the last digest that the environment ran and that was Healthy, or takes away what was promoted to an empty environment, and
 * waits until that runs.
 * @returns what runs now, undefined where nobody knows what was Healthy before.
 */
export async function revertDeploy(delivery: Delivery, { environment, failing, cause }: Failing): Promise<string | undefined> {
  const { part, git } = delivery
  const of = { part: part.name, environment }
  const history = await readHistory(await git(), of)
  const to = failedByChart(history, of, failing) ? failing : lastHealthy(history, environment, failing)
  if (to === undefined) return undefined
  const { files } = await (await git()).readDeploy()
  const change =
    to === 'nothing'
      ? filesWithoutDigest(files, part, await targetOf(delivery, environment))
      : { ...withValues(files, of, { image: { digest: to } }), ...promotedWith(history, of, to) }
  const goal = to === 'nothing' ? 'what it was, empty' : shortDigest(to)
  const message = `Revert ${environment} to ${goal}\n\n${shortDigest(failing)} does not run: ${messageOf(cause)}`
  const { sha } = await commitDeploy(delivery, { message, files: change, applications: [] })
  if (to === 'nothing') return `${environment} is empty again, by commit ${sha.slice(0, 7)} of deploy`
  await waitUntilRuns(delivery, environment, { digest: to, sinceMs: Date.now() })
  return `${environment} runs ${shortDigest(to)} again, by commit ${sha.slice(0, 7)} of deploy`
}

/** Whether a digest was Healthy before with another chart: then it is the chart that does not run. */
function failedByChart(history: readonly Deployed[], of: ValuesOf, failing: Digest): boolean {
  const wasHealthy = history.some(({ facts }) => facts.healthy?.[of.environment] === failing)
  return wasHealthy && Object.keys(promotedWith(history, of, failing)).length > 0
}

/** What a digest was promoted with before: never what is there now. The first environment's follows the working tree, and stays. */
function promotedWith(history: readonly Deployed[], of: ValuesOf, digest: Digest): Record<string, string> {
  const [, path] = pathsOf(of)
  const now = history[0]?.files.get(path)
  const content = history.find((each) => each.digest === digest && each.files.get(path) !== now)?.files.get(path)
  return of.environment === FIRST_ENVIRONMENT || content === undefined ? {} : { [path]: content }
}

/** The failure of a move, with what became of its revert. */
async function reverted(delivery: Delivery, failing: Failing): Promise<Failure> {
  const { environment, cause } = failing
  const what = `Cannot keep ${shortDigest(failing.failing)} in ${environment}`
  const next = await revertDeploy(delivery, failing).then(
    (now) => now ?? `Nothing was reverted: no version of ${environment} is known to have been Healthy`,
    (thrown) => {
      if (delivery.signal.aborted) throw thrown
      return `Reverting it failed too: ${messageOf(thrown)}`
    },
  )
  return new Failure({ what, why: cause.message, next }, cause)
}

/**
 * Installs, and takes the first environment back where its new version never comes to run. What fails for another reason, such as a
 * chart that breaks the version of before, is left as it is: another version would not mend it.
 */
export async function installOrRevert(stack: Stack, request: InstallRequest): Promise<Installed> {
  const { cluster, signal } = request
  const before = digestRun(await cluster.kube.get(workloadIn(FIRST_ENVIRONMENT)))
  try {
    return await install(stack, { ...request, endsWhenStalled: true })
  } catch (thrown) {
    if (signal.aborted || !(thrown instanceof Failure)) throw thrown
    const failing = await failingDigest(cluster, signal)
    if (failing === undefined || failing === before) throw thrown
    await using delivery = await takeDelivery(stack, cluster, request)
    throw await reverted(delivery, { environment: FIRST_ENVIRONMENT, failing, cause: thrown })
  }
}

/** What the first environment was given and never will run; undefined where it may, or does. */
async function failingDigest({ kube }: Cluster, signal: AbortSignal): Promise<Digest | undefined> {
  const look = async (): Promise<Condition<Digest | undefined>> => {
    const seen = await lookAtRollout(kube, FIRST_ENVIRONMENT)
    const digest = digestRun(seen.workload)
    if (digest === undefined) return ready(undefined)
    const condition = rolloutCondition(seen, { digest, sinceMs: 0 }, Date.now())
    if (condition.state === 'pending') return condition
    return ready(condition.state === 'terminal' ? digest : undefined)
  }
  // Between two tries to pull or to start, a pod looks for a moment as if it could.
  const options = { timeoutMs: VERDICT_MS, signal }
  return waitFor('a verdict on the new version', look, options).catch((thrown) => {
    if (signal.aborted || !(thrown instanceof Failure)) throw thrown
    return undefined
  })
}
