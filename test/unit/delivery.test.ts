/** What a proof commits to `deploy`, and what its undo writes back. */
import { parse } from 'yaml'
import { application, inSync, isRolledOut, refOfApplication, type Scenario, valuesFiles, valuesOfChart, versionOf, withValues } from '#core'
import type { KubeObject, ObjectRef } from '#kit/kube'
import { assert, suite } from '../suite.ts'

const test = suite('delivery')

const OF = { part: 'service', environment: 'dev' } as const
const PATHS = ['environments/dev/service.yaml', 'applications/application.argocd.service.yaml']
const helm = { releaseName: 'service', valuesObject: { faults: 'on', image: { digest: 'sha256:old' }, preStopSeconds: 5 } }
const sources = [{ repoURL: 'http://git/x.git', path: 'chart', helm }, { path: 'other' }]
const files = new Map([
  [PATHS[0] ?? '', 'image:\n  digest: sha256:old\n'],
  [PATHS[1] ?? '', JSON.stringify(application({ name: 'service', namespace: 'dev', sources }))],
  ['environments/dev/service.inputs', 'abc\n'],
])

test('withValues() changes the values and the Application that carries them, and nothing else', () => {
  const changed = withValues(files, OF, { image: { digest: 'sha256:new' }, preStopSeconds: 0 })
  assert.equal(Object.keys(changed), PATHS)
  assert.equal(parse(changed[PATHS[0] ?? ''] ?? ''), { image: { digest: 'sha256:new' }, preStopSeconds: 0 })
  const [first, second] = parse(changed[PATHS[1] ?? ''] ?? '').spec.sources
  assert.equal(first.helm, { releaseName: 'service', valuesObject: { faults: 'on', image: { digest: 'sha256:new' }, preStopSeconds: 0 } })
  assert.is(first.path, 'chart')
  assert.equal(second, { path: 'other' })
})

test('valuesFiles() gives both files as they stand, and null for one that is not there', () => {
  assert.equal(valuesFiles(files, OF), { [PATHS[0] ?? '']: files.get(PATHS[0] ?? ''), [PATHS[1] ?? '']: files.get(PATHS[1] ?? '') })
  assert.equal(valuesFiles(new Map(), OF), { [PATHS[0] ?? '']: null, [PATHS[1] ?? '']: null })
})

test('the values of another environment are in files of their own, with its own Application', () => {
  const path = 'applications/application.argocd.service-staging.yaml'
  const of = { part: 'service', environment: 'staging' } as const
  const others = new Map([[path, files.get(PATHS[1] ?? '') ?? '']])
  assert.equal(valuesFiles(others, of), { 'environments/staging/service.yaml': null, [path]: others.get(path) })
  assert.equal(Object.keys(withValues(others, of, { replicas: 3 })), ['environments/staging/service.yaml', path])
})

test('valuesOfChart() gives what the chart gets, and nothing where there is no Application', () => {
  assert.equal(valuesOfChart(files, OF), helm.valuesObject)
  assert.equal(valuesOfChart(new Map(), OF), {})
})

test('versionOf() is how the service names the version of a digest', () => {
  assert.is(versionOf(`docker.io/holdfast/service@sha256:${'0123456789abcdef'.repeat(4)}`), '0123456789ab')
  assert.is(versionOf('docker.io/holdfast/service:latest'), 'unknown')
})

const workload = (status: object): KubeObject => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'service', generation: 3 },
  spec: { replicas: 2 },
  status: { observedGeneration: 3, replicas: 2, readyReplicas: 2, updatedReplicas: 2, ...status },
})

test('a workload is rolled out once all of its pods are new and ready, and its controller has seen the newest template', () => {
  assert.ok(isRolledOut(workload({})))
  for (const status of [
    { observedGeneration: 2 },
    { updatedReplicas: 1 },
    { readyReplicas: 1 },
    { replicas: 3 },
    { readyReplicas: undefined },
  ])
    assert.not.ok(isRolledOut(workload(status)), JSON.stringify(status))
})

/** What the signal sees of a service whose Application, and whose root, have these states. */
async function seenOf(own: object, root = 'Synced') {
  const objects = new Map([
    ['root', { status: { sync: { status: root } } }],
    [
      'service',
      { spec: { sources }, status: { sync: { status: 'Synced', comparedTo: { sources } }, health: { status: 'Healthy' } }, ...own },
    ],
  ])
  const kube = { get: async ({ name }: ObjectRef) => objects.get(name) }
  return inSync.look({ cluster: { kube }, environment: 'dev' } as unknown as Parameters<Scenario['steady'][number]['look']>[0])
}

test('the service is in sync only as Git has it now, with nothing on the way', async () => {
  assert.equal(await seenOf({}), { ok: true, seen: 'Synced/Healthy' })
  assert.not.ok((await seenOf({}, 'OutOfSync')).ok, 'the root has a commit to bring')
  assert.not.ok((await seenOf({ spec: { sources: [{ path: 'newer' }] } })).ok, 'its status is of older values')
  assert.not.ok((await seenOf({ operation: {} })).ok, 'an operation is asked for')
  assert.is(refOfApplication('service').namespace, 'argocd')
})

test.run()
