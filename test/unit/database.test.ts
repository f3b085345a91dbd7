/** The database's part: what it renders, and its one password in two Secrets. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Cluster, StoredImage, Target } from '#core'
import type { Kube, KubeObject, ObjectRef } from '#kit/kube'
import { root } from '#kit/paths'
import { stack } from '../../holdfast.config.ts'
import { database } from '../../local/database/part.ts'
import { preparePassword } from '../../local/database/password.ts'
import { assert, suite } from '../suite.ts'

const test = suite('database')

const DIGEST = `sha256:${'a'.repeat(64)}` as const
const images = new Map(database.images.map((spec): [string, StoredImage] => [spec.name, { spec, key: 'k', digest: DIGEST, way: 'built' }]))
const target: Target = {
  cluster: { name: 'local' } as Cluster,
  environment: 'dev',
  timing: stack.timing.local,
  repoUrl: 'http://git/x.git',
  images,
}
const objects = (await database.rendered?.(target)) ?? []

function theOne(kind: string): KubeObject {
  const [object, ...others] = objects.filter((each) => each.kind === kind)
  if (object === undefined || others.length > 0) throw new Error(`${others.length + 1} objects of kind ${kind}`)
  return object
}

test('what Git holds names no other namespace, no Secret, and its image by digest', () => {
  const kinds = ['ServiceAccount', 'StatefulSet', 'Service', 'NetworkPolicy', 'ConfigMap']
  assert.equal(
    objects.map(({ kind }) => kind),
    kinds,
  )
  for (const { metadata } of objects) assert.is(metadata.namespace, 'database')
  const [container] = theOne('StatefulSet').spec.template.spec.containers
  assert.is(container.image, `docker.io/library/postgres@${DIGEST}`)
  assert.equal(
    database.applications(target, {}).map(({ spec }) => spec.sources[0].path),
    ['rendered/database'],
  )
})

test('its pod is no root, cannot become it, and writes nothing but its volumes', () => {
  const { spec } = theOne('StatefulSet').spec.template
  assert.is(spec.automountServiceAccountToken, false)
  assert.is(spec.securityContext.runAsNonRoot, true)
  assert.is(spec.securityContext.runAsUser, 999)
  assert.equal(spec.containers[0].securityContext, {
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'] },
  })
  const writable = spec.containers[0].volumeMounts.filter(({ readOnly }: { readOnly?: boolean }) => !readOnly)
  assert.equal(
    writable.map(({ mountPath }: { mountPath: string }) => mountPath),
    ['/var/lib/postgresql/data', '/var/run/postgresql', '/tmp'],
  )
})

test('a claim is written as the API server gives it back', () => {
  const [claim] = theOne('StatefulSet').spec.volumeClaimTemplates
  assert.is(`${claim.apiVersion} ${claim.kind} ${claim.spec.volumeMode}`, 'v1 PersistentVolumeClaim Filesystem')
})

test('only the service comes in, by one port, and nothing goes out', () => {
  const { policyTypes, ingress, egress } = theOne('NetworkPolicy').spec
  assert.equal(policyTypes, ['Ingress', 'Egress'])
  assert.is(egress, undefined)
  assert.is(ingress.length, 1)
  assert.equal(ingress[0].from[0].podSelector, { matchLabels: { 'app.kubernetes.io/name': 'service' } })
  assert.equal(ingress[0].from[0].namespaceSelector.matchExpressions[0].values, ['dev', 'staging', 'prod'])
})

test('the superuser has no way in from the network, and other settings make another pod', async () => {
  const { data } = theOne('ConfigMap')
  const rules = data['pg_hba.conf'].split('\n').filter((line: string) => /^\w/.test(line))
  assert.equal(rules, ['local all postgres peer', 'host service service all scram-sha-256'])
  assert.match(theOne('StatefulSet').spec.template.metadata.annotations['holdfast.dev/settings'], /^[0-9a-f]{12}$/)
})

test('its image ends sessions at its stop, and is no root by itself', async () => {
  const text = await readFile(join(root, 'local/database/image/Dockerfile'), 'utf8')
  assert.match(text, /^USER 999:999$/m)
  assert.match(text, /^STOPSIGNAL SIGINT$/m)
})

test('preparePassword() makes both Secrets at once, and leaves them at the next run', async () => {
  const { kube, secrets, calls } = fakeCluster()
  const said = await prepare(kube)
  const password = secrets.get('database/database')?.password ?? ''
  assert.match(password, /^[\w-]{43}$/)
  assert.is(secrets.get('dev/service-database')?.url, `postgres://service:${password}@database.database.svc.cluster.local:5432/service`)
  assert.equal(calls, ['apply database', 'apply service-database', 'delete database-0'])
  await prepare(kube)
  assert.equal(calls.slice(3), [])
  assert.equal(said, [])
})

test('preparePassword() makes one Secret from the other, without a new password', async () => {
  for (const lost of ['database/database', 'dev/service-database']) {
    const { kube, secrets, calls } = fakeCluster()
    await prepare(kube)
    const before = structuredClone(secrets)
    secrets.delete(lost)
    calls.length = 0
    await prepare(kube)
    assert.equal(secrets, before)
    assert.equal(calls, [`apply ${lost.split('/')[1]}`])
  }
})

test('preparePassword() lets the server win where both differ', async () => {
  const { kube, secrets } = fakeCluster()
  await prepare(kube)
  const before = structuredClone(secrets)
  secrets.set('dev/service-database', { url: 'postgres://someone@elsewhere/else' })
  await prepare(kube)
  assert.equal(secrets, before)
})

test('preparePassword() gives a running server a new password by a new pod, and says what to restart', async () => {
  const { kube, secrets, calls } = fakeCluster({ hasPod: true })
  secrets.set('dev/service-database', { url: 'postgres://someone:else@elsewhere/else' })
  const said = await prepare(kube)
  assert.equal(calls, ['apply database', 'apply service-database', 'delete database-0'])
  assert.is(said.length, 1)
  assert.match(said[0] ?? '', 'kubectl -n dev rollout restart deployment/service')
  assert.not.ok(said[0]?.includes(secrets.get('database/database')?.password ?? ''))
})

async function prepare(kube: Kube): Promise<string[]> {
  const said: string[] = []
  await preparePassword({ kube }, { progress: { say: (line: string) => said.push(line) } as never })
  return said
}

function fakeCluster({ hasPod = false } = {}) {
  const secrets = new Map<string, Record<string, string>>()
  const calls: string[] = []
  const kube = {
    async get({ namespace, name }: ObjectRef) {
      const found = secrets.get(`${namespace}/${name}`)
      if (found === undefined) return undefined
      return { data: Object.fromEntries(Object.entries(found).map(([key, value]) => [key, Buffer.from(value).toString('base64')])) }
    },
    async apply({ metadata, stringData }: KubeObject) {
      calls.push(`apply ${metadata.name}`)
      secrets.set(`${metadata.namespace}/${metadata.name}`, stringData)
    },
    async delete({ name }: ObjectRef) {
      calls.push(`delete ${name}`)
      return hasPod
    },
  } as unknown as Kube
  return { kube, secrets, calls }
}

test.run()
