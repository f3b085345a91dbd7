/** From "there is a cluster" to "everything is Synced and Healthy at the pushed revisions": the same on every cluster. */
import { digestOf, type Images } from '#kit/images'
import { type Kube, type KubeObject, type ObjectRef, refOf } from '#kit/kube'
import { tagImage } from '#kit/registry'
import { type Condition, pending, ready, terminal, waitFor } from '#kit/wait'
import { refresh } from './delivery.ts'
import { applyAll, applyEarly, runsPods, waitForKinds } from './direct.ts'
import type { Check } from './doctor.ts'
import { ENVIRONMENTS, type Environment, FIRST_ENVIRONMENT, nameIn } from './environments.ts'
import {
  ARGOCD_NAMESPACE,
  applicationNames,
  composeDeploy,
  followsTree,
  moveDigest,
  namespaceObjects,
  OWN_REFS,
  ROOT_APPLICATION,
  renderObjects,
  renderPart,
  rootObjects,
} from './gitops.ts'
import {
  applicationState,
  currentPods,
  firstProblem,
  isCompared,
  pastPods,
  type Revisions,
  type StackSeen,
  stackCondition,
} from './health.ts'
import { type DeployFacts, withFacts } from './history.ts'
import { HOLDFAST_NAMESPACE, type Lease, settleLeft, takeLease } from './journal.ts'
import { vouched } from './provenance.ts'
import { readHealthy, stalled, stoppedCanary } from './rollout.ts'
import type { Cluster, ClusterPlace, GitRemote, ImageSpec, Part, Run, SourceHead, Stack, StoredImage, Target } from './types.ts'
import { rolloutIn, WORKLOAD_NAME } from './workload.ts'

const APPLICATIONS = { apiVersion: 'argoproj.io/v1alpha1', kind: 'Application', namespace: ARGOCD_NAMESPACE }
const PODS = { apiVersion: 'v1', kind: 'Pod' }
const TELL_AGAIN_MS = 1_000
const HEALTHY_TIMEOUT_MS = 300_000
const ROLLOUT_TIMEOUT_MS = 180_000

export interface InstallRequest extends Run {
  readonly cluster: Cluster
  /** Whether a rollout in an environment that makes no progress ends the wait: not where everything comes up for the first time. @default false */
  readonly endsWhenStalled?: boolean
  readonly stored: ReadonlyMap<string, StoredImage>
}

export interface Installed {
  /** What could be installed of it. */
  readonly stack: Stack
  readonly target: Target
  readonly revisions: Revisions & { readonly source: string }
  readonly git: GitRemote
  /** Names of the Applications that must be Synced and Healthy. */
  readonly applications: readonly string[]
}

/** All images of a part. */
export const imagesOf = (part: Part) => [...part.images, ...(part.release === undefined ? [] : [part.release])]

/** Puts every image of the stack that can be had into the registry, side by side. */
export async function storeImages(
  stack: Stack,
  { images, registry }: { images: Images; registry: string },
): Promise<ReadonlyMap<string, StoredImage>> {
  const head = await stack.source.head()
  const store = async (spec: ImageSpec) => ((await images.canHave(spec, registry)) ? [await images.stored(spec, registry)] : [])
  const isReleased = ({ spec }: StoredImage) => stack.parts.some(({ release }) => release?.name === spec.name)
  const vouch = (image: StoredImage) => vouched(image, { images, registry, signing: stack.signing, source: head })
  const found = (await Promise.all(stack.parts.flatMap(imagesOf).map(store))).flat()
  const stored = await Promise.all(found.map((image) => (isReleased(image) ? vouch(image) : image)))
  await Promise.all(stored.filter(isReleased).map((image) => tagForSource(image, registry, head)))
  return new Map(stored.map((image) => [image.spec.name, image]))
}

/** `latest` is what was stored last; a commit's own tag is of exactly its files. */
async function tagForSource({ spec, digest }: StoredImage, registry: string, head: SourceHead | undefined): Promise<void> {
  for (const tag of [spec.tag, ...(head?.clean ? [head.sha] : [])]) {
    if ((await digestOf(registry, spec.name, tag)) !== digest) await tagImage({ registry, name: spec.name, digest }, tag)
  }
}

