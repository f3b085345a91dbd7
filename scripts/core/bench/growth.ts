/** The measure of growth: more Applications of the service's chart, and what they cost Argo CD and Prometheus. */
import { setTimeout as sleep } from 'node:timers/promises'
import { parse } from 'yaml'
import { Failure } from '#kit/errors'
import type { KubeObject } from '#kit/kube'
import { promQuery } from '#kit/prom'
import { pending, ready, terminal, waitFor } from '#kit/wait'
import { commitDeploy, pathsOf } from '../delivery.ts'
import { applyAll } from '../direct.ts'
import { FIRST_ENVIRONMENT } from '../environments.ts'
import { ARGOCD_NAMESPACE, applicationPath, namespaceObjects, toYaml } from '../gitops.ts'
import { applicationCondition, applicationState, firstProblem } from '../health.ts'
import type { Cluster, GitRemote } from '../types.ts'
import { WORKLOAD_NAME } from '../workload.ts'
import { COPIES, type Copies } from './figures.ts'
import type { Bench, Bout, Measure } from './measure.ts'
import type { Values } from './results.ts'

const NAME = 'copies'
const SPACE = { name: NAME, podSecurity: 'restricted', quota: { pods: '100' } } as const
const APPLICATIONS = { apiVersion: 'argoproj.io/v1alpha1', kind: 'Application', namespace: ARGOCD_NAMESPACE }
const HEALTHY_TIMEOUT_MS = 600_000
const GONE_TIMEOUT_MS = 300_000
/** From Healthy to the look at the memory, and how far back that goes: several scrapes of what the kubelet measures. */
const SETTLE_MS = 20_000
const MEMORY_WINDOW = '15s:1s'
const MIB = 1024 ** 2

export const growth: Measure = {
  name: 'growth',
  about: `Commits ${COPIES.join(', ')} copies of the service’s Application: one pod each, without HPA and database.`,
  runs: 1,
  onStack: true,
  open: openGrowth,
}

interface Means extends Bench {
  readonly git: GitRemote
  readonly on: Cluster
}

async function openGrowth(bench: Bench): Promise<Bout> {
  const on = await bench.cluster()
  const means: Means = { ...bench, on, git: await bench.stack.git(on, bench.signal) }
  await applyAll(on.kube, namespaceObjects(SPACE))
  return {
    async run() {
      const all: Values[] = []
      for (const copies of COPIES) all.push(await measure(means, copies))
      return { values: Object.assign({}, ...all) }
    },
    async [Symbol.asyncDispose]() {
      await on.kube.delete({ apiVersion: 'v1', kind: 'Namespace', name: NAME })
    },
  }
}

async function measure(means: Means, copies: Copies): Promise<Values> {
  const { files } = await means.git.readDeploy()
  const written = copiesIn(files, copies)
  try {
    const started = performance.now()
    await commit(means, `Measure ${copies} copies of ${WORKLOAD_NAME}`, written)
    await untilHealthy(means, copies)
    const healthyMs = Math.round(performance.now() - started)
    await sleep(SETTLE_MS, undefined, { signal: means.signal })
    const [argocd, prometheus] = await Promise.all(['namespace="argocd"', 'container="prometheus"'].map((of) => memoryOf(means.on, of)))
    return {
      [`growth-${copies}`]: [healthyMs],
      [`growth-${copies}-argocd`]: [argocd ?? 0],
      [`growth-${copies}-prometheus`]: [prometheus ?? 0],
    }
  } finally {
    if (!means.signal.aborted) await takeAway(means, Object.keys(written)) // else the cluster goes as a whole
  }
}

type Files = ReadonlyMap<string, string>

/** The Application and the project of the first environment, made many: what the working tree has, and no more than it allows. */
export function copiesIn(files: Files, copies: number): Readonly<Record<string, string>> {
  const [, path] = pathsOf({ part: WORKLOAD_NAME, environment: FIRST_ENVIRONMENT })
  const original: KubeObject | null = parse(files.get(path) ?? 'null')
  const project: KubeObject | null = parse(files.get(projectPath(original?.spec.project)) ?? 'null')
  if (original === null || project === null) throw new Failure({ what: 'Cannot measure growth', why: `deploy has no ${WORKLOAD_NAME}` })
  const destinations = project.spec.destinations.map((each: object) => ({ ...each, namespace: NAME }))
  const own = { ...project, metadata: { ...project.metadata, name: NAME }, spec: { ...project.spec, destinations } }
  const all = Array.from({ length: copies }, (_, i) => copyOf(original, nameOf(i + 1)))
  return Object.fromEntries([
    [projectPath(NAME), toYaml(own)],
    ...all.map((each) => [applicationPath(each.metadata.name), toYaml(each)] as const),
  ])
}

