/**
 * Moves a part of the platform to another of its versions by a commit on `deploy`, under load and between proofs, and goes back by another
 * commit where the platform does not hold what it held before.
 */
import { Failure, messageOf } from '#kit/errors'
import type { Images } from '#kit/images'
import { formatMs } from '#kit/progress'
import { waitFor } from '#kit/wait'
import { commitDeploy, type DeployChange, pushDeploy } from './delivery.ts'
import { applyFiles } from './direct.ts'
import { FIRST_ENVIRONMENT } from './environments.ts'
import { applicationNames, filesWithPart, ROOT_APPLICATION } from './gitops.ts'
import { storeImages, waitUntilHealthy } from './install.ts'
import { journal, settleAll, strike } from './journal.ts'
import { judgeRelay, type Relay, startRelay } from './relay.ts'
import { headline, isGood, type Result, rowsOf } from './render.ts'
import { checkAnswering, type OpenRun, runOne, selectScenarios } from './run.ts'
import type { ClaimResult, Scenario } from './scenario.ts'
import type { Stack, Target } from './types.ts'
import { partAt, planUpgrade, renderPlan, type UpgradePlan, type WantedUpgrade } from './upgrade-plan.ts'
import { lookAtPrograms, lookForBroken, type RunningProgram, versionedIn, type WantedVersion, workloadsOf } from './versions.ts'

const SAID_TIMEOUT_MS = 60_000
/** Of a stack that runs, and of one that goes back to what ran. */
const CALM_TIMEOUT_MS = 120_000

/** What a move came to. */
export interface UpgradeReport extends Pick<UpgradePlan, 'part' | 'from' | 'to'> {
  /** Whether it runs `to` now; else it runs `from` again. */
  readonly moved: boolean
  /** Why it went back. */
  readonly why?: string
  /** The commit of `deploy` that says what runs now. */
  readonly commit: string
  /** What says so itself. */
  readonly programs: readonly RunningProgram[]
  /** From the commit to `to` until everything was Healthy and said so. */
  readonly healthyAfterMs?: number
  readonly before: readonly Result[]
  readonly after: readonly Result[]
  /** Of the whole move, proofs included; absent where it was cut short. */
  readonly load?: ClaimResult
}

/** As far as it came. */
type Facts = { -readonly [key in keyof UpgradeReport]: UpgradeReport[key] } & Record<'before' | 'after', Result[]>

interface Upgrading extends WantedUpgrade {
  readonly run: OpenRun
  readonly stack: Stack
  readonly target: Target
  readonly proofs: readonly Scenario[]
  readonly from: string
}

/**
 * Moves the part, or goes back: then the report says why. Interrupted, it goes back too; killed, the next command does.
 * @throws UserError or Failure where nothing was moved; Failure where going back failed.
 */
export async function upgrade(run: OpenRun, stack: Stack, wanted: WantedUpgrade & { readonly images: Images }): Promise<UpgradeReport> {
  const { cluster } = run.context
  const git = await run.context.git()
  const plan = await planUpgrade(wanted, { cluster, git, images: wanted.images })
  run.progress.say(renderPlan(plan))
  const { part, from, to } = plan
  const x = { ...wanted, run, stack, from, ...(await provided(run, stack, { ...wanted, repoUrl: git.url })) }
  const facts: Facts = { part, from, to, moved: false, commit: '', programs: [], before: [], after: [] }
  await untilHealthy(x, { signal: run.signal, timeoutMs: CALM_TIMEOUT_MS })
  await prove(run, x.proofs, { into: facts.before, what: `Cannot move ${part} from ${from}` })
  const { forth, back } = await changesOf(x, await git.readDeploy())
  await using load = await run.progress.step('Start load', () => startRelay(run.context))
  const entry = await journal(cluster.kube, forth.message, [{ op: 'commit', ...back }])
  try {
    await moveUnderLoad(x, { forth, load, facts })
    await strike(cluster.kube, entry)
    return { ...facts, moved: true }
  } catch (thrown) {
    await load[Symbol.asyncDispose]()
    Object.assign(facts, await goBack(x, { back, cause: thrown }))
    if (run.signal.aborted || !(thrown instanceof Failure)) throw thrown
    return { ...facts, why: thrown.message }
  }
}