/** The stack without the parts that are for another kind of cluster. */
export function stackOn(stack: Stack, kind: Cluster['kind']): Stack {
  return { ...stack, parts: stack.parts.filter(({ only = kind }) => only === kind) }
}

/** What this machine must have for a cluster of the stack. */
export function machineChecks(stack: Stack, place: ClusterPlace): readonly Check[] {
  return stack.clusters.local.checks(place, stackOn(stack, 'k3s').parts.flatMap(imagesOf))
}

/** The stack without the parts of which an image could not be had, and why. */
export function withStored(stack: Stack, stored: ReadonlyMap<string, StoredImage>): { stack: Stack; leftOut: readonly string[] } {
  const lacks = (part: Part) => imagesOf(part).filter(({ name }) => !stored.has(name))
  const leftOut = stack.parts.flatMap((part) =>
    lacks(part).map(({ name }) => `Left out: ${part.name}; its image ${name} can only be pulled, and no container registry answers`),
  )
  return { stack: { ...stack, parts: stack.parts.filter((part) => lacks(part).length === 0) }, leftOut }
}

/** Installs the stack, or syncs the one that is there to the working tree. @throws UserError, and changes nothing, while a run holds it */
export async function install(whole: Stack, request: InstallRequest): Promise<Installed> {
  const { cluster, stored, progress, endsWhenStalled = false } = request
  const { stack, leftOut } = withStored(stackOn(whole, cluster.kind), stored)
  for (const line of leftOut) progress.say(line)
  const target = ({ url, refs }: Pick<GitRemote, 'url' | 'refs'>): Target => ({
    cluster,
    environment: cluster.environment ?? FIRST_ENVIRONMENT,
    timing: stack.timing[cluster.timing],
    repoUrl: url,
    images: stored,
    refs,
  })
  await using lease = await holdNew(cluster.kube)
  const signal = AbortSignal.any([request.signal, lease.lost])
  await bootstrap(stack, target({ url: '', refs: OWN_REFS }), { progress, signal })
  await settleLeft({ cluster, git: (own = signal) => stack.git(cluster, own) }, progress)
  const git = await stack.git(cluster, signal)
  const facts = await factsNow(stack, target(git))
  const installed = await progress.step('Push the working tree', () => push(stack, target(git), { git, facts }))
  await progress.step('Wait until everything is Synced and Healthy', async (note) => {
    for (const object of rootObjects(installed.target)) await cluster.kube.apply(object)
    await waitUntilHealthy(stack, installed, { signal, onSeen: note, endsWhenStalled })
  })
  return installed
}

/** The one thing that a new cluster lacks for it comes first: what heals must not run beside what breaks on purpose. */
async function holdNew(kube: Kube): Promise<Lease> {
  const namespace = ownNamespace()
  if ((await kube.get(refOf(namespace))) === undefined) await applyAll(kube, [namespace])
  return takeLease(kube)
}

/** What the commit will say of itself. */
async function factsNow(stack: Stack, { cluster, images }: Target): Promise<DeployFacts> {
  const [source, healthy] = await Promise.all([stack.source.head(), readHealthy(cluster.kube)])
  const released = stack.parts.flatMap(({ release }) => images.get(release?.name ?? '') ?? [])
  const built = released.map(({ spec, digest }) => ({ name: spec.name, digest }))
  return { images: built, healthy, ...(source === undefined ? {} : { source }) }
}

async function push(stack: Stack, target: Target, { git, facts }: { git: GitRemote; facts: DeployFacts }): Promise<Installed> {
  const rendered = await renderObjects(stack, target)
  const { environment } = target
  const what = environment === FIRST_ENVIRONMENT ? `Render the stack and deploy the working tree to ${environment}` : 'Render the stack'
  let applications: string[] = []
  const [source, deploy] = await Promise.all([
    git.pushSource(),
    git.updateDeploy(withFacts(what, facts), (files) => {
      for (const part of stack.parts) {
        const image = part.release === undefined ? undefined : target.images.get(part.release.name)
        if (image !== undefined && followsTree(part, environment)) moveDigest(files, part, { environment, image })
      }
      composeDeploy(files, stack, { target, rendered })
      applications = [ROOT_APPLICATION, ...applicationNames(files)]
    }),
  ])
  const revisions = { source: source.sha, deploy: deploy.sha, refs: git.refs, pushedAtMs: Date.now() }
  return { stack, target, git, applications, revisions }
}

