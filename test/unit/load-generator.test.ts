/** Load in a cluster that is made up: what is created, what ends the wait, what is read, and that nothing is left. */
import type { Cluster, Environment, LoadProfile, LoadSecond } from '#core'
import { KubeError, type KubeObject, type ObjectRef, splitLines } from '#kit/kube'
import { followLog, type LogSource } from '../../load/follow.ts'
import { createLoadGenerator } from '../../load/generator.ts'
import { endOf, readLoad } from '../../load/reading.ts'
import { assert, suite } from '../suite.ts'

async function all<T>(values: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const value of values) found.push(value)
  return found
}

const lines = suite('lines of an answer')

async function split(...pieces: readonly (string | Uint8Array)[]): Promise<string[]> {
  async function* bytes() {
    for (const piece of pieces) yield typeof piece === 'string' ? new TextEncoder().encode(piece) : piece
  }
  return all(splitLines(bytes()))
}

lines('pieces may cut anywhere, also within a letter', async () => {
  assert.equal(await split('on', 'e\ntwo\n\nth', 'ree\n'), ['one', 'two', '', 'three'])
  const letter = new TextEncoder().encode('ä\n')
  assert.equal(await split(letter.slice(0, 1), letter.slice(1)), ['ä'])
})

lines('an unfinished last line is no line', async () => {
  assert.equal(await split('one\ntw'), ['one'])
  assert.equal(await split(), [])
})

lines.run()

const follow = suite('following a log')

/** The log of one stamp a line; each connection gives the lines from `since` on up to its own `end`, then breaks or ends. */
function logOf(stamped: readonly string[], connections: readonly { readonly end: number; readonly breaks?: boolean }[]) {
  const begun: (string | undefined)[] = []
  const rest = [...connections]
  const source: LogSource = {
    async *open(since) {
      begun.push(since)
      const { end, breaks = false } = rest.shift() ?? { end: stamped.length }
      // As the API server does it: from the whole second on.
      const from = (since ?? '').slice(0, 8)
      yield* stamped.slice(0, end).filter((line) => line.slice(0, 8) >= from)
      if (breaks) throw new Error('terminated')
    },
    state: async () => (rest.length === 0 ? 'ended' : 'running'),
  }
  return { source, begun }
}
const never = new AbortController().signal
const read = (source: LogSource) => all(followLog(source, { signal: never }))

follow('every line comes once, however often the connection breaks and wherever', async () => {
  const stamped = ['00:00:01.1 a', '00:00:01.2 b', '00:00:01.2 c', '00:00:02.0 d', '00:00:02.1 e']
  const brokenAfter = async (end: number) => {
    const { source, begun } = logOf(stamped, [{ end, breaks: true }, { end }, { end: 5, breaks: true }])
    assert.equal(await read(source), ['a', 'b', 'c', 'd', 'e'], `broken after ${end}`)
    assert.is(begun.length, 4)
    assert.is(begun[1], end === 0 ? undefined : stamped[end - 1]?.slice(0, 10))
  }
  await Promise.all([0, 1, 2, 3, 4, 5].map(brokenAfter))
})

follow('a line keeps its spaces, and may be empty', async () => {
  const { source } = logOf(['00:00:01.1 a b  c ', '00:00:01.2 '], [])
  assert.equal(await read(source), ['a b  c ', ''])
})

follow('what was written between the last read and the end is read too', async () => {
  const stamped = ['00:00:01.1 a', '00:00:01.2 b']
  assert.equal(await read(logOf(stamped, [{ end: 1 }]).source), ['a', 'b'])
})

follow('a silent connection is made anew', async () => {
  let opened = 0
  const source: LogSource = {
    async *open(_, signal) {
      opened++
      yield '00:00:01.1 a'
      if (opened > 1) return
      await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    },
    state: async () => (opened === 0 ? 'running' : 'ended'),
  }
  assert.equal(await all(followLog(source, { signal: never, silenceMs: 20 })), ['a'])
  assert.is(opened, 2)
})

follow('nobody reads what is gone, and an abort ends it with its reason', async () => {
  const gone = logOf(['00:00:01.1 a'], [])
  assert.equal(await read({ ...gone.source, state: async () => 'gone' }), [])
  assert.equal(gone.begun, [])
  const { source } = logOf(['00:00:01.1 a'], [{ end: 1 }, { end: 1 }])
  await assert.rejects(all(followLog(source, { signal: AbortSignal.abort(new Error('interrupted')) })), 'interrupted')
})

follow.run()

const ends = suite('the end of a load')
const counts = { kind: 'counts' as const, requests: 3, iterations: 3, dropped: 0 }
const told = { requests: 3, failed: 0, counts, words: ['ReferenceError: x'] }
const exit = (exitCode: number, reason = 'Error') => ({ exitCode, reason })

