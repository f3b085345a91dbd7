/** Whether an environment runs a digest: ready, not yet, or never without a change. Pure but for the one look. */
import { isDeepStrictEqual } from 'node:util'
import { conditionOf, type Kube, type KubeObject } from '#kit/kube'
import { type Condition, pending, ready, terminal } from '#kit/wait'
import { refOfApplication } from './applications.ts'
import { ENVIRONMENTS, type Environment, nameIn } from './environments.ts'
import { applicationState, currentPods, firstProblem, isObserved } from './health.ts'
import type { Digest } from './types.ts'
import { imageOf, isRolledOut, rolloutIn, WORKLOAD_NAME, workloadIn } from './workload.ts'

/** What was seen of an environment at one moment. */
export interface RolloutSeen {
  readonly application: KubeObject | undefined
  readonly workload: KubeObject | undefined
  /** Has the pods, where there is one. */
  readonly rollout: KubeObject | undefined
  /** Those that run what is wanted now: see `currentPods`. */
  readonly pods: readonly KubeObject[]
}

/** A new pod may take as long as its startup probe has patience, and the pull before it. */
export const STALLED_MS = 90_000
/** For a moment after its start the HPA has no metrics, which Argo CD calls Degraded. */
const DEGRADED_MS = 60_000

export async function lookAtRollout(kube: Kube, environment: Environment): Promise<RolloutSeen> {
  const application = await kube.get(refOfApplication(nameIn(environment, WORKLOAD_NAME)))
  if (application === undefined) return { application, workload: undefined, rollout: undefined, pods: [] }
  const [workload, rollout, pods, replicaSets, deployments] = await Promise.all([
    kube.get(workloadIn(environment)),
    kube.get(rolloutIn(environment)),
    kube.list({ apiVersion: 'v1', kind: 'Pod', namespace: environment }),
    kube.list({ apiVersion: 'apps/v1', kind: 'ReplicaSet', namespace: environment }),
    kube.list({ apiVersion: 'apps/v1', kind: 'Deployment', namespace: environment }),
  ])
  const workloads = [...deployments, ...(rollout === undefined ? [] : [rollout])]
  return { application, workload, rollout, pods: currentPods(pods, replicaSets, workloads) }
}

export interface RolloutWanted {
  readonly digest: Digest
  /** When it was committed: what was said before is of something else. */
  readonly sinceMs: number
}

/** The first that has something to say, says it. */
export function rolloutCondition(seen: RolloutSeen, { digest, sinceMs }: RolloutWanted, nowMs: number): Condition<void> {
  const { application, workload, pods } = seen
  if (application === undefined) return pending('it has no Application yet')
  if (digestGiven(application) !== digest) return pending('its Application does not name the digest yet')
  const early = refused(application, sinceMs) ?? unsynced(application)
  if (early !== undefined) return early
  if (digestRun(workload) !== digest) return pending('its workload does not name the digest yet')
  const problem = firstProblem(pods, nowMs) ?? stalled(workload, nowMs) ?? stoppedCanary(seen, sinceMs) ?? degraded(application, nowMs)
  return problem === undefined ? healthy(application, seen) : terminal(problem)
}

/** Argo CD may not have seen yet that a canary began, so the Rollout is asked itself. */
function healthy(application: KubeObject, { workload, rollout }: RolloutSeen): Condition<void> {
  if (rollout !== undefined && !isRolledOut(workload, rollout)) return pending(`its canary is ${rollout.status?.phase ?? 'not begun'}`)
  const { health } = applicationState(application)
  return health === 'Healthy' ? ready(undefined) : pending(`it is ${health}`)
}

/** A canary of the newest template that was aborted, or that nobody but a person ends: neither gets better by waiting. */
export function stoppedCanary({ rollout, workload }: Pick<RolloutSeen, 'rollout' | 'workload'>, sinceMs: number): string | undefined {
  if (rollout === undefined || !isObserved(rollout, workload)) return undefined
  const { abort = false, abortedAt = '', phase, message = '' } = rollout.status ?? {}
  const name = `'${rollout.metadata.namespace}/${rollout.metadata.name}'`
  // Told in whole seconds. An abort of before is of something else.
  if (abort) return Date.parse(abortedAt) + 1000 > sinceMs ? `Rollout ${name} took its canary back: ${message}` : undefined
  return phase === 'Paused' ? `Rollout ${name} could not tell whether its canary is good, and waits: ${message}` : undefined
}

/** What every environment runs, Healthy. */
export async function readHealthy(kube: Kube): Promise<Partial<Record<Environment, Digest>>> {
  const entries = await Promise.all(
    ENVIRONMENTS.map(async (environment) => {
      const seen = await lookAtRollout(kube, environment)
      const digest = digestRun(seen.workload)
      if (digest === undefined) return []
      return rolloutCondition(seen, { digest, sinceMs: 0 }, Date.now()).state === 'ready' ? [[environment, digest] as const] : []
    }),
  )
  return Object.fromEntries(entries.flat())
}

/** The digest that a workload's pods are to run. */
export function digestRun(workload: KubeObject | undefined): Digest | undefined {
  const digest = imageOf(workload)?.split('@')[1]
  return digest as Digest | undefined
}

interface HelmSource {
  readonly helm?: { readonly valuesObject?: { readonly image?: { readonly digest?: Digest } } }
}

function digestGiven({ spec }: KubeObject): Digest | undefined {
  return (spec.sources as HelmSource[]).map(({ helm }) => helm?.valuesObject?.image?.digest).find((digest) => digest !== undefined)
}

/** A chart that does not render, a project that forbids: said of this commit, not of one before. */
function refused(application: KubeObject, sinceMs: number): Condition<never> | undefined {
  const { name, message } = applicationState(application)
  const isCurrent = Date.parse(application.status?.reconciledAt ?? '') > sinceMs
  return message !== '' && isCurrent ? terminal(`Application '${name}': ${message}`) : undefined
}

function unsynced({ spec, status }: KubeObject): Condition<never> | undefined {
  if (!isDeepStrictEqual(status?.sync?.comparedTo?.sources, spec.sources)) return pending('Argo CD has not compared it yet')
  if (status.sync.status !== 'Synced') return pending(`it is ${status.sync.status}`)
  return status.operationState?.phase === 'Running' ? pending('a sync of it runs') : undefined
}

/** A Deployment whose new pods do not become ready; one that merely scales keeps the reason of its last rollout. */
export function stalled(workload: KubeObject | undefined, nowMs: number): string | undefined {
  if (workload === undefined || isRolledOut(workload)) return undefined
  const { metadata, status } = workload
  const progressing = conditionOf(workload, 'Progressing')
  const isRolling = progressing?.reason !== undefined && progressing.reason !== 'NewReplicaSetAvailable'
  const stillMs = nowMs - Date.parse(progressing?.lastUpdateTime ?? '')
  if (!isRolling || !(stillMs >= STALLED_MS)) return undefined
  const { updatedReplicas = 0, readyReplicas = 0, replicas = 0 } = status ?? {}
  const seen = `${updatedReplicas} of ${replicas} pods are new, ${readyReplicas} ready`
  return `Deployment '${metadata.namespace}/${metadata.name}' has made no progress for ${Math.floor(stillMs / 1000)} s: ${seen}`
}

function degraded(application: KubeObject, nowMs: number): string | undefined {
  const { name, health } = applicationState(application)
  const forMs = nowMs - Date.parse(application.status?.health?.lastTransitionTime ?? '')
  return health === 'Degraded' && forMs >= DEGRADED_MS ? `Application '${name}' is Degraded for ${Math.floor(forMs / 1000)} s` : undefined
}
