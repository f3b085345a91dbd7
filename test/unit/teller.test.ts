/** In which order Argo CD is told of a commit: what carries a change waits behind nothing. */
import type { Kube, KubeObject, ObjectRef } from '#kit/kube'
import { createTeller } from '../../scripts/core/install.ts'
import { assert, suite } from '../suite.ts'

const test = suite('teller')

const WANTED = { deploy: 'new', pushedAtMs: 0 }

/** As Argo CD has it after it compared it with a commit. */
function applicationAt(name: string, revision: string, sync = 'Synced'): KubeObject {
  const source = { repoURL: 'http://git/platform', targetRevision: 'deploy', path: name }
  const status = { sync: { status: sync, revision, comparedTo: { source } } }
  return { apiVersion: 'argoproj.io/v1alpha1', kind: 'Application', metadata: { name, namespace: 'argocd' }, spec: { source }, status }
}

/** @returns who was told at each look, in the order of the looks. */
async function tell(...looks: readonly (readonly KubeObject[])[]): Promise<string[][]> {
  let told: string[] = []
  const mergePatch = async ({ name }: ObjectRef) => void told.push(name)
  const teller = createTeller({ mergePatch } as unknown as Kube, WANTED)
  const all: string[][] = []
  for (const look of looks) {
    told = []
    await teller(look)
    all.push(told)
  }
  return all
}

const [OLD, NEW] = ['old', 'new']

test('the root and the service are told first, the others once both are synced', async () => {
  const before = [applicationAt('root', OLD), applicationAt('monitoring', OLD), applicationAt('service', OLD)]
  const between = [applicationAt('root', NEW), applicationAt('monitoring', OLD), applicationAt('service', NEW, 'OutOfSync')]
  const after = [applicationAt('root', NEW), applicationAt('monitoring', OLD), applicationAt('service', NEW)]
  assert.equal(await tell(before, between, after), [['root', 'service'], [], ['monitoring']])
})

test('who was told is not told again at the next look, and who has compared is not told at all', async () => {
  const look = [applicationAt('root', OLD), applicationAt('service', NEW)]
  assert.equal(await tell(look, look), [['root'], []])
})

test('where there is no service yet, the root alone is waited for', async () => {
  assert.equal(await tell([applicationAt('root', NEW), applicationAt('monitoring', OLD)]), [['monitoring']])
})

test.run()
