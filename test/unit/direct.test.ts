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
