import { parse } from 'yaml'
import {
  application,
  applicationNames,
  type Cluster,
  composeDeploy,
  digestIn,
  ENVIRONMENTS,
  environmentBefore,
  filesWithDigest,
  filesWithPart,
  moveDigest,
  nameIn,
  type Part,
  parseEnvironment,
  renderObjects,
  type Stack,
  type StoredImage,
  type Target,
  toYaml,
} from '#core'
import { assert, suite } from '../suite.ts'

const test = suite('gitops')

const image: StoredImage = { spec: { name: 'app', tag: '1', build: { context: '.' } }, key: 'k1', digest: 'sha256:aa', way: 'built' }
const part: Part = {
  name: 'demo',
  namespaces: [{ name: 'dev', podSecurity: 'restricted', quota: { pods: '3' } }],
  images: [],
  release: image.spec,
  rendered: async () => [{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'c', namespace: 'dev' }, data: { save: 'no' } }],
  applications: ({ environment }, values) => [
    application({ name: nameIn(environment, 'demo'), namespace: environment, sources: [{ values }] }),
  ],
  scenarios: [],
}
const stack = { name: 's', parts: [part] } as unknown as Stack
const target: Target = {
  cluster: {} as Cluster,
  environment: 'dev',
  timing: {} as Target['timing'],
  repoUrl: 'http://git/x.git',
  images: new Map([['app', image]]),
}

/** The files of `deploy` after one composition over `before`. */
async function composed(before: Record<string, string> = {}): Promise<Map<string, string>> {
  const files = new Map(Object.entries(before))
  composeDeploy(files, stack, { target, rendered: await renderObjects(stack, target) })
  return files
}

test('composeDeploy() gives a file per object, and Applications for parts and namespaces', async () => {
  const files = await composed()
  assert.equal([...files.keys()].toSorted(), [
    'applications/application.argocd.demo.yaml',
    'applications/application.argocd.namespaces.yaml',
    'applications/appproject.argocd.platform.yaml',
    'rendered/demo/configmap.dev.c.yaml',
    'rendered/namespaces/namespace.dev.yaml',
    'rendered/namespaces/resourcequota.dev.quota.yaml',
  ])
  assert.equal(applicationNames(files), ['demo', 'namespaces'])
})

test('the platform project allows the kinds that are rendered and no other', async () => {
  const project = parse((await composed()).get('applications/appproject.argocd.platform.yaml') ?? '')
  assert.equal(project.spec.clusterResourceWhitelist, [{ group: '', kind: 'Namespace' }])
  assert.equal(project.spec.namespaceResourceWhitelist, [
    { group: '', kind: 'ConfigMap' },
    { group: '', kind: 'ResourceQuota' },
  ])
  assert.equal(project.spec.sourceRepos, ['http://git/x.git'])
})

test('a namespace carries its pod-security level', async () => {
  const namespace = parse((await composed()).get('rendered/namespaces/namespace.dev.yaml') ?? '')
  assert.is(namespace.metadata.labels['pod-security.kubernetes.io/enforce'], 'restricted')
})

