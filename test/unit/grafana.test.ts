import { rmSync, statSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parse } from 'yaml'
import { type Cluster, type Run, type StoredImage, type Target, withStored } from '#core'
import type { KubeObject } from '#kit/kube'
import { clusterDir } from '#kit/paths'
import { type Dashboard, readDashboards } from '../../alerts/dashboards.ts'
import { grafana, grafanaImage } from '../../alerts/grafana/part.ts'
import { stack } from '../../holdfast.config.ts'
import { assert, suite } from '../suite.ts'

const test = suite('grafana')

const DIGEST = `sha256:${'a'.repeat(64)}` as const
const STORED = new Map([[grafanaImage.name, { spec: grafanaImage, key: 'k', digest: DIGEST, way: 'pulled' as const }]])

/** A cluster of a name that no real one has. */
const NAME = `unit-grafana-${process.pid}`
test.after(() => rmSync(clusterDir(NAME), { recursive: true, force: true }))

async function rendered(timing: 'local' | 'production'): Promise<readonly KubeObject[]> {
  return (await grafana.rendered?.({ cluster: {}, timing: stack.timing[timing], images: STORED } as unknown as Target)) ?? []
}

async function dataOf(name: string, timing: 'local' | 'production' = 'local'): Promise<Record<string, string>> {
  return (await rendered(timing)).find(({ metadata }) => metadata.name === name)?.data ?? {}
}

test('every dashboard is provisioned, on the clock of its Prometheus', async () => {
  const known = readDashboards()
  for (const [timing, steps] of [
    ['production', ['120s', '60s']],
    ['local', ['4s', '8s']],
  ] as const) {
    const data = await dataOf('grafana-dashboards', timing)
    assert.equal(Object.keys(data), [...known.keys()])
    const targets = Object.values(data).flatMap((text) => (JSON.parse(text) as Dashboard).panels.flatMap((panel) => panel.targets))
    assert.equal([...new Set(targets.flatMap(({ interval }) => interval ?? []))].sort(), steps)
  }
})

test('the data source is the Prometheus of the stack, with the interval of its scrapes', async () => {
  for (const [timing, interval] of [
    ['production', '15s'],
    ['local', '1s'],
  ] as const) {
    const [source] = parse((await dataOf('grafana-datasources', timing))['prometheus.yaml'] ?? '').datasources
    assert.is(source.url, 'http://prometheus.monitoring.svc:9090')
    assert.is(source.jsonData.timeInterval, interval)
  }
})

test('the image is pinned, and what is mounted is there', async () => {
  const objects = await rendered('local')
  const { spec } = objects.find(({ kind }) => kind === 'Deployment')?.spec.template ?? {}
  assert.is(spec.containers[0].image, `docker.io/grafana/grafana@${DIGEST}`)
  const mounted = spec.volumes.flatMap(({ configMap }: { configMap?: { name: string } }) => configMap?.name ?? [])
  for (const name of mounted)
    assert.ok(
      objects.some(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name === name),
      name,
    )
  const provider = parse((await dataOf('grafana-providers'))['holdfast.yaml'] ?? '').providers[0]
  assert.ok(spec.containers[0].volumeMounts.some(({ mountPath }: { mountPath: string }) => mountPath === provider.options.path))
})

test('another configuration is another pod', async () => {
  const annotationOf = (objects: readonly KubeObject[]) =>
    objects.find(({ kind }) => kind === 'Deployment')?.spec.template.metadata.annotations['holdfast.dev/config']
  const [a, again, b] = await Promise.all([rendered('local'), rendered('local'), rendered('production')])
  assert.match(annotationOf(a), /^[0-9a-f]{12}$/)
  assert.is(annotationOf(a), annotationOf(again))
  assert.is.not(annotationOf(a), annotationOf(b))
})

test('the password is made once, is not in Git, and its file is for its owner only', async () => {
  let secret: KubeObject | undefined
  const applied: KubeObject[] = []
  const kube = {
    get: async () => secret,
    apply: async (object: KubeObject) => {
      applied.push(object)
      const data = { password: Buffer.from(object.stringData.password).toString('base64') }
      secret = { ...object, data }
    },
  }
  const cluster = { name: NAME, kube } as unknown as Cluster
  await grafana.prepare?.(cluster, {} as Run)
  await grafana.prepare?.(cluster, {} as Run)
  assert.is(applied.length, 1)
  const file = join(clusterDir(NAME), 'grafana-password')
  const password = (await readFile(file, 'utf8')).trim()
  assert.is(password, applied[0]?.stringData.password)
  assert.ok(password.length >= 24)
  assert.is(statSync(file).mode & 0o777, 0o600)
  assert.ok((await rendered('local')).every(({ kind }) => kind !== 'Secret'))
})

test('parts whose image cannot be pulled are left out, and no other, and it is said', () => {
  const all = stack.parts.flatMap((part) => [...part.images, ...(part.release === undefined ? [] : [part.release])])
  const had = all.filter(({ build }) => build !== undefined)
  const stored = new Map(had.map((spec) => [spec.name, { spec, key: 'k', digest: DIGEST, way: 'built' as const }]))
  const without = withStored(stack, stored)
  assert.equal(without.leftOut, [
    'Left out: kube-state-metrics; its image kube-state-metrics/kube-state-metrics can only be pulled, and no container registry answers',
    'Left out: grafana; its image grafana/grafana can only be pulled, and no container registry answers',
  ])
  assert.equal(
    stack.parts.filter((part) => !without.stack.parts.includes(part)).map(({ name }) => name),
    ['kube-state-metrics', 'grafana'],
  )
  const whole = new Map(all.map((spec): [string, StoredImage] => [spec.name, { spec, key: 'k', digest: DIGEST, way: 'pulled' }]))
  assert.equal(withStored(stack, whole).leftOut, [])
})

test.run()
