/** Argo Rollouts as the stack installs it: what of upstream's manifest stays, with which rights, and in which pod. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parse } from 'yaml'
import { composeDeploy, readManifest, renderObjects, type Stack, type StoredImage, type Target } from '#core'
import type { KubeObject } from '#kit/kube'
import { root } from '#kit/paths'
import { rollouts } from '../../argocd/rollouts/part.ts'
import { assert, suite } from '../suite.ts'

const test = suite('rollouts')

const DIGEST = `sha256:${'a'.repeat(64)}` as const
const images = new Map(rollouts.images.map((spec): [string, StoredImage] => [spec.name, { spec, key: 'k', digest: DIGEST, way: 'built' }]))
const target = { cluster: {}, environment: 'dev', repoUrl: 'http://git/x.git', images } as unknown as Target
const objects = (await rollouts.rendered?.(target)) ?? []

function ofKind(kind: string): readonly KubeObject[] {
  return objects.filter((each) => each.kind === kind)
}

function theOne(kind: string): KubeObject {
  const [object, ...others] = ofKind(kind)
  if (object === undefined || others.length > 0) throw new Error(`${others.length + 1} objects of kind ${kind}`)
  return object
}

interface Rule {
  readonly apiGroups: readonly string[]
  readonly resources: readonly string[]
}

const resourcesOf = ({ rules }: KubeObject) => (rules as readonly Rule[]).flatMap(({ resources }) => resources)

test('all of its kinds are defined, without their descriptions', () => {
  assert.equal(
    ofKind('CustomResourceDefinition')
      .map(({ spec }) => spec.names.kind)
      .toSorted(),
    ['AnalysisRun', 'AnalysisTemplate', 'ClusterAnalysisTemplate', 'Experiment', 'Rollout'],
  )
  const text = JSON.stringify(ofKind('CustomResourceDefinition'))
  assert.not.match(text, /"description":"/)
  assert.ok(text.length < 350_000, `${text.length} characters`)
})

test('everything else is one controller in its own namespace, with no Secret and no role for people', () => {
  const kinds = objects.map(({ kind }) => kind).filter((kind) => kind !== 'CustomResourceDefinition')
  assert.equal(kinds.toSorted(), [
    'ClusterRole',
    'ClusterRoleBinding',
    'ConfigMap',
    'Deployment',
    'Role',
    'RoleBinding',
    'Service',
    'ServiceAccount',
  ])
  for (const { kind, metadata } of objects)
    assert.is(metadata.namespace, /^(ClusterRole|CustomResource)/.test(kind) ? undefined : 'argo-rollouts', `${kind} ${metadata.name}`)
})

test('it reads Secrets and settings of no other namespace, and has no rights for routers that are not here', () => {
  assert.equal(resourcesOf(theOne('Role')).toSorted(), ['configmaps', 'leases', 'secrets'])
  const everywhere = resourcesOf(theOne('ClusterRole'))
  for (const resource of ['secrets', 'configmaps', 'leases', 'virtualservices', 'targetgroupbindings', 'traefikservices', 'mappings'])
    assert.not.ok(everywhere.includes(resource), resource)
  for (const resource of [
    'rollouts',
    'rollouts/status',
    'analysisruns',
    'analysistemplates',
    'replicasets',
    'deployments',
    'services',
    'ingresses',
    'jobs',
  ])
    assert.ok(everywhere.includes(resource), resource)
})

test('both bindings are of its account, each to the role of its scope', () => {
  const account = [{ kind: 'ServiceAccount', name: 'argo-rollouts', namespace: 'argo-rollouts' }]
  for (const [kind, role] of [
    ['ClusterRoleBinding', 'ClusterRole'],
    ['RoleBinding', 'Role'],
  ] as const) {
    assert.equal(theOne(kind).subjects, account)
    assert.is(theOne(kind).roleRef.kind, role)
    assert.is(theOne(kind).roleRef.name, theOne(role).metadata.name)
  }
})

test('its pod is no root, cannot become it, and fits into the quota of its namespace, also while another one takes its place', () => {
  const { spec } = theOne('Deployment').spec.template
  const [container, ...others] = spec.containers
  assert.is(others.length, 0)
  assert.is(container.image, `quay.io/argoproj/argo-rollouts@${DIGEST}`)
  assert.equal([spec.securityContext.runAsNonRoot, spec.securityContext.runAsUser], [true, 999])
  assert.equal(container.securityContext, {
    allowPrivilegeEscalation: false,
    capabilities: { drop: ['ALL'] },
    readOnlyRootFilesystem: true,
    seccompProfile: { type: 'RuntimeDefault' },
  })
  const [space] = rollouts.namespaces
  assert.is(space?.podSecurity, 'restricted')
  assert.ok(2 * Number.parseInt(container.resources.limits.memory, 10) <= Number.parseInt(space?.quota['limits.memory'] ?? '', 10) * 1024)
})

test('its image is no root by itself, and holds one program', async () => {
  const text = await readFile(join(root, 'argocd/rollouts/image/Dockerfile'), 'utf8')
  assert.match(text, /^FROM scratch$/m)
  assert.match(text, /^USER 999:999$/m)
})

test('Prometheus finds its metrics by their Service', async () => {
  const monitor = (await readManifest('alerts/prometheus/monitors.yaml')).find(({ metadata }) => metadata.name === 'argo-rollouts')
  const { metadata, spec } = theOne('Service')
  assert.equal(monitor?.spec.namespaceSelector, { matchNames: [metadata.namespace] })
  for (const [name, value] of Object.entries(monitor?.spec.selector.matchLabels ?? { none: '' })) assert.is(metadata.labels?.[name], value)
  assert.ok(spec.ports.some(({ name }: { name: string }) => name === monitor?.spec.endpoints[0].port))
})

test('the platform’s project allows what it is made of', async () => {
  const stack = { name: 's', parts: [rollouts] } as unknown as Stack
  const files = new Map<string, string>()
  composeDeploy(files, stack, { target, rendered: await renderObjects(stack, target) })
  const { spec } = parse(files.get('applications/appproject.argocd.platform.yaml') ?? '')
  const allowed = [...spec.clusterResourceWhitelist, ...spec.namespaceResourceWhitelist].map(({ kind }: { kind: string }) => kind)
  for (const { kind } of objects) assert.ok(allowed.includes(kind), kind)
  assert.equal(parse(files.get('applications/application.argocd.rollouts.yaml') ?? '').spec.sources[0].path, 'rendered/rollouts')
})

test.run()
