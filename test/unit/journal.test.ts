/** The hold of a run on the cluster: one at a time, kept while it runs, and known to be lost where it is. */
import { PassThrough } from 'node:stream'
import { mock } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import { type Lease, openRun, record, type Stack, takeLease } from '#core'
import { Failure, UserError } from '#kit/errors'
import { type Kube, KubeError, type KubeObject } from '#kit/kube'
import { createProgress } from '#kit/progress'
import { pending, ready, waitFor } from '#kit/wait'
import { stack } from '../../holdfast.config.ts'
import { assert, suite } from '../suite.ts'
import { createEngine, type Engine, endless, secondOf } from './engine-fixture.ts'

const test = suite('journal')

const RENEW_MS = 10_000
const OTHER = 'elsewhere/1/other'

/** The one Lease as the API server keeps it: each write is of the version that its writer has seen, or refused. */
function createLeases() {
  let stored: KubeObject | undefined
  let version = 0
  const write = (object: KubeObject) => {
    stored = { ...object, metadata: { ...object.metadata, uid: 'u', resourceVersion: `${++version}` } }
    return stored
  }
  const check = (status: number, isTrue: boolean) => {
    if (isTrue) throw new KubeError('write the Lease', status, 'refused')
  }
  const api = {
    /** Whether the answer of the next renewal is lost on its way. */
    losesAnswer: false,
    renewals: 0,
    looks: 0,
    get holder(): string | undefined {
      return stored?.spec.holderIdentity
    },
    takeOver(holder: string) {
      if (stored !== undefined) write({ ...stored, spec: { ...stored.spec, holderIdentity: holder } })
    },
    vanish() {
      stored = undefined
    },
  }
  const kube = {
    async get() {
      api.looks++
      return stored
    },
    async create(object: KubeObject) {
      check(409, stored !== undefined)
      return write(object)
    },
    async mergePatch(_ref: unknown, { metadata, spec }: KubeObject) {
      check(404, stored === undefined)
      check(409, metadata.resourceVersion !== stored?.metadata.resourceVersion)
      api.renewals++
      const written = write({ ...(stored as KubeObject), spec })
      if (!api.losesAnswer) return written
      api.losesAnswer = false
      throw new Failure({ what: 'Cannot reach the API server', why: 'other side closed' })
    },
    async deleteUnchanged({ metadata }: KubeObject) {
      check(409, metadata.resourceVersion !== stored?.metadata.resourceVersion)
      stored = undefined
    },
  } as unknown as Kube
  return Object.assign(api, { kube })
}

const until = (what: string, isTrue: () => boolean, signal: AbortSignal) =>
  waitFor(what, async () => (isTrue() ? ready(undefined) : pending('not yet')), { timeoutMs: 5_000, everyMs: 5, signal })

/** Known with the next renewal. */
const lossOf = async ({ lost }: Lease, signal: AbortSignal): Promise<Error> => {
  mock.timers.tick(RENEW_MS)
  await until('the loss', () => lost.aborted, signal)
  assert.instance(lost.reason, Failure)
  return lost.reason
}

test.before(() => mock.timers.enable({ apis: ['setInterval'] }))
test.after(() => mock.timers.reset())

test('one run at a time has the cluster, and gives it back', async () => {
  const leases = createLeases()
  {
    await using _lease = await takeLease(leases.kube)
    const refused = await assert.rejects(takeLease(leases.kube), /^Cannot start a run: '.+' is running on this cluster/)
    assert.instance(refused, UserError)
  }
  assert.is(leases.holder, undefined)
})

test('a renewal whose answer was lost is one all the same, and the next ones are made', async ({ signal }) => {
  const leases = createLeases()
  await using lease = await takeLease(leases.kube)
  leases.losesAnswer = true
  for (const seen of [{ renewals: 1 }, { looks: 2 }, { renewals: 2 }, { renewals: 3 }]) {
    mock.timers.tick(RENEW_MS)
    await until(JSON.stringify(seen), () => isDeepStrictEqual({ ...leases, ...seen }, { ...leases }), signal)
  }
  assert.not.ok(lease.lost.aborted)
})

test('a run that another one has taken the cluster from is told who, and leaves it to that one', async ({ signal }) => {
  const leases = createLeases()
  {
    await using lease = await takeLease(leases.kube)
    leases.takeOver(OTHER)
    assert.is(
      (await lossOf(lease, signal)).message,
      `Cannot go on with the run: '${OTHER}' has taken the cluster meanwhile. Wait until nothing else runs on it, and run this again`,
    )
  }
  assert.is(leases.holder, OTHER)
})

test('a hold that is gone was another run’s meanwhile', async ({ signal }) => {
  const leases = createLeases()
  await using lease = await takeLease(leases.kube)
  leases.vanish()
  assert.match((await lossOf(lease, signal)).message, /^Cannot go on with the run: its hold on the cluster is gone\./)
})

test('what another run has taken between the last look and the end is not deleted', async () => {
  const leases = createLeases()
  const lease = await takeLease(leases.kube)
  leases.takeOver(OTHER)
  await lease[Symbol.asyncDispose]()
  assert.is(leases.holder, OTHER)
})

/** A stack on the engine's one cluster, which has this Lease too. */
function stackWith({ context, objects }: Engine, leases: Pick<ReturnType<typeof createLeases>, 'kube'>): Stack {
  const kube = new Proxy(context.cluster.kube, {
    get:
      (it, key) =>
      (...args: readonly [Pick<KubeObject, 'kind'>, ...unknown[]]) =>
        Reflect.get(args[0].kind === 'Lease' ? leases.kube : it, key)(...args),
  })
  for (const [kind, name] of [
    ['Namespace', 'holdfast'],
    ['Deployment', 'service'],
  ] as const)
    objects.set(`${kind}/${name}`, { apiVersion: '', kind, metadata: { name } })
  const clusters = { local: { find: async () => ({ ...context.cluster, kube }) }, eks: { nameOf: () => 'in the cloud' } }
  return { ...stack, clusters, load: context.load, git: context.git } as unknown as Stack
}

test('a run that has lost the cluster ends with one sentence, and what it did is undone', async ({ signal }) => {
  const [engine, leases] = [createEngine(secondOf(10, 0)), createLeases()]
  const progress = createProgress(new PassThrough() as unknown as NodeJS.WriteStream)
  await using run = await openRun(stackWith(engine, leases), { name: 'fake', progress, signal })
  const recorded = record(endless, run.context, { versions: {} })
  await until('the act', () => engine.objects.has('Thing/left'), signal)
  leases.takeOver(OTHER)
  mock.timers.tick(RENEW_MS)
  assert.match((await recorded).abortedBy ?? '', /^Cannot go on with the run: 'elsewhere/)
  assert.not.ok(engine.objects.has('Thing/left'))
  assert.ok(run.signal.aborted)
})

test.run()
