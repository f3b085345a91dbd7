/** What comes first when a stack is installed: the hold on the cluster, before anything that could heal beside what another run breaks. */
import { PassThrough } from 'node:stream'
import { type Cluster, install, type Part, type Stack } from '#core'
import { UserError } from '#kit/errors'
import type { Kube, KubeObject, ObjectRef } from '#kit/kube'
import { createProgress } from '#kit/progress'
import { stack } from '../../holdfast.config.ts'
import { assert, suite } from '../suite.ts'

const test = suite('install')

/** Installs on a cluster that has these objects; ends where a part is prepared. @returns what was changed, and the error that ended it. */
async function installOn(objects: readonly KubeObject[], signal: AbortSignal): Promise<{ changes: string[]; error: Error }> {
  const changes: string[] = []
  const noted =
    (verb: string) =>
    async (object: KubeObject): Promise<KubeObject> => {
      changes.push(`${verb} ${object.kind} ${object.metadata.name}`)
      return object
    }
  const kube = {
    get: async ({ kind, name }: ObjectRef) => objects.find((each) => each.kind === kind && each.metadata.name === name),
    list: async () => [],
    apply: noted('apply'),
    create: noted('create'),
    deleteUnchanged: noted('delete'),
  } as unknown as Kube
  const prepare = async () => {
    changes.push('prepare')
    throw new Error('that is enough')
  }
  const part: Part = { name: 'one', namespaces: [], images: [], prepare, applications: () => [], scenarios: [] }
  const request = {
    cluster: { name: 'fake', kind: 'k3s', timing: 'local', kube } as unknown as Cluster,
    stored: new Map(),
    progress: createProgress(new PassThrough() as unknown as NodeJS.WriteStream),
    signal,
  }
  const error = await assert.rejects(install({ ...stack, parts: [part] } as Stack, request), /./)
  return { changes, error }
}

const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'holdfast' } }
const leaseOf = (holderIdentity: string): KubeObject => ({
  apiVersion: 'coordination.k8s.io/v1',
  kind: 'Lease',
  metadata: { name: 'runner', namespace: 'holdfast', resourceVersion: '1' },
  spec: { holderIdentity, renewTime: new Date().toISOString() },
})

test('beside a run it is refused, and has changed nothing', async ({ signal }) => {
  const { changes, error } = await installOn([namespace, leaseOf('elsewhere/1/a')], signal)
  assert.is(error.message, "Cannot start a run: 'elsewhere/1/a' is running on this cluster. Wait for it to end")
  assert.instance(error, UserError)
  assert.equal(changes, [])
})

test('the namespace of the hold is all that comes before it, where it is not there', async ({ signal }) => {
  assert.equal((await installOn([namespace], signal)).changes, ['create Lease runner', 'prepare', 'delete Lease runner'])
  const { changes, error } = await installOn([], signal)
  assert.equal(changes, ['apply Namespace holdfast', 'create Lease runner', 'prepare', 'delete Lease runner'])
  assert.is(error.message, 'that is enough')
})

test.run()