/** What a move needs: the images of the version in the registry, and the proofs, which can be asked. */
async function provided(
  { context }: OpenRun,
  stack: Stack,
  { images, repoUrl, ...wanted }: WantedUpgrade & { readonly images: Images; readonly repoUrl: string },
): Promise<Pick<Upgrading, 'target' | 'proofs'>> {
  const { cluster, timing } = context
  const proofs = wanted.upgrades.proofs.flatMap((name) => selectScenarios(stack, 'proof', { names: [name] }))
  await checkAnswering(
    cluster,
    proofs.flatMap(({ asks = [] }) => asks),
  )
  const stored = await storeImages({ ...stack, parts: [partAt(wanted)] }, { images, registry: cluster.registry })
  return { proofs, target: { cluster, environment: FIRST_ENVIRONMENT, timing, repoUrl, images: stored } }
}

/** The commit to the version, and the one that takes exactly that back. */
async function changesOf(
  x: Upgrading,
  { files }: { readonly files: ReadonlyMap<string, string> },
): Promise<Record<'forth' | 'back', DeployChange>> {
  const { part, from, to, target } = x
  const version = partAt(x)
  const change = await filesWithPart(files, version, target)
  const original = Object.fromEntries(Object.keys(change).map((path) => [path, files.get(path) ?? null]))
  const applications = version.applications(target, {}).filter(({ kind }) => kind === 'Application')
  const of = { applications: applications.map(({ metadata }) => metadata.name), bootstraps: part.bootstraps ?? false }
  return {
    forth: { ...of, message: `Move ${part.name} from ${from} to ${to}`, files: change },
    back: { ...of, message: `Back to ${part.name} ${from}`, files: original },
  }
}

interface Moving {
  readonly forth: DeployChange
  readonly load: Relay
  readonly facts: Facts
}

/** @throws Failure where the version does not come to run, a proof does not hold, or requests fail: at once with the first of them. */
async function moveUnderLoad(x: Upgrading, { forth, load, facts }: Moving): Promise<void> {
  const { part, to } = x
  const signal = AbortSignal.any([x.run.signal, load.lost])
  const run = { ...x.run, signal, context: { ...x.run.context, signal } }
  const what = `Cannot keep ${part.name} ${to}`
  const fromMs = Date.now()
  const git = await run.context.git()
  signal.throwIfAborted()
  const { sha } = await run.progress.step(`Commit ${part.name} ${to}`, () => pushDeploy(git, forth))
  facts.commit = sha
  facts.programs = await untilRuns(x, { version: to }, { signal, sinceMs: fromMs })
  facts.healthyAfterMs = Date.now() - fromMs
  await prove(run, x.proofs, { into: facts.after, what })
  const toMs = Date.now()
  const relayed = await run.progress.step('Wait for the end of the load', () => load.end())
  facts.load = judgeRelay(relayed, { fromMs, toMs })
  if (facts.load.outcome !== 'true') throw new Failure({ what, why: `load: ${facts.load.seen}` })
}

/** One after the other, up to the first that does not hold. @throws Failure naming it */
export async function prove(
  run: OpenRun,
  proofs: readonly Scenario[],
  { into, what }: { readonly into: Result[]; readonly what: string },
): Promise<void> {
  for (const proof of proofs) {
    const result = await runOne(run, proof)
    run.signal.throwIfAborted()
    into.push(result)
    run.progress.say(headline(result))
    const { verdict, reason } = result.judgement
    if (!isGood(result)) throw new Failure({ what, why: `${proof.name} is ${verdict}: ${reason}` })
  }
}

/** Everything Healthy at what `deploy` names now, and the part's programs saying that they are of a version. */
async function untilRuns(x: Upgrading, wanted: Omit<WantedVersion, 'upgrades'>, waiting: Waiting): Promise<readonly RunningProgram[]> {
  const { part, upgrades, run, target } = x
  const { version } = wanted
  const { signal } = waiting
  const files = await untilHealthy(x, waiting)
  const workloads = versionedIn(files, part, upgrades)
  const look = () => lookAtPrograms(target.cluster.kube, workloads, { ...wanted, upgrades })
  return run.progress.step(`Wait until ${part.name} says that it is ${version}`, (onSeen) =>
    waitFor(`${part.name} to say that it is ${version}`, look, { timeoutMs: SAID_TIMEOUT_MS, signal, onSeen }),
  )
}

