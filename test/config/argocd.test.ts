/** Argo CD as it is rendered: the core always, the web UI where its image is pulled. */
import { type Cluster, type StoredImage, selectScenarios, type Target } from '#core'
import type { KubeObject } from '#kit/kube'
import { argocd } from '../../argocd/part.ts'
import { stack } from '../../holdfast.config.ts'
import { assert, suite } from '../suite.ts'
import { createValidator } from './openapi.ts'

const test = suite('argocd')

const MODULE = { timeoutMs: 300_000 }
const DIGEST = `sha256:${'a'.repeat(64)}` as const

function target(way: StoredImage['way'], part = argocd): Target {
  const images = new Map(part.images.map((spec): [string, StoredImage] => [spec.name, { spec, key: 'k', digest: DIGEST, way }]))
  const cluster = { name: 'local', kubeconfig: '/k', address: () => 'http://127.0.0.1:1' } as unknown as Cluster
  return { cluster, environment: 'dev', timing: stack.timing.local, repoUrl: 'http://git/x.git', images }
}

const rendered = async (way: StoredImage['way']) => (await argocd.rendered?.(target(way))) ?? []
const server = (objects: readonly KubeObject[]) => objects.filter(({ metadata }) => metadata.name === 'argocd-server')

test(
  'a build from source has no web UI, and says how to see the same',
  async () => {
    assert.equal(server(await rendered('built')), [])
    const hints = argocd.hints?.(target('built')) ?? []
    assert.match(hints.join('\n'), /web UI is not in this build.*argocd app list --core/s)
  },
  MODULE,
)

test('a pulled image brings the web UI, on the node’s port, with fewer rights than upstream’s', async () => {
  const objects = server(await rendered('pulled'))
  assert.equal(objects.map(({ kind }) => kind).sort(), [
    'ClusterRole',
    'ClusterRoleBinding',
    'Deployment',
    'Role',
    'RoleBinding',
    'Service',
    'ServiceAccount',
  ])
  const find = (kind: string) => objects.find((each) => each.kind === kind)
  assert.equal(find('Service')?.spec.ports, [{ name: 'http', port: 80, protocol: 'TCP', targetPort: 8080, nodePort: 30083 }])
  const verbs: string[] = find('ClusterRole')?.rules.flatMap((rule: { verbs: string[] }) => rule.verbs)
  assert.equal([...new Set(verbs)].sort(), ['get', 'list', 'watch'])
  const [container] = find('Deployment')?.spec.template.spec.containers ?? []
  assert.is(container.image, `quay.io/argoproj/argocd@${DIGEST}`)
  assert.is(find('ClusterRoleBinding')?.subjects[0].namespace, 'argocd')
})

test('all that is rendered for a pulled image is valid, and its settings differ in the one that the UI needs', async () => {
  const [pulled, built] = [await rendered('pulled'), await rendered('built')]
  const validator = await createValidator([])
  for (const object of pulled.filter(({ kind }) => kind !== 'CustomResourceDefinition'))
    assert.equal(await validator.problemsOf(object), [], `${object.kind} ${object.metadata.name}`)
  const params = (objects: readonly KubeObject[]) => objects.find(({ metadata }) => metadata.name === 'argocd-cmd-params-cm')?.data
  assert.equal(params(pulled), { ...params(built), 'server.insecure': 'true' })
})

test(
  'its programs are looked at each second until they are ready, and then as upstream does',
  async () => {
    const objects = await rendered('built')
    const containers = objects.flatMap(({ spec }) => spec?.template?.spec.containers ?? [])
    const watched = containers.filter(({ readinessProbe }) => readinessProbe !== undefined)
    assert.equal(watched.map(({ name }) => name).sort(), ['argocd-application-controller', 'argocd-repo-server'])
    for (const { startupProbe, readinessProbe } of watched) {
      assert.equal([startupProbe.periodSeconds, readinessProbe.periodSeconds, readinessProbe.initialDelaySeconds], [1, 10, undefined])
      assert.equal(startupProbe.httpGet, readinessProbe.httpGet)
      assert.ok(startupProbe.failureThreshold >= 120)
    }
  },
  MODULE,
)

test(
  'nothing is copied for plugins that are not there; what makes the password of Redis stays',
  async () => {
    const objects = await rendered('built')
    const first = objects.flatMap(({ spec }) => spec?.template?.spec.initContainers ?? [])
    assert.equal(
      first.map(({ name }) => name),
      ['secret-init'],
    )
  },
  MODULE,
)

const upgrades = argocd.upgrades ?? assert.unreachable('it has versions')

test(
  'each version is rendered from manifests of its own, and named where its programs run',
  async () => {
    assert.equal([...(upgrades?.versions.keys() ?? [])], ['3.5.6', '3.5.7'])
    const all = [...(upgrades?.versions ?? [])]
    for (const [version, part] of all) {
      const objects = (await part.rendered?.(target('built', part))) ?? []
      const labelled = objects.filter(({ metadata }) => metadata.labels?.['app.kubernetes.io/version'] !== undefined)
      assert.equal(labelled.map(({ metadata }) => [metadata.name, metadata.labels?.['app.kubernetes.io/version']]).sort(), [
        ['argocd-application-controller', version],
        ['argocd-repo-server', version],
      ])
      const [image] = part.images
      assert.equal([image?.tag, image?.upstream?.ref], [`v${version}`, `quay.io/argoproj/argocd:v${version}`])
    }
  },
  MODULE,
)

test('what is installed is the version that is pinned, and its proofs are known', async () => {
  const pinned = upgrades?.versions.get(upgrades.pinned)
  assert.equal(pinned?.images, argocd.images)
  assert.equal(await pinned?.rendered?.(target('built')), await rendered('built'))
  assert.is(selectScenarios(stack, 'proof', { names: upgrades?.proofs ?? [] }).length, 3)
})

test('a program’s own version is read from the line of its start, as JSON and as text', () => {
  const json =
    '{"built":"1970-01-01T00:00:00Z","commit":"","level":"info","msg":"ArgoCD Repository Server is starting","port":8081,"time":"2026-11-25T21:09:41Z","version":"v3.5.6+unknown"}'
  const text =
    'time="2026-11-25T21:09:41Z" level=info msg="ArgoCD Application Controller is starting" built="1970-01-01T00:00:00Z" commit= namespace=argocd version=v3.5.7+2d9f9ba'
  assert.equal(
    [json, text, '{"level":"info","msg":"Loading Redis credentials","version":"v1"}', ''].map((line) => upgrades?.says(line)),
    ['3.5.6', '3.5.7', undefined, undefined],
  )
})

test.run()
