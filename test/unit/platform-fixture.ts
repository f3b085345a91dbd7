/** A platform without a cluster: `deploy` as a list of commits, and an Argo CD that makes whatever Git says at once. */
import { PassThrough } from 'node:stream'
import { parse } from 'yaml'
import {
  applicationPath,
  type Cluster,
  type Delivery,
  type DeployCommit,
  type Digest,
  type Environment,
  type GitRemote,
  type LoadGenerator,
  nameIn,
  OWN_REFS,
  releasePart,
  type Stack,
  sourceRevisionIn,
} from '#core'
import type { Kube, KubeObject, ListRef, ObjectRef } from '#kit/kube'
import { createProgress } from '#kit/progress'
import { service } from '../../chart/part.ts'

export interface Platform {
  readonly delivery: Delivery
  /** Oldest first. */
  readonly commits: DeployCommit[]
  /** Digests whose image no node can pull. */
  readonly broken: Set<Digest>
  /** Digests whose canary is aborted. All others are promoted at once. */
  readonly bad: Set<Digest>
  /** Charts, by their commit, whose canary is aborted. */
  readonly badCharts: Set<string>
  /** The environments that load was sent to. */
  readonly asked: Environment[]
  digestOf(environment: Environment): Digest | undefined
}

export const digest = (letter: string): Digest => `sha256:${letter.repeat(64)}`
const TIMING = { local: { speedup: 15, hpa: { scaleInWindowMs: 20_000 } } }

export interface PlatformOptions {
  /** @default '127.0.0.1:1', where nobody listens */
  readonly registry?: string
  readonly stack?: Partial<Stack>
}

export function createPlatform({ registry = '127.0.0.1:1', stack: changes = {} }: PlatformOptions = {}): Platform {
  const commits: DeployCommit[] = []
  const broken = new Set<Digest>()
  const bad = new Set<Digest>()
  const badCharts = new Set<string>()
  const asked: Environment[] = []
  const files = () => commits.at(-1)?.files ?? new Map<string, string>()
  const application = (name: string) => files().get(applicationPath(name))
  const state = { files, broken, bad, badCharts, sha: () => commits.at(-1)?.sha ?? '' }
  const cluster = { name: 'fake', kind: 'k3s', timing: 'local', registry, kube: fakeKube(state) } as unknown as Cluster
  const load = fakeLoad(asked)
  const stack = { parts: [service()], timing: TIMING, load, evidence: { dev: [], staging: [], prod: [] }, ...changes } as unknown as Stack
  const remote = fakeRemote(commits)
  const delivery: Delivery = {
    stack,
    cluster,
    part: releasePart(stack),
    git: async () => remote,
    progress: createProgress(new PassThrough() as unknown as NodeJS.WriteStream), // heard by nobody
    signal: new AbortController().signal,
    async [Symbol.asyncDispose]() {},
  }
  const digestOf = (environment: Environment) => imageIn(application(nameIn(environment, 'service')))
  return { delivery, commits, broken, bad, badCharts, asked, digestOf }
}

function fakeLoad(asked: Environment[]): Pick<LoadGenerator, 'undo' | 'start'> {
  return {
    undo: () => [],
    async start(_profile, { environment = 'dev' }) {
      asked.push(environment)
      return { done: Promise.reject(new Error('nobody looks at it')), async [Symbol.asyncDispose]() {} }
    },
  }
}

/** What `source` names. */
export const KEPT = 'e'.repeat(40)

/** `deploy` as a list of commits, oldest first. */
export function fakeRemote(commits: DeployCommit[]): GitRemote {
  const tip = () => commits.at(-1)
  return {
    url: 'http://git/x.git',
    refs: OWN_REFS,
    pushSource: async () => ({ sha: '', changed: false }),
    keepSource: async () => KEPT,
    readDeploy: async () => ({ sha: tip()?.sha, files: tip()?.files ?? new Map() }),
    history: async ({ limit }) => commits.toReversed().slice(0, limit),
    async updateDeploy(message, edit) {
      const files = new Map(tip()?.files)
      edit(files)
      const sha = (commits.length + 1).toString(16).padStart(40, 'd')
      commits.push({ sha, message, files })
      return { sha, changed: true }
    },
  }
}

const imageIn = (text: string | undefined): Digest | undefined =>
  text === undefined ? undefined : parse(text).spec.sources[0].helm.valuesObject.image?.digest

interface State {
  readonly files: () => ReadonlyMap<string, string>
  readonly broken: ReadonlySet<Digest>
  readonly bad: ReadonlySet<Digest>
  readonly badCharts: ReadonlySet<string>
  readonly sha: () => string
}

function fakeKube({ files, broken, bad, badCharts, sha }: State): Kube {
  const digestIn = (environment = '') => imageIn(files().get(applicationPath(nameIn(environment as Environment, 'service'))))
  const isBroken = (environment?: string) => broken.has(digestIn(environment) as Digest)
  return {
    get: async (ref: ObjectRef) => {
      if (ref.kind === 'Application') return applicationObject(ref.name)
      return ref.kind === 'Rollout' ? rolloutObject(ref) : workloadObject(ref)
    },
    create: async () => {},
    delete: async () => true,
    list: async ({ kind, namespace }: ListRef) => (kind === 'Pod' && isBroken(namespace) ? [brokenPod(namespace)] : []),
    mergePatch: async () => {},
  } as unknown as Kube

  function applicationObject(name: string): KubeObject | undefined {
    const revisions = [sha()]
    if (name === 'root') return { apiVersion: '', kind: '', metadata: { name }, status: { sync: { revisions } } }
    const text = files().get(applicationPath(name))
    if (text === undefined) return undefined
    const object = parse(text) as KubeObject
    const health = isBroken(object.spec.destination.namespace) ? 'Progressing' : 'Healthy'
    const sync = { status: 'Synced', revisions, comparedTo: { sources: object.spec.sources } }
    return { ...object, status: { sync, health: { status: health } } }
  }

  function workloadObject({ namespace, ...ref }: ObjectRef): KubeObject | undefined {
    const found = digestIn(namespace)
    if (found === undefined) return undefined
    const containers = [{ image: `docker.io/holdfast/service@${found}` }]
    return {
      ...ref,
      metadata: { name: ref.name, generation: 1 },
      spec: { template: { spec: { containers } } },
      status: { observedGeneration: 1 },
    }
  }

  /** Where a new version is tried first. */
  function rolloutObject({ namespace = '', ...ref }: ObjectRef): KubeObject | undefined {
    const found = digestIn(namespace)
    if (found === undefined || namespace === 'dev') return undefined
    const chart = sourceRevisionIn(files(), { part: 'service', environment: namespace as Environment }) ?? ''
    const status = statusOfRollout(bad.has(found) || badCharts.has(chart))
    return { ...ref, metadata: { name: ref.name, namespace, generation: 1 }, spec: { workloadRef: { name: ref.name } }, status }
  }
}

function statusOfRollout(isAborted: boolean): object {
  const seen = { observedGeneration: '1', workloadObservedGeneration: '1', stableRS: 'a' }
  if (!isAborted) return { ...seen, phase: 'Healthy', currentPodHash: 'a' }
  const message = 'RolloutAborted: too many errors'
  return { ...seen, phase: 'Degraded', abort: true, abortedAt: new Date().toISOString(), message, currentPodHash: 'b' }
}

function brokenPod(namespace = ''): KubeObject {
  const waiting = { reason: 'ErrImagePull', message: 'not found' }
  const status = { containerStatuses: [{ name: 'service', image: 'holdfast/service', restartCount: 0, state: { waiting } }] }
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'service-1', namespace }, status }
}
