/** What the cluster's objects say about the stack: ready, not yet, or never without a change. Pure. */
import { isDeepStrictEqual } from 'node:util'
import { conditionOf, type KubeObject } from '#kit/kube'
import { type Condition, pending, ready, terminal } from '#kit/wait'
import { OWN_REFS } from './gitops.ts'
import type { Refs } from './types.ts'

/** The commits that the two refs must be synced to. */
export interface Revisions {
  /** Absent where it did not move: whatever it names. */
  readonly source?: string
  readonly deploy: string
  /** @default `source` and `deploy` */
  readonly refs?: Refs
  readonly pushedAtMs: number
  /** What Argo CD said before then is of another life of its node. @default whenever it was */
  readonly comparedSinceMs?: number
}

export interface ApplicationState {
  readonly name: string
  readonly sync: string
  readonly health: string
  /** The commits compared with, one per source. */
  readonly revisions: readonly string[]
  readonly message: string
}

interface Conditioned {
  readonly type: string
  readonly message: string
  readonly lastTransitionTime?: string
}

/** Crashing once while what it needs comes up is normal for a pod. */
const CRASHES_ALLOWED = 2
const IMAGE_FAILURES = ['ErrImagePull', 'ImagePullBackOff', 'InvalidImageName', 'ErrImageNeverPull']
/** A Secret that another pod makes, as Argo CD's Redis does, comes within seconds. */
const CONFIG_MS = 60_000
/** A pod is unschedulable for a moment while the node's taints go. */
const UNSCHEDULABLE_MS = 20_000

export function applicationState(application: KubeObject): ApplicationState {
  const { status = {}, metadata } = application
  const sync = status.sync ?? {}
  return {
    name: metadata.name,
    sync: sync.status ?? 'Unknown',
    health: status.health?.status ?? 'Unknown',
    revisions: sync.revisions ?? (sync.revision === undefined ? [] : [sync.revision]),
    message: problemOf(application) ?? '',
  }
}

/** Whether an Application runs exactly what was pushed. */
export function applicationCondition(application: KubeObject, wanted: Revisions): Condition<void> {
  const { name, sync, health } = applicationState(application)
  const problem = problemOf(application)
  if (problem !== undefined && Date.parse(application.status?.reconciledAt) > wanted.pushedAtMs) {
    return terminal(`Application '${name}': ${problem}`, 'Mend what it names in the working tree and run this again')
  }
  if (!isCompared(application, wanted))
    return pending(`${name} has not compared the pushed revision${problem === undefined ? '' : ` (${problem})`}`)
  return sync === 'Synced' && health === 'Healthy' ? ready(undefined) : pending(`${name} ${sync}/${health}`)
}

interface Source {
  readonly targetRevision?: string
}

/** Its present sources, each compared with the commit that was pushed: an older Synced says nothing. */
export function isCompared({ spec, status }: KubeObject, wanted: Revisions): boolean {
  if (wanted.comparedSinceMs !== undefined && !(Date.parse(status?.reconciledAt) >= wholeSecond(wanted.comparedSinceMs))) return false
  const sources = (spec.sources ?? [spec.source]) as Source[]
  const compared = status?.sync?.comparedTo
  if (!isDeepStrictEqual(compared?.sources ?? [compared?.source], sources)) return false
  const { source, deploy } = wanted.refs ?? OWN_REFS
  const seen = (status.sync.revisions ?? [status.sync.revision]) as (string | undefined)[]
  return sources.every(({ targetRevision }, i) => {
    const expected = { [source]: wanted.source, [deploy]: wanted.deploy }[targetRevision ?? '']
    return expected === undefined || seen[i] === expected
  })
}

/** A chart that does not render, a project that forbids: errors that the same commit always gives. */
function problemOf({ status }: KubeObject): string | undefined {
  const conditions = (status?.conditions ?? []) as Conditioned[]
  const found = conditions.find(
    ({ type, message }) =>
      (type === 'InvalidSpecError' && !PROJECT_TO_COME.test(message)) || (type === 'ComparisonError' && !PASSING.test(message)),
  )
  if (found !== undefined) return shorten(found.message ?? '')
  return failedAgain(status)
}

/** Retries never end (see gitops.ts), so one that fails so often has failed for good. */
const FAILURES_ALLOWED = 10

