import { applicationCondition, currentPods, pastPods, podProblem, stackCondition } from '#core'
import type { KubeObject } from '#kit/kube'
import { assert, suite } from '../suite.ts'

const test = suite('health')

const NOW_MS = Date.parse('2026-01-01T00:10:00Z')
const wanted = { source: 'aaa', deploy: 'bbb', pushedAtMs: NOW_MS }

const sources = [{ targetRevision: 'source' }, { targetRevision: 'deploy' }]
function app(status: object, name = 'service'): KubeObject {
  return { apiVersion: 'argoproj.io/v1alpha1', kind: 'Application', metadata: { name }, spec: { sources }, status }
}
const sync = { status: 'Synced', revisions: ['aaa', 'bbb'], comparedTo: { sources } }
const synced = { sync, health: { status: 'Healthy' }, reconciledAt: '2026-01-01T00:10:01Z' }

function pod(status: object): KubeObject {
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', namespace: 'dev' }, status }
}
const waiting = (reason: string, restartCount = 0) =>
  pod({ containerStatuses: [{ name: 'c', image: 'img', restartCount, state: { waiting: { reason, message: 'm' } } }] })

test('an Application is ready when Synced and Healthy at both pushed revisions', () => {
  assert.is(applicationCondition(app(synced), wanted).state, 'ready')
})

test('an Application that is Synced to an older revision is pending, however healthy', () => {
  const old = { ...synced, sync: { ...sync, revisions: ['old', 'bbb'] } }
  const condition = applicationCondition(app(old), wanted)
  assert.equal(condition, { state: 'pending', seen: 'service has not compared the pushed revision' })
})

test('an Application that has not compared its present sources is pending', () => {
  const stale = { ...synced, sync: { ...sync, comparedTo: { sources: [{ targetRevision: 'source', helm: 'older' }] } } }
  assert.is(applicationCondition(app(stale), wanted).state, 'pending')
})

test('what was compared before the node was started is of another life', () => {
  const since = (time: string) => applicationCondition(app(synced), { ...wanted, comparedSinceMs: Date.parse(time) }).state
  assert.is(since('2026-01-01T00:10:02Z'), 'pending')
  // Kubernetes keeps no parts of a second.
  assert.is(since('2026-01-01T00:10:01.900Z'), 'ready')
})

test('pastPods() names the pods that were said to run before their machine was started, and no others', () => {
  const on = (name: string, nodeName: string, ...states: object[]): KubeObject => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: { nodeName },
    status: { containerStatuses: states.map((state) => ({ state })) },
  })
  const [old, now] = ['2026-01-01T00:09:59Z', '2026-01-01T00:10:00Z'].map((startedAt) => ({ running: { startedAt } }))
  const pods = [
    on('old', 'n1', old ?? {}),
    on('anew', 'n1', now ?? {}),
    on('half', 'n1', now ?? {}, old ?? {}),
    on('ended', 'n1', { terminated: {} }),
    on('elsewhere', 'n2', old ?? {}),
    on('not ours', 'n3', old ?? {}),
  ]
  const starts = new Map([
    ['n1', Date.parse('2026-01-01T00:10:00.700Z')],
    ['n2', Date.parse('2026-01-01T00:00:00Z')],
  ])
  assert.equal(pastPods(pods, starts), ['old', 'half'])
})

test('a chart that does not render is terminal when compared after the push and pending before', () => {
  const conditions = [{ type: 'ComparisonError', message: 'Failed to load target state: manifest generation error: bad chart' }]
  const unknown = { sync: { status: 'Unknown' }, conditions }
  assert.is(applicationCondition(app({ ...unknown, reconciledAt: '2026-01-01T00:10:01Z' }), wanted).state, 'terminal')
  assert.is(applicationCondition(app({ ...unknown, reconciledAt: '2026-01-01T00:09:59Z' }), wanted).state, 'pending')
})