ends('only k6’s own count, that agrees with ours, is a measurement', () => {
  assert.equal(endOf(told, exit(0)), { exitCode: 0 })
  assert.equal(endOf({ ...told, requests: 2 }, exit(0)), { problem: 'k6 counts 3 requests, and told of 2' })
  const { counts: _none, ...uncounted } = told
  assert.equal(endOf(uncounted, exit(0)), { problem: 'k6 ended without its own count' })
  assert.match(endOf(told, undefined).problem ?? '', 'went away')
})

ends('an exit code other than 0 says why', () => {
  assert.equal(endOf(told, exit(107)), { exitCode: 107, problem: 'k6 ended with exit code 107 (Error: ReferenceError: x)' })
  assert.match(endOf({ ...told, words: [] }, exit(137, 'OOMKilled')).problem ?? '', /137 \(OOMKilled\)/)
})

ends.run()

// ── A cluster of plain objects ──────────────────────────────────────────────────────────────────────────────────────

const profile: LoadProfile = {
  name: 'it',
  about: '',
  stages: [{ name: 'one', forMs: 1000, ratePerS: 3, requests: [{ path: '/' }] }],
}
const requestLine = (atMs: number, status = 200) => `[${atMs},"one",${status},5,"pod-a","v1",${status === 200},""]`
const MEASURED = [requestLine(1000), requestLine(1300), requestLine(1600, 500), '{"requests":3,"iterations":3,"dropped":0}']
const TERMINATED = { terminated: { exitCode: 0, reason: 'Completed' } }

interface Behaviour {
  /** What the pod of a Job says; undefined holds its log open for ever. */
  readonly log?: readonly string[]
  /** Of its container. */
  readonly state?: object
  /** A Job gets no pod, and this event. */
  readonly refused?: string
  readonly objects?: readonly KubeObject[]
}

const keyOf = ({ kind, name }: { kind: string; name: string }) => `${kind}/${name}`
const generatorMap = {
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'generator', namespace: 'load' },
  data: { image: 'k6@sha256:1' },
}

