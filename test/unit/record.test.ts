/** How a run ends before its time: by the stop button, and by whoever interrupts it. Both times what it did is undone. */
import { isFrom, journal, judge, polled, type RecordedEvent, record, type Scenario, settle, settleAll } from '#core'
import { Interrupted } from '#kit/errors'
import { KubeError, type KubeObject } from '#kit/kube'
import { stack } from '../../holdfast.config.ts'
import { assert, suite } from '../suite.ts'
import { createEngine, endless, secondOf } from './engine-fixture.ts'

const test = suite('record')
const OPTIONS = { versions: {} }
const left = ({ objects }: ReturnType<typeof createEngine>) => [...objects.keys()]

test('more harm than it may do stops an experiment: it is undone, and its verdict is aborted', async () => {
  const engine = createEngine(secondOf(10, 6))
  const run = await record(endless, engine.context, OPTIONS)
  const { verdict, reason } = judge(run, endless, stack.timing.local)
  assert.is(verdict, 'aborted')
  assert.is(reason, 'Stopped: 60 % of the requests of the last 3.0 s failed, and it may do that to 50 %')
  assert.is(run.interrupted, undefined, 'nobody interrupted it: it counts')
  assert.ok(
    run.rounds[0]?.events.some((event) => 'source' in event && event.source === 'load'),
    'what was seen is kept',
  )
  assert.equal(left(engine), [], 'the object is gone, and so is the journal')
})

test('no more harm than it may do stops nothing, nor does any with a broken healer', async () => {
  const patient: Scenario = { ...endless, steps: (timing) => endless.steps(timing).map((step) => ({ ...step, timeoutMs: 1_000 })) }
  const calm = await record(patient, createEngine(secondOf(10, 5)).context, OPTIONS)
  assert.is(judge(calm, patient, stack.timing.local).verdict, 'not injected')
  const [mutant] = endless.mutants
  assert.ok(mutant !== undefined)
  const broken = await record(endless, createEngine(secondOf(10, 10)).context, { ...OPTIONS, mutant })
  assert.is(broken.abortedBy, undefined)
})

test('what is interrupted is undone too, its commits included', async () => {
  const engine = createEngine(secondOf(10, 0))
  const committing: Scenario = {
    ...endless,
    undo: async () => [
      { op: 'delete', ref: { apiVersion: 'v1', kind: 'Thing', name: 'left' } },
      { op: 'commit', message: 'Undo', files: {}, applications: [] },
    ],
  }
  const root = { apiVersion: '', kind: 'Application', metadata: { name: 'root' }, status: { sync: { revision: 'a'.repeat(40) } } }
  engine.objects.set('Application/root', root)
  setTimeout(() => engine.abort.abort(new Interrupted('SIGINT')), 500)
  const run = await record(committing, engine.context, OPTIONS)
  assert.is(judge(run, committing, stack.timing.local).reason, 'Interrupted by SIGINT')
  assert.is(run.interrupted, true)
  assert.equal(engine.commits, ['Undo'])
  assert.equal(left(engine), ['Application/root'])
})

test('a bug of whoever is told of what is observed ends the run: it is no look that failed', async () => {
  const looks = polled({ name: 'looks', everyMs: 50, begin: () => async () => [{ value: 1, atMs: Date.now() }] })
  const engine = createEngine(secondOf(10, 0))
  const onEvent = (event: RecordedEvent) => {
    if (engine.objects.has('Thing/left') && isFrom('looks', event)) throw new TypeError('no such thing')
  }
  const run = await record({ ...endless, observes: [looks] }, engine.context, { ...OPTIONS, onEvent })
  assert.is(judge(run, endless, stack.timing.local).reason, 'no such thing')
  assert.equal(left(engine), [])
})

test('where the engine goes away, what was done is written down, and the next command undoes it', async () => {
  const engine = createEngine(secondOf(10, 0))
  const short: Scenario = { ...endless, steps: (timing) => endless.steps(timing).map((step) => ({ ...step, timeoutMs: 1_000 })) }
  setTimeout(() => {
    engine.api.answers = false
  }, 500)
  const run = await record(short, engine.context, OPTIONS)
  assert.is(judge(run, short, stack.timing.local).verdict, 'aborted')
  engine.api.answers = true
  assert.ok(engine.objects.has('Thing/left'))
  assert.ok((await settleAll(engine.context)).includes('endless'))
  assert.equal(left(engine), [])
})

test('an undo that makes something is content where somebody else makes it meanwhile, and fails where nobody does', async () => {
  const object: KubeObject = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'service', namespace: 'dev' } }
  const { context, objects } = createEngine(secondOf(10, 0))
  const { kube } = context.cluster
  const refused = new KubeError('POST a Service', 422, 'provided port is already allocated')
  const refusing = new Proxy(kube, { get: (it, key) => (key === 'create' ? () => Promise.reject(refused) : Reflect.get(it, key)) })
  const undoer = { ...context, cluster: { ...context.cluster, kube: refusing } }
  const entry = await journal(kube, 'a Service is deleted', [{ op: 'create', object }])
  assert.is(await settle(undoer, entry).catch((thrown: unknown) => thrown), refused)
  setTimeout(() => objects.set('Service/service', object), 500)
  await settle(undoer, entry)
  assert.not.ok(objects.has(`ConfigMap/${entry}`))
})

test.run()