/** What the last attempts to sync the compared commit failed of; undefined while it may pass. */
function failedAgain(status: KubeObject['status']): string | undefined {
  const { operationState: operation, sync } = status ?? {}
  const attempted = operation?.syncResult?.revisions ?? [operation?.syncResult?.revision]
  const isCurrent = isDeepStrictEqual(attempted, sync?.revisions ?? [sync?.revision]) // else it failed for an older commit
  // Between two attempts the operation is running and finished at once.
  const failed = operation?.phase === 'Failed' || (operation?.phase === 'Running' && operation.finishedAt !== undefined)
  const message = operation?.message ?? 'sync failed'
  const isForGood = failed && isCurrent && (operation.retryCount ?? 0) >= FAILURES_ALLOWED
  return isForGood && !PASSING.test(message) && !UNDEFINED_KIND.test(message) ? shorten(message) : undefined
}

/** Another Application defines the kind, and has not come to it yet. */
const UNDEFINED_KIND = /could not find the requested resource|no matches for kind/i

/**
 * The commit that brings an Application brings or widens its project too, in the same sync: Argo CD may look at the one before it has
 * seen the other (util/argo/argo.go of Argo CD 3.5.7 has the texts).
 */
const PROJECT_TO_COME = /referencing project \S+ which does not exist|not permitted in project|allowed destinations in project/

/** What comes and goes while pods start. */
const PASSING = /connection refused|connection reset|Unavailable|no such host|i\/o timeout|deadline exceeded|EOF|unable to resolve/i

/** The first of these pods' that no waiting mends. */
export function firstProblem(pods: readonly KubeObject[], nowMs = Date.now()): string | undefined {
  return pods.map((pod) => podProblem(pod, nowMs)).find((problem) => problem !== undefined)
}

/** Why a pod will not become ready by waiting; undefined while it may. */
export function podProblem(pod: KubeObject, nowMs: number): string | undefined {
  const statuses = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])] as ContainerStatus[]
  const ageMs = nowMs - Date.parse(pod.status?.startTime ?? new Date(nowMs).toISOString())
  const problem = statuses.map((status) => containerProblem(status, ageMs)).find((each) => each !== undefined) ?? unschedulable(pod, nowMs)
  return problem === undefined ? undefined : `Pod '${pod.metadata.namespace}/${pod.metadata.name}' ${problem}`
}

interface ContainerStatus {
  readonly name: string
  readonly image: string
  readonly restartCount: number
  readonly state?: { readonly waiting?: { readonly reason?: string; readonly message?: string } }
  readonly lastState?: { readonly terminated?: { readonly reason?: string; readonly exitCode?: number } }
}

function containerProblem({ name, image, restartCount, state, lastState }: ContainerStatus, ageMs: number): string | undefined {
  const { reason = '', message = '' } = state?.waiting ?? {}
  if (IMAGE_FAILURES.includes(reason)) return `cannot pull its image '${image}': ${shorten(message || reason)}`
  if (reason === 'CreateContainerConfigError' && ageMs > CONFIG_MS) return `cannot start: ${shorten(message)}`
  if (reason !== 'CrashLoopBackOff' || restartCount < CRASHES_ALLOWED) return undefined
  const last = lastState?.terminated
  return `crashes again and again: container '${name}' ended ${restartCount} times, last with ${last?.reason ?? 'no reason'} (exit code ${last?.exitCode})`
}

function unschedulable(pod: KubeObject, nowMs: number): string | undefined {
  const found = conditionOf(pod, 'PodScheduled')
  if (found?.reason !== 'Unschedulable' || nowMs - Date.parse(found.lastTransitionTime ?? '') < UNSCHEDULABLE_MS) return undefined
  return `fits on no node: ${shorten(found.message ?? '')}`
}

/** The second that a moment lies in, in milliseconds: Kubernetes keeps no parts of one. */
export const wholeSecond = (ms: number) => Math.floor(ms / 1000) * 1000

interface RunningStatus {
  readonly state?: { readonly running?: { readonly startedAt: string } }
}

/**
 * Names of the pods that are said to run since before their machine was started: the API server keeps what was true until a kubelet says
 * otherwise.
 * @param startedAtMs by the machine's name.
 */
