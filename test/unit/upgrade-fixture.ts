/**
 * A platform whose one part, `tool`, is what syncs everything, as Argo CD is: a version of it that cannot start syncs nothing any more, and
 * its pod holds up its own replacement.
 */
import { PassThrough } from 'node:stream'
import { parse } from 'yaml'
import {
  application,
  type Cluster,
  type Context,
  type DeployCommit,
  type Digest,
  type GitRemote,
  type ImageSpec,
  isFrom,
  type LoadGenerator,
  type LoadSummary,
  type OpenRun,
  type Part,
  rootObjects,
  type Scenario,
  type Stack,
  type StoredImage,
  type Target,
  VERSION_LABEL,
} from '#core'
import { Failure } from '#kit/errors'
import type { Images } from '#kit/images'
import type { Kube, KubeObject, ListRef, ObjectRef } from '#kit/kube'
import { createProgress } from '#kit/progress'
import { digest, fakeRemote } from './platform-fixture.ts'

/** By its letter: what a version is like. */
export const VERSIONS = { '1.0.0': 'a', '1.1.0': 'b', dead: 'd', red: 'e', lossy: 'f' } as const
export type Version = keyof typeof VERSIONS
export const PROOF = 'always-works'
const NAMESPACE = 'tools'
const SET = 'tool'
const FILE = 'rendered/tool/statefulset.tools.tool.yaml'

export interface World {
  readonly stack: Stack
  readonly run: OpenRun
  readonly images: Images
  readonly commits: DeployCommit[]
  /** Reasons of the undos that the journal holds. */
  readonly open: () => string[]
  /** Objects that were applied directly. */
  readonly applied: string[]
  /** What was said to the person. */
  readonly said: string[]
  readonly abort: (reason: Error) => void
  /** The version whose program runs; undefined while none does. */
  running(): string | undefined
  /** Called when a proof looks. */
  onProof: (version: string | undefined) => void
  /** Changes what becomes of the load. */
  summary: Partial<LoadSummary>
  gitIsDown: boolean
}

const digestFor = (version: string) => digest(VERSIONS[version as Version])
const versionFor = (image: string) => Object.keys(VERSIONS).find((version) => image.endsWith(digestFor(version)))
const imageAt = (tag: string): ImageSpec => ({ name: 'acme/tool', tag, build: { context: '.' } })

const partAt = (version: string, scenarios: readonly Scenario[]): Part => ({
  name: 'tool',
  namespaces: [],
  images: [imageAt(version)],
  bootstraps: true,
  rendered: async ({ images }) => [statefulSet(version, images.get('acme/tool')?.digest ?? digest('0'))],
  applications: () => [application({ name: 'tool', namespace: NAMESPACE, sources: [{ path: 'rendered/tool' }] })],
  scenarios,
})

function statefulSet(version: string, of: Digest): KubeObject {
  const labels = { app: SET }
  const containers = [{ name: SET, image: `quay.io/acme/tool@${of}` }]
  return {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: { name: SET, namespace: NAMESPACE, labels: { [VERSION_LABEL]: version } },
    spec: { replicas: 1, selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers } } },
  }
}

/** It runs 1.0.0. */
export async function createWorld(): Promise<World> {
  const abort = new AbortController()
  const commits: DeployCommit[] = []
  const said: string[] = []
  const cluster = new FakeCluster(commits)
  const running = () => cluster.running()
  const world: Pick<World, 'onProof' | 'summary' | 'gitIsDown'> = { onProof: () => {}, summary: {}, gitIsDown: false }
  const remote = fakeRemote(commits)
  const git = async (): Promise<GitRemote> => {
    if (world.gitIsDown) throw new Failure({ what: 'Cannot push', why: 'Git is down' })
    return remote
  }
  const proof = proofOf(() => {
    world.onProof(running())
    return running()
  })
  const load = fakeLoad(running, () => world.summary)
  const stack = stackOf([proof], { git, load })
  const { signal } = abort
  const fake = { name: 'fake', kind: 'k3s', timing: 'local', registry: '127.0.0.1:1', kube: kubeOf(cluster) } as unknown as Cluster
  const context = { cluster: fake, environment: 'dev', timing: {}, signal, load, git } as unknown as Context
  const progress = { ...createProgress(new PassThrough() as unknown as NodeJS.WriteStream), say: (text: string) => void said.push(text) }
  const run: OpenRun = { context, versions: async () => ({}), undone: [], signal, progress, async [Symbol.asyncDispose]() {} }
  await remote.updateDeploy('Install', (files) => fill(files, stack))
  cluster.compare()
  const open = () => [...cluster.journal.values()].map(({ data }) => data.reason as string)
  const { applied } = cluster
  return Object.assign(world, {
    ...{ stack, run, commits, said, applied, open, running, images: fakeImages() },
    abort: (reason: Error) => abort.abort(reason),
  })
}