const projectPath = (name: string) => `applications/appproject.${ARGOCD_NAMESPACE}.${name}.yaml`
const nameOf = (number: number) => `copy-${String(number).padStart(2, '0')}`

/** Small, so that fifty of them fit beside the platform, and published nowhere: the port is the original's. */
const SMALL = {
  replicas: 1,
  autoscaling: { enabled: false },
  database: { secretName: '' },
  resources: { requests: { cpu: '10m', memory: '64Mi' }, limits: { cpu: '200m', memory: '256Mi' } },
}
const PUBLISHED = /-published\.yaml$/

function copyOf(original: KubeObject, name: string): KubeObject {
  const { spec, metadata } = original
  const [source, ...others] = spec.sources
  const { valueFiles, valuesObject } = source.helm
  const helm = {
    ...source.helm,
    releaseName: name,
    valueFiles: valueFiles.filter((file: string) => !PUBLISHED.test(file)),
    valuesObject: { ...valuesObject, ...SMALL, autoscaling: { ...valuesObject.autoscaling, ...SMALL.autoscaling } },
  }
  const destination = { ...spec.destination, namespace: NAME }
  return {
    ...original,
    metadata: { ...metadata, name },
    spec: { ...spec, project: NAME, destination, sources: [{ ...source, helm }, ...others] },
  }
}

const commit = ({ on, git, signal }: Means, message: string, files: Readonly<Record<string, string | null>>) =>
  commitDeploy({ cluster: on, git: async () => git, signal }, { message, files, applications: [] })

const isCopy = ({ spec }: KubeObject) => spec.project === NAME

/** Each Synced and Healthy at a commit of its own source; its pod is Ready then. */
async function untilHealthy({ on: { kube }, signal, progress }: Means, copies: number): Promise<void> {
  const look = async () => {
    const [all, pods] = await Promise.all([kube.list(APPLICATIONS), kube.list({ apiVersion: 'v1', kind: 'Pod', namespace: NAME })])
    const problem = firstProblem(pods)
    if (problem !== undefined) return terminal(problem)
    const done = all.filter(isCopy).filter((each) => isHealthy(each))
    return done.length === copies ? ready(undefined) : pending(`${done.length} of ${copies} are Healthy`)
  }
  await progress.step(`Wait until ${copies} copies are Healthy`, (onSeen) =>
    waitFor(`${copies} copies to be Healthy`, look, { timeoutMs: HEALTHY_TIMEOUT_MS, signal, onSeen }),
  )
}

/** The commit of `deploy` is the root's; of which source a copy is, its first comparison says. */
function isHealthy(application: KubeObject): boolean {
  const anyCommit = { deploy: '', pushedAtMs: Date.now() }
  return applicationState(application).revisions.length > 0 && applicationCondition(application, anyCommit).state === 'ready'
}

/** The highest of the last scrapes. @throws Failure where Prometheus has none: no data is no memory of 0. */
async function memoryOf(cluster: Cluster, selector: string): Promise<number> {
  const query = `max_over_time(sum(container_memory_working_set_bytes{${selector}})[${MEMORY_WINDOW}])`
  const [sample] = await promQuery((path, init) => cluster.fetch('prometheus', path, init), query)
  if (sample === undefined) throw new Failure({ what: 'Cannot measure memory', why: `Prometheus has nothing for ${query}` })
  return Math.round(sample.value / MIB)
}

/** The project last: an Application whose project is gone never ends. */
async function takeAway(means: Means, paths: readonly string[]): Promise<void> {
  const { kube } = means.on
  const remove = (which: readonly string[]) =>
    commit(means, `No copies of ${WORKLOAD_NAME} any more`, Object.fromEntries(which.map((path) => [path, null])))
  await remove(paths.filter((path) => path !== projectPath(NAME)))
  const look = async () => {
    const [all, pods] = await Promise.all([kube.list(APPLICATIONS), kube.list({ apiVersion: 'v1', kind: 'Pod', namespace: NAME })])
    const left = all.filter(isCopy).length + pods.length
    return left === 0 ? ready(undefined) : pending(`${left} Applications and pods are left`)
  }
  await waitFor('the copies to be gone', look, { timeoutMs: GONE_TIMEOUT_MS, signal: means.signal })
  await remove([projectPath(NAME)])
}
