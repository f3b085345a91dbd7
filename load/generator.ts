/** Sends load by k6 as a Job in the cluster, and reads from its log what came of every request. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type Environment,
  FIRST_ENVIRONMENT,
  type LoadGenerator,
  type LoadOptions,
  type LoadProfile,
  podProblem,
  type RunningLoad,
} from '#core'
import type { Kube, KubeObject } from '#kit/kube'
import { type Condition, pending, ready, terminal, waitFor } from '#kit/wait'
import { jobOf, jobRef, NAMESPACE } from './job.ts'
import { imageIn } from './job-image.ts'
import { GENERATOR } from './part.ts'
import { planOf } from './plan.ts'
import { type Reading, readLoad } from './reading.ts'

export interface GeneratorOptions {
  readonly profiles: readonly LoadProfile[]
  /** Where the service of an environment is, inside the cluster: `http://service.dev.svc.cluster.local`. */
  readonly target: (environment: Environment) => string
}

const POD = { apiVersion: 'v1', kind: 'Pod', namespace: NAMESPACE }
/** A first pull of the image included. */
const START_TIMEOUT_MS = 120_000
const FIRST_REQUEST_TIMEOUT_MS = 30_000
const GONE_TIMEOUT_MS = 30_000

/** @throws UserError from `start` for a profile that is not bounded, and where the stack has no generator. */
export function createLoadGenerator({ profiles, target }: GeneratorOptions): LoadGenerator {
  return {
    profiles,
    undo: (profile) => [{ op: 'delete', ref: jobRef(profile) }],
    start: (profile, options) => start(profile, target(options.environment ?? FIRST_ENVIRONMENT), options),
  }
}

async function start(profile: LoadProfile, target: string, options: LoadOptions): Promise<RunningLoad> {
  const { kube } = options.cluster
  const plan = planOf(profile, target)
  const [image, script] = await Promise.all([
    imageIn(kube, GENERATOR, 'Cannot send load'),
    readFile(join(import.meta.dirname, 'script.k6.ts'), 'utf8'),
  ])
  await remove(kube, profile) // what a killed run left, or one that nobody waited for
  await using begun = new AsyncDisposableStack()
  begun.defer(() => remove(kube, profile))
  const job = await kube.create(jobOf(profile, { image, script, plan }))
  const pod = await startedPod(kube, job, options.signal)
  const reading = begun.use(readLoad(profile, { ...options, pod }))
  await firstRequest(profile, reading, options.signal)
  const running = begun.move()
  return { done: reading.done, [Symbol.asyncDispose]: () => running.disposeAsync() }
}

/** The Job's pod once its container runs, or has run. @throws Failure where it never will. */
async function startedPod(kube: Kube, job: KubeObject, signal: AbortSignal): Promise<KubeObject> {
  const pods = { ...POD, labelSelector: `batch.kubernetes.io/controller-uid=${job.metadata.uid}` }
  const look = async (): Promise<Condition<KubeObject>> => {
    const [pod] = await kube.list(pods)
    if (pod === undefined) return refusal(kube, job)
    const problem = podProblem(pod, Date.now())
    if (problem !== undefined) return terminal(problem)
    const { running, terminated, waiting } = pod.status?.containerStatuses?.[0]?.state ?? {}
    return (running ?? terminated) === undefined ? pending(`its pod: ${waiting?.reason ?? pod.status?.phase}`) : ready(pod)
  }
  const changes = (wake: () => void) => kube.watch(pods, wake)
  return waitFor(`the pod of '${job.metadata.name}'`, look, { timeoutMs: START_TIMEOUT_MS, signal, changes })
}

/** What no waiting mends. Other refusals come and go, such as that of a namespace whose account is not there yet. */
const REFUSED = /exceeded quota|failed quota|violates PodSecurity/

/** A pod that may not be made is told by an event only. */
async function refusal(kube: Kube, job: KubeObject): Promise<Condition<never>> {
  const events = await kube.list({ apiVersion: 'v1', kind: 'Event', namespace: NAMESPACE })
  const refused = events.filter(({ reason, involvedObject }) => reason === 'FailedCreate' && involvedObject?.uid === job.metadata.uid)
  const message = refused.at(-1)?.message as string | undefined
  if (message === undefined) return pending('it has no pod yet')
  return REFUSED.test(message) ? terminal(message) : pending(message)
}

/** @throws Failure where it ends without one. */
async function firstRequest({ name }: LoadProfile, { begun }: Reading, signal: AbortSignal): Promise<void> {
  const look = async () => {
    const summary = await begun
    return summary === undefined ? ready(undefined) : terminal(summary.problem ?? 'it ended without one')
  }
  await waitFor(`the first request of '${name}'`, look, { timeoutMs: FIRST_REQUEST_TIMEOUT_MS, signal })
}

/** Ends a load at once and waits until its Job and pods are gone. Safe to run again. @throws Failure where they stay. */
async function remove(kube: Kube, profile: LoadProfile): Promise<void> {
  const ref = jobRef(profile)
  const pods = { ...POD, labelSelector: `batch.kubernetes.io/job-name=${ref.name}` }
  await kube.delete(ref, 'Foreground')
  const look = async () => {
    const [job, left] = await Promise.all([kube.get(ref), kube.list(pods)])
    const what = [...(job === undefined ? [] : ['its Job']), ...left.map(({ metadata }) => `pod ${metadata.name}`)]
    return what.length === 0 ? ready(undefined) : pending(what.join(', '))
  }
  await waitFor(`the load '${profile.name}' to be gone`, look, { timeoutMs: GONE_TIMEOUT_MS, everyMs: 200 })
}