export function pastPods(pods: readonly KubeObject[], startedAtMs: ReadonlyMap<string, number>): string[] {
  const isPast = ({ spec, status }: KubeObject) => {
    const sinceMs = wholeSecond(startedAtMs.get(spec?.nodeName) ?? 0)
    const starts = ((status?.containerStatuses ?? []) as RunningStatus[]).flatMap(({ state }) => state?.running?.startedAt ?? [])
    return starts.some((startedAt) => Date.parse(startedAt) < sinceMs)
  }
  return pods.filter(isPast).map(({ metadata }) => metadata.name)
}

/** What was seen of the stack at one moment. */
export interface StackSeen {
  readonly applications: readonly KubeObject[]
  /** Pods of the stack's namespaces that run what is wanted now: see `currentPods`. */
  readonly pods: readonly KubeObject[]
  /** Names of the Applications that must be there. */
  readonly expected: readonly string[]
}

/** The whole stack at a glance. Pods speak only once everything is synced: until then they may be those of an older version. */
export function stackCondition({ applications, pods, expected }: StackSeen, wanted: Revisions, nowMs: number): Condition<void> {
  const missing = expected.filter((name) => !applications.some(({ metadata }) => metadata.name === name))
  if (missing.length > 0) return pending(`no Application ${missing.join(', ')} yet`)
  const conditions = applications.map((application) => applicationCondition(application, wanted))
  const impossible = conditions.find(({ state }) => state === 'terminal')
  if (impossible !== undefined) return impossible
  const synced = applications.every((application) => isCompared(application, wanted) && applicationState(application).sync === 'Synced')
  const problem = synced ? firstProblem(pods, nowMs) : undefined
  if (problem !== undefined) return terminal(problem, 'npm run local:status shows the whole stack')
  return conditions.find(({ state }) => state === 'pending') ?? ready(undefined)
}

/**
 * Pods but those of older ReplicaSets, and none of a workload whose newest template has no ReplicaSet yet.
 * @param workloads Deployments and Rollouts.
 */
export function currentPods(
  pods: readonly KubeObject[],
  replicaSets: readonly KubeObject[],
  workloads: readonly KubeObject[],
): KubeObject[] {
  const observed = new Set(workloads.filter((each) => isObserved(each, templateOf(each, workloads))).map(({ metadata }) => metadata.uid))
  const newest = new Map<string, KubeObject>()
  for (const each of replicaSets) {
    const owner = ownerUid(each)
    if (revisionOf(each) > revisionOf(newest.get(owner))) newest.set(owner, each)
  }
  const current = new Set([...newest].filter(([owner]) => observed.has(owner)).map(([, { metadata }]) => metadata.uid))
  const owned = new Set(replicaSets.map(({ metadata }) => metadata.uid))
  return pods.filter((pod) => !owned.has(ownerUid(pod)) || current.has(ownerUid(pod)))
}

function ownerUid({ metadata }: KubeObject): string {
  return (metadata.ownerReferences as { uid: string }[] | undefined)?.[0]?.uid ?? ''
}

function revisionOf(replicaSet: KubeObject | undefined): number {
  const annotations = replicaSet?.metadata.annotations
  return Number(annotations?.['deployment.kubernetes.io/revision'] ?? annotations?.['rollout.argoproj.io/revision'] ?? 0)
}

/** Where a workload's template stands: a Rollout's in the Deployment that it names. */
function templateOf(workload: KubeObject, workloads: readonly KubeObject[]): KubeObject | undefined {
  if (workload.kind !== 'Rollout') return workload
  const { name } = workload.spec.workloadRef
  return workloads.find(
    ({ kind, metadata }) => kind === 'Deployment' && metadata.name === name && metadata.namespace === workload.metadata.namespace,
  )
}

/** Whether the controller of a workload has seen it as it is now, and its template. A Rollout says so in words, of both. */
export function isObserved({ kind, metadata, status }: KubeObject, template: KubeObject | undefined): boolean {
  if (kind !== 'Rollout') return status?.observedGeneration === metadata.generation
  const { observedGeneration, workloadObservedGeneration } = status ?? {}
  return observedGeneration === String(metadata.generation) && workloadObservedGeneration === String(template?.metadata.generation)
}

/** A program's error stands at the end of what Argo CD says, its place at the beginning. */
function shorten(text: string): string {
  const line = text.replaceAll(/\s+/g, ' ').trim()
  return line.length <= 500 ? line : `${line.slice(0, 150)} … ${line.slice(-320)}`
}
