/**
 * Moves an environment to another digest by a commit on `deploy`, waits until it runs, and takes it back when it does not. The command
 * that moves it watches it and reverts: on EKS `deploy` is a branch of the user's own remote, which the cluster may read and never
 * write, so that no controller there could.
 */
import { Failure, messageOf, UserError } from '#kit/errors'
import { type Condition, ready, waitFor } from '#kit/wait'
import { commitDeploy } from './delivery.ts'
import { type Environment, FIRST_ENVIRONMENT } from './environments.ts'
import { filesWithDigest, filesWithoutDigest } from './gitops.ts'
import { type DeployFacts, lastHealthy, readHistory, shortDigest, withFacts } from './history.ts'
import { type Installed, type InstallRequest, install } from './install.ts'
import { settleAll, takeLease } from './journal.ts'
import { digestRun, lookAtRollout, readHealthy, rolloutCondition } from './rollout.ts'
import { noCluster } from './run.ts'
import type { Cluster, Digest, GitRemote, ImageSpec, Part, Pushed, Run, Stack, Target } from './types.ts'
import { WORKLOAD_NAME, workloadIn } from './workload.ts'

const ROLLOUT_TIMEOUT_MS = 300_000
const VERDICT_MS = 10_000

export type ReleasePart = Part & { readonly release: ImageSpec }

/** The part whose image moves through the environments. */
export function releasePart(stack: Stack): ReleasePart {
  const part = stack.parts.find(({ name }) => name === WORKLOAD_NAME)
  if (part?.release === undefined) throw new TypeError(`The stack has no part '${WORKLOAD_NAME}' with an image that moves`)
  return { ...part, release: part.release }
}

/** The stack taken for a change of what an environment runs; disposing gives it back. */
export interface Delivery extends Run, AsyncDisposable {
  readonly stack: Stack
  readonly part: ReleasePart
  readonly cluster: Cluster
  readonly git: () => Promise<GitRemote>
}

/** @throws UserError where no cluster of that name runs, or another run holds it; `what` says what could not be done. */
export async function openDelivery(stack: Stack, { name, what, ...run }: Run & { name: string; what: string }): Promise<Delivery> {
  const cluster = await stack.clusters.local.find(name)
  if (cluster === undefined) throw new UserError(noCluster(what, name))
  return takeDelivery(stack, cluster, run)
}

async function takeDelivery(stack: Stack, cluster: Cluster, { progress, signal }: Run): Promise<Delivery> {
  await using begun = new AsyncDisposableStack()
  begun.use(await takeLease(cluster.kube))
  let git: Promise<GitRemote> | undefined
  const opened = { cluster, signal, git: () => (git ??= stack.git(cluster, signal)) }
  for (const reason of await settleAll(opened)) progress.say(`Undid what an interrupted run had left: ${reason}`)
  const held = begun.move()
  return { ...opened, stack, part: releasePart(stack), progress, [Symbol.asyncDispose]: () => held.disposeAsync() }
}

export interface Move {
  readonly environment: Environment
  readonly digest: Digest
  /** Of the commit. */
  readonly message: string
  readonly facts?: DeployFacts
  /** Whether an environment that does not come to run it is taken back. */
  readonly revert: boolean
}

/** @throws Failure where it does not run in the end, which says whether it was taken back. */
export async function deliver(delivery: Delivery, { environment, digest, message, facts = {}, revert }: Move): Promise<Pushed> {
  const { cluster, part, progress } = delivery
  const healthy = await readHealthy(cluster.kube)
  const target = await targetOf(delivery, environment)
  const { files } = await (await delivery.git()).readDeploy()
  const change = filesWithDigest(files, part, { target, digest })
  const pushed = await progress.step(`Commit ${shortDigest(digest)} to ${environment}`, () =>
    commitDeploy(delivery, { message: withFacts(message, { ...facts, healthy }), files: change, applications: [] }),
  )
  try {
    await waitUntilRuns(delivery, environment, digest)
  } catch (thrown) {
    if (!revert || !(thrown instanceof Failure)) throw thrown
    throw await reverted(delivery, { environment, failing: digest, cause: thrown })
  }
  return pushed
}

async function targetOf({ cluster, stack, git }: Delivery, environment: Environment): Promise<Target> {
  const { url } = await git()
  return { cluster, environment, timing: stack.timing.local, repoUrl: url, images: new Map() }
}

/** @throws Failure at once where it never will, else when the time is over. */
async function waitUntilRuns({ cluster, progress, signal }: Delivery, environment: Environment, digest: Digest): Promise<void> {
  const sinceMs = Date.now()
  await progress.step(`Wait until ${environment} runs it`, (onSeen) => {
    const look = async () => rolloutCondition(await lookAtRollout(cluster.kube, environment), { digest, sinceMs }, Date.now())
    return waitFor(`${environment} to run ${shortDigest(digest)}`, look, { timeoutMs: ROLLOUT_TIMEOUT_MS, signal, onSeen })
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
  const to = lastHealthy(await readHistory(await git(), of), environment, failing)
  if (to === undefined) return undefined
  const target = await targetOf(delivery, environment)
  const { files } = await (await git()).readDeploy()
  const change = to === 'nothing' ? filesWithoutDigest(files, part, target) : filesWithDigest(files, part, { target, digest: to })
  const goal = to === 'nothing' ? 'what it was, empty' : shortDigest(to)
  const message = `Revert ${environment} to ${goal}\n\n${shortDigest(failing)} does not run: ${messageOf(cause)}`
  const { sha } = await commitDeploy(delivery, { message, files: change, applications: [] })
  if (to === 'nothing') return `${environment} is empty again, by commit ${sha.slice(0, 7)} of deploy`
  await waitUntilRuns(delivery, environment, to)
  return `${environment} runs ${shortDigest(to)} again, by commit ${sha.slice(0, 7)} of deploy`
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