/** Applies what Argo CD needs before it can sync, itself and the Git server, unless both are there. It adopts them. */
async function bootstrap(stack: Stack, target: Target, { progress, signal }: Run): Promise<void> {
  const { kube } = target.cluster
  const [first, later] = split(stack.parts, ({ bootstraps = false }) => bootstraps)
  const objects = await renderedBy(first, target)
  const workloads = objects.filter(runsPods).map(refOf)
  if (await canSync(kube, workloads)) return prepareParts(stack, target.cluster, { progress, signal })
  await progress.step('Bootstrap Argo CD and Git', async (note) => {
    await prepareParts(stack, target.cluster, { progress, signal })
    // Argo CD reads the API's whole schema anew with every definition that comes, so they come before it runs.
    const isDefinition = ({ kind }: KubeObject) => kind === 'CustomResourceDefinition'
    const [definitions, others] = split(await renderedBy(later, target), isDefinition)
    await applyAll(kube, [...definitions, ...objects])
    // Where it has run before, what it syncs to until the push may be another commit.
    const isNew = (await kube.get({ ...APPLICATIONS, name: ROOT_APPLICATION })) === undefined
    const early = async () => {
      await waitForKinds(kube, definitions, signal)
      await applyEarly(kube, others)
    }
    await Promise.all([isNew ? early() : undefined, waitForWorkloads(kube, workloads, { signal, onSeen: note })])
  })
}

function split<T>(all: readonly T[], isFirst: (each: T) => boolean): [T[], T[]] {
  return [all.filter(isFirst), all.filter((each) => !isFirst(each))]
}

async function renderedBy(parts: readonly Part[], target: Target): Promise<KubeObject[]> {
  return (await Promise.all(parts.map((part) => renderPart(part, target)))).flat()
}

/** What the parts make themselves goes into their namespaces, which a stack that is there lacks where a part is new. */
async function prepareParts(stack: Stack, cluster: Cluster, run: Run): Promise<void> {
  const present = new Set((await cluster.kube.list({ apiVersion: 'v1', kind: 'Namespace' })).map(({ metadata }) => metadata.name))
  const missing = stack.parts.flatMap(({ namespaces }) => namespaces).filter(({ name }) => !present.has(name))
  await applyAll(cluster.kube, missing.flatMap(namespaceObjects))
  await Promise.all(stack.parts.map((part) => part.prepare?.(cluster, run)))
}

/** Whether Argo CD can read Git and all that it needs is there: what is broken beyond that, it mends itself. */
async function canSync(kube: Kube, workloads: readonly ObjectRef[]): Promise<boolean> {
  const root = await kube.get({ ...APPLICATIONS, name: ROOT_APPLICATION })
  if (root === undefined || root.status?.sync?.status === 'Unknown') return false
  const found = await Promise.all(workloads.map((ref) => kube.get(ref)))
  return found.every((each) => each !== undefined)
}

const ownNamespace = (): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name: HOLDFAST_NAMESPACE, labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
})

async function waitForWorkloads(kube: Kube, workloads: readonly ObjectRef[], { signal, onSeen }: WaitUntilHealthy): Promise<void> {
  const namespaces = new Set(workloads.map(({ namespace = '' }) => namespace))
  const look = async (): Promise<Condition<void>> => {
    const found = await Promise.all(workloads.map((ref) => kube.get(ref)))
    const waiting = found.filter((each) => (each?.status?.readyReplicas ?? 0) < (each?.spec.replicas ?? 1))
    if (waiting.length === 0) return ready(undefined)
    const { pods } = await listPods(kube, namespaces)
    const problem = firstProblem(pods)
    return problem === undefined ? pending(`not ready: ${waiting.map((each) => each?.metadata.name).join(', ')}`) : terminal(problem)
  }
  const changes = (wake: () => void) => watchAll(kube, [PODS], wake)
  const options = { timeoutMs: ROLLOUT_TIMEOUT_MS, signal, changes, ...(onSeen === undefined ? {} : { onSeen }) }
  await waitFor('Argo CD and the Git server to run', look, options)
}