function stackOf(scenarios: readonly Scenario[], more: object): Stack {
  const versions = new Map(Object.keys(VERSIONS).map((version) => [version, partAt(version, scenarios)]))
  const says = (line: string) => /^I am (\S+)$/.exec(line)?.[1]
  const upgrades = { pinned: '1.1.0', versions, image: 'acme/tool', proofs: [PROOF], says }
  const parts = [
    { ...partAt('1.1.0', scenarios), upgrades },
    { ...partAt('1', []), name: 'other' },
  ]
  const kubernetes = { pinned: '1.36.3', known: ['1.36.2', '1.36.3', '1.36.4'] }
  const clusters = { local: { kubernetes } }
  return { parts, clusters, kubernetes: { parts, proofs: [PROOF] }, source: { head: async () => undefined }, ...more } as unknown as Stack
}

/** As `local:up` leaves it. */
function fill(files: Map<string, string>, stack: Stack): void {
  files.set(FILE, JSON.stringify(statefulSet('1.0.0', digestFor('1.0.0'))))
  const [tool] = stack.parts
  for (const object of tool?.applications({} as Target, {}) ?? [])
    files.set(`applications/application.argocd.${object.metadata.name}.yaml`, JSON.stringify(object))
}

const fakeImages = () => {
  const stored = async (spec: ImageSpec): Promise<StoredImage> => ({ spec, key: spec.tag, digest: digestFor(spec.tag), way: 'built' })
  return { canHave: async () => true, stored, found: stored } as unknown as Images
}

/** Holds while no red version runs. */
function proofOf(look: () => string | undefined): Scenario {
  const start = async (_context: Context, tell: { observed: (value: unknown, atMs: number) => void }) => {
    tell.observed(look() ?? 'nothing', Date.now())
    return { async [Symbol.asyncDispose]() {} }
  }
  return {
    name: PROOF,
    kind: 'proof',
    about: 'Looks which version runs.',
    steady: [],
    watches: [],
    observes: [{ name: 'look', start }],
    steps: () => [{ kind: 'until', isBite: true, name: 'it looks', timeoutMs: 500, matches: (event) => isFrom('look', event) }],
    claims: () => [
      {
        name: 'it works',
        check: ({ events }) => ({
          outcome: events.some((event) => 'value' in event && event.value === 'red') ? 'false' : 'true',
          seen: 'looked',
        }),
      },
    ],
    bounds: () => [],
    mutants: [],
  }
}

/** Every leg is over at once; while a lossy version runs, requests fail. */
function fakeLoad(running: () => string | undefined, summary: () => Partial<LoadSummary>): LoadGenerator {
  return {
    profiles: [],
    undo: () => [],
    async start({ name: profile }, { onSecond }) {
      const tell = () => onSecond?.({ ...SECOND, failed: running() === 'lossy' ? 3 : 0 }, Date.now())
      tell()
      const timer = setInterval(tell, 50)
      const done = async () => ({ profile, planned: 450, requests: 450, dropped: 0, failed: 0, exitCode: 0, ...summary() })
      return {
        done: new Promise((resolve) => setTimeout(() => resolve(done()), LEG_MS)),
        [Symbol.asyncDispose]: async () => clearInterval(timer),
      }
    },
  }
}

/** Longer than a move takes here. */
const LEG_MS = 1_000
const SECOND = { stage: 'steady', requests: 10, byStatus: {}, byPod: {}, byVersion: {}, p50Ms: 1, p95Ms: 1, maxMs: 1 }

// ── The cluster ─────────────────────────────────────────────────────────────────────────────────────────────────────

class FakeCluster {
  readonly journal = new Map<string, KubeObject>()
  readonly applied: string[] = []
  readonly #commits: readonly DeployCommit[]
  #live: KubeObject | undefined
  #podImage: string | undefined
  #compared = ''

