/** Whether an environment runs a digest: ready, not yet, or never. */
import { rolloutCondition, stalled, withoutStopped } from '#core'
import type { KubeObject } from '#kit/kube'
import type { Condition } from '#kit/wait'
import { assert, suite } from '../suite.ts'
import { digest } from './platform-fixture.ts'

const test = suite('rollout')

const NOW = Date.parse('2026-01-01T00:10:00Z')
const secondsAgo = (seconds: number) => new Date(NOW - seconds * 1000).toISOString()
const sources = [{ helm: { valuesObject: { image: { digest: digest('a') } } } }]
const SYNCED = { sync: { status: 'Synced', comparedTo: { sources } }, health: { status: 'Healthy' } }

const application = (status: object = {}): KubeObject => ({
  apiVersion: 'argoproj.io/v1alpha1',
  kind: 'Application',
  metadata: { name: 'service-staging' },
  spec: { sources },
  status: { ...SYNCED, ...status },
})

function workload(image = digest('a'), status: object = {}): KubeObject {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'service', namespace: 'staging', generation: 2 },
    spec: { replicas: 2, template: { spec: { containers: [{ image: `docker.io/holdfast/service@${image}` }] } } },
    status: { observedGeneration: 2, replicas: 2, readyReplicas: 2, updatedReplicas: 2, ...status },
  }
}

const rolling = (reason: string, seconds: number) => ({
  replicas: 3,
  updatedReplicas: 1,
  conditions: [{ type: 'Progressing', reason, lastUpdateTime: secondsAgo(seconds) }],
})

const pulling: KubeObject = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p', namespace: 'staging' },
  status: { containerStatuses: [{ name: 'service', image: 'x', restartCount: 0, state: { waiting: { reason: 'ImagePullBackOff' } } }] },
}

function seen(changes: { application?: KubeObject | undefined; workload?: KubeObject; rollout?: KubeObject; pods?: KubeObject[] }): string {
  const objects = { application: application(), workload: workload(), rollout: undefined, pods: [], ...changes }
  return said(rolloutCondition(objects, { digest: digest('a'), sinceMs: NOW - 60_000 }, NOW))
}

function said(condition: Condition<void>): string {
  if (condition.state === 'ready') return 'ready'
  return condition.state === 'pending' ? condition.seen : `never: ${condition.why}`
}

test('an environment runs a digest once its Application and its workload name it and it is Healthy', () => {
  assert.is(seen({}), 'ready')
  assert.is(seen({ application: undefined }), 'it has no Application yet')
  assert.is(seen({ application: { ...application(), spec: { sources: [{ path: 'x' }] } } }), 'its Application does not name the digest yet')
  assert.is(seen({ application: application({ sync: { status: 'Synced' } }) }), 'Argo CD has not compared it yet')
  assert.is(seen({ application: application({ sync: { ...SYNCED.sync, status: 'OutOfSync' } }) }), 'it is OutOfSync')
  assert.is(seen({ application: application({ operationState: { phase: 'Running' } }) }), 'a sync of it runs')
  assert.is(seen({ workload: workload(digest('b')) }), 'its workload does not name the digest yet')
  assert.is(seen({ application: application({ health: { status: 'Progressing' } }) }), 'it is Progressing')
})

test('a pod that cannot pull, a rollout that stands still, and a lasting Degraded are the end', () => {
  assert.is(seen({ pods: [pulling] }), "never: Pod 'staging/p' cannot pull its image 'x': ImagePullBackOff")
  assert.is(
    seen({ workload: workload(digest('a'), rolling('ReplicaSetUpdated', 95)) }),
    "never: Deployment 'staging/service' has made no progress for 95 s: 1 of 3 pods are new, 2 ready",
  )
  const health = { status: 'Degraded', lastTransitionTime: secondsAgo(61) }
  assert.is(seen({ application: application({ health }) }), "never: Application 'service-staging' is Degraded for 61 s")
  assert.is(seen({ application: application({ health: { ...health, lastTransitionTime: secondsAgo(5) } }) }), 'it is Degraded')
})