/** What must be Synced and Healthy, and at which commits. */
export interface WantedStack extends Pick<Installed, 'target' | 'applications'> {
  readonly revisions: Revisions
}

/** Every Application Synced and Healthy at the pushed revisions since its node was started, and every part content. */
export async function waitUntilHealthy(stack: Stack, wanted: WantedStack, options: WaitUntilHealthy): Promise<void> {
  const { signal, onSeen, endsWhenStalled = false, endsWhen, timeoutMs = HEALTHY_TIMEOUT_MS } = options
  const { target, applications: expected } = wanted
  const { kube, machines } = target.cluster
  const starts = new Map((await machines?.list())?.map(({ node, startedAt }) => [node, Date.parse(startedAt)]))
  const [comparedSinceMs] = starts.values() // of the one with the API server
  const revisions = { ...wanted.revisions, ...(comparedSinceMs === undefined ? {} : { comparedSinceMs }) }
  const namespaces = new Set(stack.parts.flatMap((part) => part.namespaces.map(({ name }) => name)))
  const teller = createTeller(kube, revisions)
  const look = async (): Promise<Condition<void>> => {
    const [all, { pods, deployments, rollouts }] = await Promise.all([kube.list(APPLICATIONS), listPods(kube, namespaces)])
    await teller(all)
    const { seen, stopped } = withoutStopped({ applications: all, pods, expected }, [...deployments, ...rollouts])
    const condition = stackCondition(seen, revisions, Date.now())
    if (condition.state === 'ready') return pastCondition(pods, starts) ?? stopped ?? partsCondition(stack, target)
    return (endsWhenStalled ? stalledCondition(deployments) : undefined) ?? (await endsWhen?.()) ?? condition
  }
  const changes = (wake: () => void) => watchAll(kube, [APPLICATIONS, PODS], wake)
  const waiting = { timeoutMs, signal, changes, ...(onSeen === undefined ? {} : { onSeen }) }
  await waitFor('everything to be Synced and Healthy', look, waiting)
}

/**
 * A canary that was taken back, or that waits, began with a promotion, and nothing that is installed here ends it: all else is waited for
 * first, and then it is said.
 */
export function withoutStopped(
  seen: StackSeen,
  workloads: readonly KubeObject[],
): { seen: StackSeen; stopped: Condition<never> | undefined } {
  const found = ENVIRONMENTS.flatMap((environment) => {
    const of = (kind: string) => workloads.find((each) => each.kind === kind && isWorkloadIn(environment, each))
    const problem = stoppedCanary({ rollout: of('Rollout'), workload: of('Deployment') }, 0)
    return problem === undefined ? [] : [{ environment, problem }]
  })
  const [first] = found
  if (first === undefined) return { seen, stopped: undefined }
  const isOther = (name: string) => found.every(({ environment }) => nameIn(environment, WORKLOAD_NAME) !== name)
  const applications = seen.applications.filter(({ metadata }) => isOther(metadata.name))
  const next = `All else is Synced and Healthy. Run npm run promote -- ${first.environment}, which takes it back and says how to go on`
  return { seen: { ...seen, applications, expected: seen.expected.filter(isOther) }, stopped: terminal(first.problem, next) }
}

const isWorkloadIn = (environment: Environment, { metadata }: KubeObject) =>
  metadata.name === WORKLOAD_NAME && metadata.namespace === environment

function pastCondition(pods: readonly KubeObject[], starts: ReadonlyMap<string, number>): Condition<never> | undefined {
  const past = pastPods(pods, starts)
  return past.length === 0 ? undefined : pending(`not started again: ${past.join(', ')}`)
}