test('a string that YAML 1.1 takes for a boolean stays a string for Argo CD', async () => {
  assert.match((await composed()).get('rendered/demo/configmap.dev.c.yaml') ?? '', /save: ["']no["']/)
})

test('composeDeploy() removes what is no longer rendered and leaves environments alone', async () => {
  const files = await composed({ 'applications/old.yaml': 'x', 'rendered/gone/old.yaml': 'x', 'environments/dev/other.yaml': 'keep' })
  assert.is(files.get('environments/dev/other.yaml'), 'keep')
  assert.not.ok(files.has('applications/old.yaml'))
  assert.not.ok(files.has('rendered/gone/old.yaml'))
})

test('an Application gets the values of its part in its environment', async () => {
  const files = await composed({ 'environments/dev/demo.yaml': 'image:\n  digest: sha256:cc\n' })
  const { spec } = parse(files.get('applications/application.argocd.demo.yaml') ?? '')
  assert.equal(spec.sources, [{ values: { image: { digest: 'sha256:cc' } } }])
})

test('an environment has its Application once it has a digest, and no other before', async () => {
  assert.equal(applicationNames(await composed({ 'environments/staging/other.yaml': 'image: { digest: sha256:dd }' })), [
    'demo',
    'namespaces',
  ])
  const files = await composed({
    'environments/prod/demo.yaml': 'image:\n  digest: sha256:dd\n',
    'environments/staging/demo.yaml': 'replicas: 3\n',
  })
  assert.equal(applicationNames(files), ['demo', 'namespaces', 'demo-prod'])
  const { spec } = parse(files.get('applications/application.argocd.demo-prod.yaml') ?? '')
  assert.is(spec.destination.namespace, 'prod')
  assert.equal(spec.sources, [{ values: { image: { digest: 'sha256:dd' } } }])
})

test('what was promoted stays as it is, whatever the stack renders now', async () => {
  const path = 'applications/application.argocd.demo-staging.yaml'
  const files = await composed({ 'environments/staging/demo.yaml': 'image:\n  digest: sha256:dd\n', [path]: 'kept: true\n' })
  assert.is(files.get(path), 'kept: true\n')
})

test('in a cluster of its own an environment follows promotions as well: what the working tree holds does not come to it', async () => {
  const there = { ...target, environment: 'staging' as const }
  const compose = async (before: Record<string, string>) => {
    const files = new Map(Object.entries(before))
    composeDeploy(files, stack, { target: there, rendered: await renderObjects(stack, there) })
    return files
  }
  assert.equal(applicationNames(await compose({ 'environments/staging/demo.yaml': 'replicas: 3\n' })), ['namespaces'])
  const path = 'applications/application.argocd.demo-staging.yaml'
  const files = await compose({ 'environments/staging/demo.yaml': 'image:\n  digest: sha256:dd\n', [path]: 'kept: true\n' })
  assert.is(files.get(path), 'kept: true\n')
})

test('filesWithDigest() gives the values and the Application of one environment, and keeps other values', () => {
  const before = new Map([['environments/staging/demo.yaml', 'replicas: 4\nimage:\n  digest: sha256:old\n']])
  const files = filesWithDigest(before, part, { target: { ...target, environment: 'staging' }, digest: 'sha256:new' })
  assert.equal(Object.keys(files), ['environments/staging/demo.yaml', 'applications/application.argocd.demo-staging.yaml'])
  const values = { replicas: 4, image: { digest: 'sha256:new' } }
  assert.equal(parse(files['environments/staging/demo.yaml'] ?? ''), values)
  assert.equal(parse(files['applications/application.argocd.demo-staging.yaml'] ?? '').spec.sources, [{ values }])
  assert.is(digestIn(new Map(Object.entries(files)), { part: 'demo', environment: 'staging' }), 'sha256:new')
  assert.is(digestIn(new Map([['environments/dev/demo.yaml', '']]), { part: 'demo', environment: 'dev' }), undefined)
})

test('filesWithPart() gives what changes of one part, and its project comes to allow what is new', async () => {
  const path = 'applications/appproject.argocd.platform.yaml'
  const before = await composed({ 'environments/dev/demo.yaml': 'replicas: 4\n' })
  before.set('rendered/demo/secret.dev.old.yaml', 'kind: Secret\n').set('rendered/other/secret.dev.x.yaml', 'kind: Secret\n')
  assert.equal(await filesWithPart(before, { ...part, name: 'nothing', rendered: async () => [], applications: () => [] }, target), {})
  const role = { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'Role', metadata: { name: 'r', namespace: 'elsewhere' } }
  const files = await filesWithPart(before, { ...part, rendered: async () => [role] }, target)
  assert.equal(Object.keys(files).toSorted(), [
    path,
    'rendered/demo/configmap.dev.c.yaml',
    'rendered/demo/role.elsewhere.r.yaml',
    'rendered/demo/secret.dev.old.yaml',
  ])
  assert.equal([files['rendered/demo/configmap.dev.c.yaml'], files['rendered/demo/secret.dev.old.yaml']], [null, null])
  const { spec } = parse(files[path] ?? '')
  const kinds = spec.namespaceResourceWhitelist.map(({ kind }: { kind: string }) => kind)
  assert.equal(kinds, ['ConfigMap', 'ResourceQuota', 'Role'], 'what it allowed, it allows on')
  assert.equal(spec.destinations.map(({ namespace }: { namespace: string }) => namespace).toSorted(), ['argocd', 'dev', 'elsewhere'])
  assert.equal(spec.sourceRepos, ['http://git/x.git'])
})

test('environments are in an order, and an unknown one is answered with the nearest', () => {
  assert.equal(ENVIRONMENTS.map(environmentBefore), [undefined, 'dev', 'staging'])
  assert.is(parseEnvironment('prod', 'x'), 'prod')
  assert.throws(
    () => parseEnvironment('stagin', "Cannot roll 'stagin' back"),
    (error: Error) =>
      error.message === "Cannot roll 'stagin' back: there is no environment 'stagin'. Did you mean 'staging'? Known: dev, staging, prod",
  )
})

test('moveDigest() moves when the inputs changed since the last deploy', () => {
  const files = new Map<string, string>()
  assert.is(moveDigest(files, part, { environment: 'dev', image }), true)
  assert.equal(parse(files.get('environments/dev/demo.yaml') ?? ''), { image: { digest: 'sha256:aa' } })
})

test('moveDigest() writes values as all else in deploy is written: a word that Helm takes for true stays a word', () => {
  const files = new Map([['environments/dev/demo.yaml', toYaml({ word: 'yes' })]])
  moveDigest(files, part, { environment: 'dev', image })
  assert.is(files.get('environments/dev/demo.yaml'), 'word: "yes"\nimage:\n  digest: sha256:aa\n')
})

test('moveDigest() leaves a rollback alone until the inputs change, and keeps other values', () => {
  const files = new Map<string, string>()
  moveDigest(files, part, { environment: 'dev', image })
  files.set('environments/dev/demo.yaml', 'replicas: 4\nimage:\n  digest: sha256:rolledback\n')
  assert.is(moveDigest(files, part, { environment: 'dev', image }), false)
  assert.match(files.get('environments/dev/demo.yaml') ?? '', /rolledback/)
  moveDigest(files, part, { environment: 'dev', image: { ...image, key: 'k2', digest: 'sha256:bb' } })
  assert.equal(parse(files.get('environments/dev/demo.yaml') ?? ''), { replicas: 4, image: { digest: 'sha256:bb' } })
})

test.run()