  constructor(commits: readonly DeployCommit[]) {
    this.#commits = commits
  }

  running(): string | undefined {
    const version = versionFor(this.#podImage ?? '')
    return version === 'dead' ? undefined : version
  }

  apply(object: KubeObject): void {
    this.applied.push(object.kind)
    this.#give(object)
  }

  /** What syncs looks when it is told to, if it runs. */
  compare(): void {
    const { sha, files } = this.#commits.at(-1) ?? { sha: '' }
    if (this.#compared === sha || (this.#live !== undefined && this.running() === undefined)) return
    this.#compared = sha
    this.#give(parse(files?.get(FILE) ?? ''))
  }

  /** A pod that is ready is replaced by one of the new template; one that is not stays. */
  #give(object: KubeObject): void {
    const isStuck = this.#live !== undefined && this.running() === undefined
    this.#live = object
    if (!isStuck) this.replacePod()
  }

  replacePod(): void {
    this.#podImage = this.#templateImage()
  }

  #templateImage(): string {
    return this.#live?.spec.template.spec.containers[0].image ?? ''
  }

  /** All of `deploy`, and the root, Healthy at what was compared last. */
  applications(): KubeObject[] {
    const files = this.#commits.at(-1)?.files ?? new Map<string, string>()
    const own = [...files].flatMap(([path, text]) => (path.startsWith('applications/application.') ? [parse(text) as KubeObject] : []))
    const root = rootObjects({ repoUrl: 'http://git/x.git' } as Target).filter(({ kind }) => kind === 'Application')
    return [...root, ...own].map((object) => {
      const { sources } = object.spec
      const sync = { status: 'Synced', revisions: sources.map(() => this.#compared), comparedTo: { sources } }
      return { ...object, status: { sync, health: { status: 'Healthy' } } }
    })
  }

  statefulSet(): KubeObject | undefined {
    if (this.#live === undefined) return undefined
    const count = this.running() === undefined ? 0 : 1
    const counts = { replicas: 1, readyReplicas: count, updatedReplicas: count }
    const status = { ...counts, observedGeneration: 1, updateRevision: this.#templateImage() }
    return { ...this.#live, metadata: { ...this.#live.metadata, generation: 1 }, status }
  }

  pods(): KubeObject[] {
    return this.#podImage === undefined ? [] : [podOf(this.#podImage, this.running() !== undefined)]
  }

  log(): string {
    return `starting\nI am ${this.running()}\n`
  }
}

function kubeOf(cluster: FakeCluster): Kube {
  return {
    async get({ kind, name }: ObjectRef) {
      if (kind === 'Application') return cluster.applications().find(({ metadata }) => metadata.name === name)
      if (kind === 'StatefulSet') return cluster.statefulSet()
      return kind === 'ConfigMap' ? cluster.journal.get(name) : undefined
    },
    async list({ kind }: ListRef) {
      if (kind === 'Application') return cluster.applications()
      if (kind === 'ConfigMap') return [...cluster.journal.values()]
      return kind === 'Pod' ? cluster.pods() : []
    },
    create: async (object: KubeObject) => void cluster.journal.set(object.metadata.name, object),
    apply: async (object: KubeObject) => cluster.apply(object),
    delete: async ({ kind, name }: ObjectRef) => (kind === 'Pod' ? cluster.replacePod() : cluster.journal.delete(name)),
    mergePatch: async () => cluster.compare(),
    request: async () => cluster.log(),
    watch: () => ({ [Symbol.dispose]() {} }),
  } as unknown as Kube
}

function podOf(image: string, isReady: boolean): KubeObject {
  const waiting = { reason: 'CrashLoopBackOff' }
  const lastState = { terminated: { reason: 'Error', exitCode: 20 } }
  const broken = { containerStatuses: [{ name: SET, image, restartCount: 2, state: { waiting }, lastState }] }
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: 'tool-0',
      namespace: NAMESPACE,
      creationTimestamp: new Date().toISOString(),
      labels: { 'controller-revision-hash': image },
    },
    spec: { containers: [{ name: SET, image }] },
    status: isReady ? { conditions: [{ type: 'Ready', status: 'True' }] } : broken,
  }
}