/** A rollout in an environment that will not end by waiting. */
function stalledCondition(deployments: readonly KubeObject[]): Condition<never> | undefined {
  const inEnvironments = deployments.filter(({ metadata }) => ENVIRONMENTS.some((each) => each === metadata.namespace))
  const problem = inEnvironments.map((deployment) => stalled(deployment, Date.now())).find((each) => each !== undefined)
  return problem === undefined ? undefined : terminal(problem, 'npm run local:status shows the whole stack')
}

/** The pods of some namespaces that run what is wanted now, and every Deployment and Rollout. Where none can be, there is none. */
async function listPods(
  kube: Kube,
  namespaces: ReadonlySet<string>,
): Promise<Readonly<Record<'pods' | 'deployments' | 'rollouts', KubeObject[]>>> {
  const [pods, replicaSets, deployments, found] = await Promise.all([
    kube.list(PODS),
    kube.list({ apiVersion: 'apps/v1', kind: 'ReplicaSet' }),
    kube.list({ apiVersion: 'apps/v1', kind: 'Deployment' }),
    Promise.all(ENVIRONMENTS.map(async (environment) => (await kube.get(rolloutIn(environment))) ?? [])),
  ])
  const ours = pods.filter(({ metadata }) => namespaces.has(metadata.namespace ?? ''))
  const rollouts = found.flat()
  return { pods: currentPods(ours, replicaSets, [...deployments, ...rollouts]), deployments, rollouts }
}

interface WaitUntilHealthy {
  readonly signal: AbortSignal
  readonly onSeen?: (seen: string) => void
  readonly endsWhenStalled?: boolean
  /** Asked while it is not so: what else shows that it will not be. @default nothing */
  readonly endsWhen?: () => Promise<Condition<never> | undefined>
  /** @default 300_000 */
  readonly timeoutMs?: number
}

/**
 * Argo CD is told, not polled: an annotation makes it compare with the newest commits at once. One that looked while the
 * Git server was not reachable yet would look again only minutes later, so it is told until it has compared.
 */
export function createTeller(kube: Kube, revisions: Revisions): (applications: readonly KubeObject[]) => Promise<void> {
  const [startedMs, toldAtMs] = [Date.now(), new Map<string, number>()]
  return async (applications) => {
    const first = applications.filter(({ metadata: { name } }) => FIRST_TOLD.includes(name))
    const isFirstThrough = first.every((each) => isSyncedTo(each, revisions))
    const told = isFirstThrough || Date.now() - startedMs > OTHERS_LATER_MS ? applications : first
    const due = told.filter(({ metadata }) => Date.now() - (toldAtMs.get(metadata.name) ?? 0) >= TELL_AGAIN_MS)
    const behind = due.filter((application) => !isCompared(application, revisions))
    await Promise.all(
      behind.map(async (application) => {
        toldAtMs.set(application.metadata.name, Date.now())
        await refresh(kube, application.metadata.name)
      }),
    )
  }
}

/** What carries the change, and what it is of. All Applications are of one repository, and where all are told at once these are the last. */
const FIRST_TOLD = [ROOT_APPLICATION, nameIn(FIRST_ENVIRONMENT, WORKLOAD_NAME)]
const OTHERS_LATER_MS = 3_000

const isSyncedTo = (application: KubeObject, revisions: Revisions) =>
  isCompared(application, revisions) && applicationState(application).sync === 'Synced'

async function partsCondition(stack: Stack, target: Target): Promise<Condition<void>> {
  const conditions = await Promise.all(stack.parts.map(async (part) => (await part.ready?.(target)) ?? ready(undefined)))
  return conditions.find(({ state }) => state !== 'ready') ?? ready(undefined)
}

function watchAll(kube: Kube, refs: readonly Parameters<Kube['watch']>[0][], wake: () => void): Disposable {
  const watches = refs.map((ref) => kube.watch(ref, wake))
  return {
    [Symbol.dispose]() {
      for (const watch of watches) watch[Symbol.dispose]()
    },
  }
}