interface Waiting {
  readonly signal: AbortSignal
  /** A pod of the part that was made since then and breaks ends the wait. @default none does */
  readonly sinceMs?: number
  readonly timeoutMs?: number
}

/** @returns the files of `deploy`. */
async function untilHealthy(
  { stack, part, run, target }: Upgrading,
  { sinceMs, ...waiting }: Waiting,
): Promise<ReadonlyMap<string, string>> {
  const { kube } = target.cluster
  const { sha = '', files } = await (await stack.git(target.cluster, waiting.signal)).readDeploy()
  const wanted = {
    target,
    applications: [ROOT_APPLICATION, ...applicationNames(files)],
    revisions: { deploy: sha, pushedAtMs: Date.now() },
  }
  const endsWhen = async () => (sinceMs === undefined ? undefined : lookForBroken(kube, workloadsOf(files, part), sinceMs))
  await run.progress.step('Wait until everything is Synced and Healthy', (onSeen) =>
    waitUntilHealthy(stack, wanted, { ...waiting, onSeen, endsWhen }),
  )
  return files
}

// ── The way back ────────────────────────────────────────────────────────────────────────────────────────────────────

interface GoingBack {
  readonly back: DeployChange
  readonly cause: unknown
}

/**
 * Also after an interrupt: what was begun is not left halfway. It is struck from the journal once it is seen to be back: before that, a
 * second interrupt leaves it to the next command.
 */
async function goBack(x: Upgrading, { back, cause }: GoingBack): Promise<Pick<UpgradeReport, 'commit' | 'programs'>> {
  const { part, from, run, stack, target } = x
  const { signal } = new AbortController() // never aborts: each wait has its own end
  const undoer = { cluster: target.cluster, git: () => stack.git(target.cluster, signal), signal }
  run.progress.say(`Going back to ${part.name} ${from}: ${messageOf(cause)}`)
  try {
    const { sha } = await run.progress.step(`Commit ${part.name} ${from} again`, () => commitDeploy(undoer, back))
    const programs = await untilBack(x, back, signal)
    await settleAll(undoer) // and with it what an interrupted proof has left
    run.progress.say(`${part.name} runs ${from} again`)
    return { commit: sha, programs }
  } catch (failed) {
    const next = 'Run npm run local:up, which tries it again, and installs what the working tree pins'
    throw new Failure({ what: `Cannot go back to ${part.name} ${from}`, why: messageOf(failed), next }, cause)
  }
}

/** By Argo CD; and directly where it is that which goes back, has seen the commit, and cannot sync it. */
async function untilBack(x: Upgrading, back: DeployChange, signal: AbortSignal): Promise<readonly RunningProgram[]> {
  const { part, from, run, target } = x
  const untilFrom = () => untilRuns(x, { version: from, mayBeSilent: true }, { signal, timeoutMs: CALM_TIMEOUT_MS })
  if (back.bootstraps !== true) return untilFrom()
  return untilFrom().catch(async (thrown) => {
    if (!(thrown instanceof Failure)) throw thrown
    await run.progress.step(`Apply ${part.name} ${from} directly`, () => applyFiles(target.cluster.kube, back.files, signal))
    return untilFrom()
  })
}

// ── For a terminal ──────────────────────────────────────────────────────────────────────────────────────────────────

/** What it came to, and below it what was seen. */
export function renderUpgrade(report: UpgradeReport): string {
  const { part, from, to, moved, why, commit, healthyAfterMs = 0, programs, before, after, load } = report
  const by = `by commit ${commit.slice(0, 7)} of deploy`
  const end = moved ? `Healthy after ${formatMs(healthyAfterMs)}, ${by}` : `went back to ${from}, ${by}: ${why}`
  return [
    `${moved ? '✓' : '✗'} ${part} ${from} → ${to}: ${end}`,
    ...before.map((result) => `    before: ${headline(result)}`),
    ...after.map((result) => `    after: ${headline(result)}`),
    ...programs.map(({ pod, version = 'nothing of its version', image }) => `    ${pod} says ${version} (${image})`),
    ...(load === undefined ? [] : [`    load: ${load.seen}`]),
  ].join('\n')
}

/** The same as data: one object. */
export function upgradeJson(report: UpgradeReport): string {
  return JSON.stringify({ ...report, before: rowsOf(report.before), after: rowsOf(report.after) }, null, 2)
}