/** As much of the API as load needs. */
function fakeCluster({ log, state = TERMINATED, refused, objects = [generatorMap] }: Behaviour) {
  const store = new Map<string, KubeObject>(objects.map((each) => [keyOf({ kind: each.kind, name: each.metadata.name }), each]))
  const created: KubeObject[] = []
  const put = (object: KubeObject) => store.set(keyOf({ kind: object.kind, name: object.metadata.name }), object)
  const kube = {
    get: async (ref: ObjectRef) => store.get(keyOf(ref)),
    list: async ({ kind }: { kind: string }) => [...store.values()].filter((each) => each.kind === kind),
    async create(object: KubeObject) {
      if (store.has(keyOf({ kind: object.kind, name: object.metadata.name }))) throw new KubeError('create it', 409, 'it is there')
      const job = { ...object, metadata: { ...object.metadata, uid: 'job-1' } }
      created.push(job)
      put(job)
      const involvedObject = { uid: 'job-1' }
      const event = { apiVersion: 'v1', kind: 'Event', metadata: { name: 'e' }, reason: 'FailedCreate', message: refused, involvedObject }
      const status = { phase: 'Running', containerStatuses: [{ name: 'k6', image: 'k6', restartCount: 0, state }] }
      put(refused === undefined ? { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', namespace: 'load', uid: 'p' }, status } : event)
      return job
    },
    async delete(ref: ObjectRef) {
      for (const key of ['Pod/p', 'Event/e']) store.delete(key)
      return store.delete(keyOf(ref))
    },
    watch: () => ({ [Symbol.dispose]: () => {} }),
    async *lines(_path: string, signal: AbortSignal) {
      for (const [i, line] of (log ?? [requestLine(1000)]).entries()) yield `00:00:01.${i} ${line}`
      if (log === undefined) await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    },
  }
  return { cluster: { kube } as unknown as Cluster, created, left: () => [...store.keys()].filter((key) => key !== 'ConfigMap/generator') }
}

const generator = createLoadGenerator({ profiles: [profile], target: (environment) => `http://service.${environment}.svc.cluster.local` })
const load = suite('the load generator')

load('a load is read to its end, told by seconds, and leaves nothing', async ({ signal }) => {
  const { cluster, created, left } = fakeCluster({ log: MEASURED })
  const seconds: (readonly [number, LoadSecond])[] = []
  const running = await generator.start(profile, { cluster, signal, onSecond: (second, atMs) => seconds.push([atMs, second]) })
  assert.equal(await running.done, { profile: 'it', planned: 3, requests: 3, dropped: 0, failed: 1, exitCode: 0 })
  assert.equal(
    seconds.map(([atMs, { requests, failed }]) => [atMs, requests, failed]),
    [[2000, 3, 1]],
  )
  assert.is(created[0]?.spec.template.spec.containers[0].image, 'k6@sha256:1')
  assert.equal(left(), ['Job/k6-it', 'Pod/p'])
  await running[Symbol.asyncDispose]()
  await running[Symbol.asyncDispose]()
  assert.equal(left(), [])
})

load('disposed early it is gone at once, and was no measurement', async ({ signal }) => {
  const { cluster, left } = fakeCluster({ state: { running: {} } })
  const running = await generator.start(profile, { cluster, signal })
  await running[Symbol.asyncDispose]()
  assert.equal(left(), [])
  const { exitCode, problem, requests } = await running.done
  assert.equal([exitCode, problem, requests], [-1, 'it was stopped before its end', 1])
})

load('an interrupt rejects its end with the reason, and disposing still cleans up', async () => {
  const { cluster, left } = fakeCluster({ state: { running: {} } })
  const interrupt = new AbortController()
  const running = await generator.start(profile, { cluster, signal: interrupt.signal })
  interrupt.abort(new Error('Interrupted by SIGINT'))
  await assert.rejects(running.done, 'Interrupted by SIGINT')
  await running[Symbol.asyncDispose]()
  assert.equal(left(), [])
})

load('an interrupt before anybody waits for its first request is heard by its end alone', async () => {
  const { cluster } = fakeCluster({ state: { running: {} } })
  const pod: KubeObject = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', namespace: 'load', uid: 'p' } }
  await using reading = readLoad(profile, { cluster, signal: AbortSignal.abort(new Error('Interrupted by SIGINT')), pod })
  await assert.rejects(reading.done, 'Interrupted by SIGINT')
})

load('what an earlier run left is removed first', async ({ signal }) => {
  const old = { apiVersion: 'batch/v1', kind: 'Job', metadata: { name: 'k6-it', namespace: 'load', uid: 'old' } }
  const { cluster, created } = fakeCluster({ log: MEASURED, objects: [generatorMap, old] })
  await using running = await generator.start(profile, { cluster, signal })
  assert.is((await running.done).exitCode, 0)
  assert.is(created.length, 1)
})

load('load is sent to the environment that is asked for, by default to dev, and never out of the cluster', async ({ signal }) => {
  const targetOf = async (to: { environment?: Environment }) => {
    const { cluster, created } = fakeCluster({ log: MEASURED })
    await using _running = await generator.start(profile, { cluster, signal, ...to })
    return JSON.parse(created[0]?.spec.template.metadata.annotations['holdfast.dev/plan']).target
  }
  assert.is(await targetOf({}), 'http://service.dev.svc.cluster.local')
  assert.is(await targetOf({ environment: 'staging' }), 'http://service.staging.svc.cluster.local')
  const outside = { environment: 'dev.example.com/' as Environment }
  await assert.rejects(targetOf(outside), /'http:\/\/service\.dev\.example\.com\/\.svc\.cluster\.local' is not a service of the cluster/)
})

const UNSTARTED: readonly (readonly [string, Behaviour, RegExp])[] = [
  ['a pod that the quota refuses', { refused: 'pods "p" is forbidden: exceeded quota: quota' }, /is of no use: .*exceeded quota/],
  [
    'an image that cannot be pulled',
    { state: { waiting: { reason: 'ErrImagePull', message: 'not found' } } },
    /cannot pull its image 'k6': not found/,
  ],
  [
    'a script that does not run',
    { log: ['SyntaxError: x'], state: { terminated: { exitCode: 107, reason: 'Error' } } },
    /first request of 'it' is of no use: k6 ended with exit code 107 \(Error: SyntaxError: x\)/,
  ],
  ['an end without a request', { log: ['{"requests":0,"iterations":0,"dropped":0}'] }, /is of no use: it ended without one/],
]
for (const [name, behaviour, message] of UNSTARTED) {
  load(`${name} ends the start at once, and leaves nothing`, async ({ signal }) => {
    const { cluster, left } = fakeCluster(behaviour)
    await assert.rejects(generator.start(profile, { cluster, signal }), message)
    assert.equal(left(), [])
  })
}

load('lines that were lost are no measurement', async ({ signal }) => {
  const { cluster } = fakeCluster({ log: MEASURED.slice(1) })
  await using running = await generator.start(profile, { cluster, signal })
  const { exitCode, problem } = await running.done
  assert.equal([exitCode, problem], [-1, 'k6 counts 3 requests, and told of 2'])
})

load('a stack without the generator says so in a sentence', async ({ signal }) => {
  const { cluster, created } = fakeCluster({ objects: [] })
  const error = await assert.rejects(
    generator.start(profile, { cluster, signal }),
    "Cannot send load: the ConfigMap 'load/generator' is not in the cluster. Run npm run local:up",
  )
  assert.is((error as Error & { exitCode: number }).exitCode, 2)
  assert.equal(created, [])
})

load('a profile without bounds is refused before anything is made', async ({ signal }) => {
  const { cluster, created } = fakeCluster({})
  await assert.rejects(generator.start({ ...profile, stages: [] }, { cluster, signal }), 'it has no stage')
  assert.equal(created, [])
})

load('its undo deletes the Job of that profile', () => {
  assert.equal(generator.undo(profile), [{ op: 'delete', ref: { apiVersion: 'batch/v1', kind: 'Job', name: 'k6-it', namespace: 'load' } }])
})

load.run()
