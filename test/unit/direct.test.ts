/** What is applied directly while Argo CD starts: as Argo CD would, and as far as it goes. */
import { applyEarly, waitForKinds } from '#core'
import { Failure } from '#kit/errors'
import { type Kube, KubeError, type KubeObject } from '#kit/kube'
import { assert, suite } from '../suite.ts'

const test = suite('direct')

const object = (name: string): KubeObject => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } })

/** @param errors by the name of the object whose application they end */
function kubeWith(errors: Readonly<Record<string, Error>>): { kube: Kube; applied: string[] } {
  const applied: string[] = []
  const kube = {
    async apply({ metadata }: KubeObject, manager: string) {
      const error = errors[metadata.name]
      if (error !== undefined) throw error
      applied.push(`${metadata.name} by ${manager}`)
    },
  } as unknown as Kube
  return { kube, applied }
}

test('applyEarly() applies in the name of Argo CD, which so can take away later what is set now', async () => {
  const { kube, applied } = kubeWith({})
  await applyEarly(kube, [object('a')])
  assert.equal(applied, ['a by argocd-controller'])
})

test('applyEarly() leaves what is refused to Argo CD, and applies the rest', async () => {
  const { kube, applied } = kubeWith({ b: new KubeError('find the resource of Prometheus', 404, 'no such kind') })
  await applyEarly(kube, ['a', 'b', 'c'].map(object))
  assert.equal(applied, ['a by argocd-controller', 'c by argocd-controller'])
})

test('applyEarly() does not hide that nobody answers', async () => {
  const { kube } = kubeWith({ b: new Failure({ what: 'Cannot reach the API server', why: 'connection refused' }) })
  await assert.rejects(applyEarly(kube, ['a', 'b'].map(object)), /connection refused/)
})

const published: KubeObject = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'git' }, spec: { type: 'NodePort' } }

/** @param found the Service as it is there */
function kubeWithService(found: KubeObject | undefined): { kube: Kube; calls: string[] } {
  const calls: string[] = []
  const managedFields = [...(found === undefined ? ['Update'] : []), 'Apply'].map((operation) => ({
    manager: 'argocd-controller',
    operation,
  }))
  const kube = {
    get: async () => found,
    create: async (_: KubeObject, manager: string) => void calls.push(`create by ${manager}`),
    async apply(object: KubeObject, manager: string) {
      calls.push(`apply by ${manager}`)
      return { ...object, metadata: { ...object.metadata, managedFields } }
    },
    mergePatch: async (_: unknown, patch: object) => void calls.push(JSON.stringify(patch)),
  } as unknown as Kube
  return { kube, calls }
}

test('a Service with a port of the nodes is created first, and then owned as by an apply alone', async () => {
  const { kube, calls } = kubeWithService(undefined)
  await applyEarly(kube, [published])
  const owned = '{"metadata":{"managedFields":[{"manager":"argocd-controller","operation":"Apply"}]}}'
  assert.equal(calls, ['create by argocd-controller', 'apply by argocd-controller', owned])
})

test('one that is there is applied', async () => {
  const { kube, calls } = kubeWithService(published)
  await applyEarly(kube, [published])
  assert.equal(calls, ['apply by argocd-controller'])
})

test('waitForKinds() waits until the last definition is established', async () => {
  const names = ['prometheuses', 'probes']
  let looks = 0
  const kube = {
    async get({ name }: { readonly name: string }) {
      looks++
      const status = name === 'probes' && looks < 5 ? 'False' : 'True'
      return {
        metadata: { name },
        status: {
          conditions: [
            { type: 'NamesAccepted', status: 'True' },
            { type: 'Established', status },
          ],
        },
      }
    },
  } as unknown as Kube
  await waitForKinds(kube, names.map(object), new AbortController().signal)
  assert.is(looks, 6)
})

test.run()
