/** What the engine acts on, without a cluster: objects in memory, a load that says what it is told to, a remote that notes its commits. */
import type { Context, GitRemote, LoadGenerator, LoadSecond, Scenario, StartLoad } from '#core'
import { Failure } from '#kit/errors'
import type { KubeObject, ListRef, ObjectRef } from '#kit/kube'
import { stack } from '../../holdfast.config.ts'

export interface Engine {
  readonly context: Context
  /** What is there, by kind and name. */
  readonly objects: Map<string, KubeObject>
  /** Messages of the commits that were made, each with whether it could still be made. */
  readonly commits: string[]
  readonly abort: AbortController
  /** Whether the API server answers. */
  readonly api: { answers: boolean }
}

const keyOf = ({ kind, name }: Pick<ObjectRef, 'kind' | 'name'>) => `${kind}/${name}`

/** @param second what each tenth of a second of load tells. */
export function createEngine(second: LoadSecond): Engine {
  const objects = new Map<string, KubeObject>()
  const commits: string[] = []
  const abort = new AbortController()
  const api = { answers: true }
  const asked = async <T>(answer: () => T): Promise<T> => {
    if (!api.answers) throw new Failure({ what: 'Cannot reach the API server', why: 'it is away' })
    return answer()
  }
  const kube = {
    get: (ref: ObjectRef) => asked(() => objects.get(keyOf(ref))),
    list: ({ kind }: ListRef) => asked(() => [...objects.values()].filter((object) => object.kind === kind)),
    create: (object: KubeObject) =>
      asked(() => {
        objects.set(keyOf({ kind: object.kind, name: object.metadata.name }), object)
        return object
      }),
    delete: (ref: ObjectRef) => asked(() => objects.delete(keyOf(ref))),
    watch: () => ({ [Symbol.dispose]() {} }),
  }
  const context = {
    cluster: { name: 'fake', kind: 'k3s', timing: 'local', kube },
    environment: 'dev',
    timing: stack.timing.local,
    signal: abort.signal,
    load: telling(second),
    git: async (signal: AbortSignal = abort.signal) => remoteOf(commits, signal),
    faults: { set: async () => {} },
  } as unknown as Context
  return { context, objects, commits, abort, api }
}

/** Seconds come ten times as fast. */
function telling(second: LoadSecond): LoadGenerator {
  return {
    profiles: [],
    undo: () => [],
    async start(_profile, { onSecond }) {
      const startedAtMs = Date.now()
      let count = 0
      const timer = setInterval(() => {
        count++
        onSecond?.(second, startedAtMs + count * 1_000)
      }, 100)
      return { done: new Promise(() => {}), [Symbol.asyncDispose]: async () => clearInterval(timer) }
    },
  }
}

/** It fails as Git does that is interrupted. */
function remoteOf(commits: string[], signal: AbortSignal): Pick<GitRemote, 'updateDeploy'> {
  return {
    async updateDeploy(message) {
      signal.throwIfAborted()
      commits.push(message)
      return { sha: 'a'.repeat(40), changed: true }
    },
  }
}

export const secondOf = (requests: number, failed: number): LoadSecond => ({
  stage: 'steady',
  requests,
  failed,
  byStatus: {},
  byPod: {},
  byVersion: {},
  p50Ms: 1,
  p95Ms: 2,
  maxMs: 3,
})

const LOAD: StartLoad = { kind: 'load', name: 'load', profile: { name: 'x', about: '', stages: [] } }

/** It waits for what never comes, and leaves an object behind that its undo takes away. */
export const endless: Scenario = {
  name: 'endless',
  kind: 'chaos',
  about: '',
  steady: [{ name: 'calm', look: async () => ({ ok: true, seen: 'calm' }) }],
  watches: [],
  undo: async () => [{ op: 'delete', ref: { apiVersion: 'v1', kind: 'Thing', name: 'left' } }],
  steps: () => [
    LOAD,
    {
      kind: 'act',
      name: 'break',
      async run({ cluster }) {
        await cluster.kube.create({ apiVersion: 'v1', kind: 'Thing', metadata: { name: 'left' } })
      },
    },
    { kind: 'until', name: 'never', isBite: true, timeoutMs: 20_000, matches: () => false },
  ],
  bounds: () => [],
  mutants: [{ name: 'worse', expect: 'violated', holdMs: 1_500 }],
  harm: { targets: async () => [], held: '', limit: { failedShare: 0.5, forMs: 3_000 } },
}