test('a Git server that is away for a moment is pending', () => {
  const conditions = [{ type: 'ComparisonError', message: 'failed to list refs: dial tcp 10.43.0.9:80: connect: connection refused' }]
  assert.is(applicationCondition(app({ ...synced, conditions, sync: { status: 'Unknown' } }), wanted).state, 'pending')
})

test('an Application whose project has not been seen yet, or not as it is now, is pending', () => {
  const texts = [
    'Application referencing project platform which does not exist',
    "application destination server 'https://kubernetes.default.svc' and namespace 'new' do not match any of the allowed destinations in project 'platform'",
    "application repo http://git/holdfast is not permitted in project 'platform'",
  ]
  const condition = (message: string) => {
    const conditions = [{ type: 'InvalidSpecError', message }]
    return applicationCondition(app({ sync: { status: 'Unknown' }, reconciledAt: '2026-01-01T00:10:01Z', conditions }), wanted).state
  }
  assert.equal(texts.map(condition), ['pending', 'pending', 'pending'])
  assert.is(condition('application spec for service is invalid: spec.source.path is required'), 'terminal')
})

test('Degraded and OutOfSync are pending: both may pass', () => {
  assert.is(applicationCondition(app({ ...synced, health: { status: 'Degraded' } }), wanted).state, 'pending')
  assert.is(applicationCondition(app({ ...synced, sync: { ...sync, status: 'OutOfSync' } }), wanted).state, 'pending')
})

const failing = {
  phase: 'Running',
  finishedAt: '2026-01-01T00:10:00Z',
  retryCount: 10,
  message: 'one or more objects failed to apply',
  syncResult: { revisions: ['aaa', 'bbb'] },
}
const whileFailing = (change: object) => applicationCondition(app({ ...synced, operationState: { ...failing, ...change } }), wanted).state

test('a sync that fails again and again is terminal', () => {
  assert.is(whileFailing({}), 'terminal')
  assert.is(whileFailing({ phase: 'Failed' }), 'terminal')
})

test('a sync that fails is not terminal at first, for an older commit, or while it is tried again', () => {
  assert.is.not(whileFailing({ retryCount: 9 }), 'terminal')
  assert.is.not(whileFailing({ syncResult: { revisions: ['old', 'bbb'] } }), 'terminal')
  assert.is.not(whileFailing({ finishedAt: undefined }), 'terminal')
})

test('a kind that another Application has yet to define is waited for', () => {
  const message =
    'one or more synchronization tasks are not valid: failed to discover server resources for group version monitoring.coreos.com/v1: the server could not find the requested resource'
  assert.is.not(whileFailing({ message, retryCount: 99 }), 'terminal')
})

test('podProblem() names an image that cannot be pulled', () => {
  assert.is(podProblem(waiting('ErrImagePull'), NOW_MS), "Pod 'dev/p' cannot pull its image 'img': m")
})

test('podProblem() forgives one crash and not two', () => {
  assert.is(podProblem(waiting('CrashLoopBackOff', 1), NOW_MS), undefined)
  assert.match(podProblem(waiting('CrashLoopBackOff', 2), NOW_MS) ?? '', /crashes again and again: container 'c' ended 2 times/)
})

test('podProblem() waits out a moment without a node', () => {
  const since = (lastTransitionTime: string) =>
    pod({ conditions: [{ type: 'PodScheduled', reason: 'Unschedulable', message: '0/1 nodes', lastTransitionTime }] })
  assert.is(podProblem(since('2026-01-01T00:09:55Z'), NOW_MS), undefined)
  assert.match(podProblem(since('2026-01-01T00:09:00Z'), NOW_MS) ?? '', /fits on no node: 0\/1 nodes/)
})

test('stackCondition() waits for every expected Application', () => {
  const seen = { applications: [app(synced)], pods: [], expected: ['service', 'git'] }
  assert.equal(stackCondition(seen, wanted, NOW_MS), { state: 'pending', seen: 'no Application git yet' })
})