/** A canary of the newest template. */
function rollout(status: object): KubeObject {
  return {
    apiVersion: 'argoproj.io/v1alpha1',
    kind: 'Rollout',
    metadata: { name: 'service', namespace: 'staging', generation: 3 },
    spec: { workloadRef: { name: 'service' } },
    status: { observedGeneration: '3', workloadObservedGeneration: '2', stableRS: 'a', currentPodHash: 'b', ...status },
  }
}

test('where a Rollout has the pods, it is ready once its canary is promoted, whatever Argo CD has seen', () => {
  assert.is(seen({ rollout: rollout({ phase: 'Progressing' }) }), 'its canary is Progressing')
  assert.is(seen({ rollout: rollout({ phase: 'Healthy' }) }), 'its canary is Healthy', 'the one before is still the good one')
  assert.is(seen({ rollout: rollout({ phase: 'Healthy', currentPodHash: 'a', workloadObservedGeneration: '1' }) }), 'its canary is Healthy')
  assert.is(seen({ rollout: { ...rollout({}), status: {} } }), 'its canary is not begun')
  assert.is(seen({ rollout: rollout({ phase: 'Healthy', currentPodHash: 'a' }) }), 'ready')
})

test('a canary that is aborted, or that nobody could judge, is the end at once', () => {
  const message = 'RolloutAborted: Metric "errors" assessed Failed'
  const aborted = (seconds: number) => rollout({ phase: 'Degraded', abort: true, abortedAt: secondsAgo(seconds), message })
  assert.is(seen({ rollout: aborted(10) }), `never: Rollout 'staging/service' took its canary back: ${message}`)
  assert.is(seen({ rollout: aborted(70) }), 'its canary is Degraded', 'that was another one')
  const unseen = rollout({ phase: 'Degraded', abort: true, abortedAt: secondsAgo(1), message, workloadObservedGeneration: '1' })
  assert.is(seen({ rollout: unseen }), 'its canary is Degraded', 'the controller has not seen the new template')
  assert.is(
    seen({ rollout: rollout({ phase: 'Paused', message: 'InconclusiveAnalysisRun' }) }),
    "never: Rollout 'staging/service' could not tell whether its canary is good, and waits: InconclusiveAnalysisRun",
  )
})

test('what is installed is not held up by a canary of another environment that stopped: it is said once all else is there', () => {
  const applications = ['service', 'service-staging'].map((name) => ({ ...application(), metadata: { name } }))
  const stack = { applications, pods: [], expected: ['service', 'service-staging'] }
  const calm = withoutStopped(stack, [workload(), rollout({ phase: 'Healthy', currentPodHash: 'a' })])
  assert.equal(calm, { seen: stack, stopped: undefined })
  const { seen: others, stopped } = withoutStopped(stack, [workload(), rollout({ phase: 'Paused', message: 'InconclusiveAnalysisRun' })])
  assert.equal([others.applications.map(({ metadata }) => metadata.name), others.expected], [['service'], ['service']])
  assert.ok(stopped?.state === 'terminal')
  assert.is(stopped.why, "Rollout 'staging/service' could not tell whether its canary is good, and waits: InconclusiveAnalysisRun")
  assert.is(stopped.next, 'All else is Synced and Healthy. Run npm run promote -- staging, which takes it back and says how to go on')
})

test('what Argo CD refuses is the end, if it said so after the commit', () => {
  const conditions = [{ type: 'InvalidSpecError', message: 'no such chart' }]
  const refused = (seconds: number) => seen({ application: application({ conditions, reconciledAt: secondsAgo(seconds) }) })
  assert.is(refused(10), "never: Application 'service-staging': no such chart")
  assert.is(refused(100), 'ready')
})

test('a rollout stands still only while it goes on: not one that is young, complete, or merely scales', () => {
  assert.is(stalled(undefined, NOW), undefined)
  assert.is(stalled(workload(), NOW), undefined)
  assert.is(stalled(workload(digest('a'), rolling('ReplicaSetUpdated', 80)), NOW), undefined)
  assert.is(stalled(workload(digest('a'), rolling('NewReplicaSetAvailable', 500)), NOW), undefined)
  assert.match(stalled(workload(digest('a'), rolling('ProgressDeadlineExceeded', 600)), NOW) ?? '', 'no progress for 600 s')
})

test.run()