test('stackCondition() ends at once on a pod that cannot start', () => {
  const seen = { applications: [app(synced)], pods: [waiting('ImagePullBackOff')], expected: ['service'] }
  assert.is(stackCondition(seen, wanted, NOW_MS).state, 'terminal')
})

test('stackCondition() lets a broken pod of an older version be while its Application is not synced', () => {
  const outOfSync = app({ ...synced, sync: { ...sync, status: 'OutOfSync' } })
  assert.is(
    stackCondition({ applications: [outOfSync], pods: [waiting('ImagePullBackOff')], expected: ['service'] }, wanted, NOW_MS).state,
    'pending',
  )
})

test('currentPods() leaves out pods of older ReplicaSets, and of a Deployment that has not seen its newest template', () => {
  const owned = (kind: string, uid: string, { owner, revision = '' }: { owner: string; revision?: string }) => ({
    apiVersion: 'apps/v1',
    kind,
    metadata: { name: uid, uid, ownerReferences: [{ uid: owner }], annotations: { 'deployment.kubernetes.io/revision': revision } },
  })
  const sets = [owned('ReplicaSet', 'old', { owner: 'd', revision: '1' }), owned('ReplicaSet', 'new', { owner: 'd', revision: '2' })]
  const pods = [owned('Pod', 'p-old', { owner: 'old' }), owned('Pod', 'p-new', { owner: 'new' }), owned('Pod', 'p-job', { owner: 'job' })]
  const deployment = (observedGeneration: number) => ({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'd', uid: 'd', generation: 2 },
    status: { observedGeneration },
  })
  const names = (observed: number) => currentPods(pods, sets, [deployment(observed)]).map(({ metadata }) => metadata.name)
  assert.equal(names(2), ['p-new', 'p-job'])
  assert.equal(names(1), ['p-job'])
})

test('currentPods() keeps those of a Rollout’s newest ReplicaSet, once it has seen the Deployment that it takes them from', () => {
  const owned = (kind: string, uid: string, { owner, revision = '' }: { owner: string; revision?: string }) => ({
    apiVersion: 'apps/v1',
    kind,
    metadata: { name: uid, uid, ownerReferences: [{ uid: owner }], annotations: { 'rollout.argoproj.io/revision': revision } },
  })
  const sets = [owned('ReplicaSet', 'stable', { owner: 'r', revision: '9' }), owned('ReplicaSet', 'canary', { owner: 'r', revision: '10' })]
  const pods = [owned('Pod', 'p-stable', { owner: 'stable' }), owned('Pod', 'p-canary', { owner: 'canary' })]
  const metadata = { name: 'service', namespace: 'staging', generation: 4 }
  const template = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { ...metadata, uid: 'd' }, status: { observedGeneration: 4 } }
  const elsewhere = { ...template, metadata: { ...template.metadata, namespace: 'prod', uid: 'e', generation: 7 } }
  const names = (status: object) => {
    const spec = { workloadRef: { name: 'service' } }
    const rollout = { apiVersion: 'argoproj.io/v1alpha1', kind: 'Rollout', metadata: { ...metadata, uid: 'r' }, spec, status }
    return currentPods(pods, sets, [elsewhere, template, rollout]).map((each) => each.metadata.name)
  }
  assert.equal(names({ observedGeneration: '4', workloadObservedGeneration: '4' }), ['p-canary'])
  assert.equal(names({ observedGeneration: '4', workloadObservedGeneration: '3' }), [])
  assert.equal(names({ observedGeneration: '3', workloadObservedGeneration: '4' }), [])
})

test('stackCondition() is ready when all are', () => {
  assert.is(stackCondition({ applications: [app(synced)], pods: [pod({})], expected: ['service'] }, wanted, NOW_MS).state, 'ready')
})

test.run()
