/** Grafana, where its image can be pulled: one data source, and the dashboards of this repository. */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { application, type Cluster, type ImageSpec, type Part, readManifest, renderedSource, type TimingProfile, withDigests } from '#core'
import { sped } from '#kit/duration'
import { writePrivate } from '#kit/files'
import { keyOf } from '#kit/hash'
import type { KubeObject } from '#kit/kube'
import { clusterDir } from '#kit/paths'
import { readDashboards, retimeDashboard } from '../dashboards.ts'
import { PRODUCTION } from '../retime.ts'

const NAME = 'grafana'
const VERSION = '12.3.1'
const PASSWORD_BYTES = 18
const ADMIN = { apiVersion: 'v1', kind: 'Secret', name: 'grafana-admin', namespace: NAME }

/** Without a way to build it: nothing that can be had without a container registry makes a Grafana. */
export const grafanaImage: ImageSpec = {
  name: 'grafana/grafana',
  tag: VERSION,
  upstream: {
    ref: `docker.io/grafana/grafana:${VERSION}`,
    digest: 'sha256:2175aaa91c96733d86d31cf270d5310b278654b03f5718c59de12a865380a31f',
  },
}

export const grafana: Part = {
  name: NAME,
  namespaces: [{ name: NAME, podSecurity: 'restricted', quota: { pods: '3', 'limits.memory': '2Gi' } }],
  images: [grafanaImage],
  prepare,
  rendered: async (target) => {
    const config = configMaps(target.timing)
    const objects = await readManifest('alerts/grafana/manifest.yaml')
    return [...objects.map((object) => restartedBy(withDigests(object, target), config)), ...config]
  },
  applications: (target) => [application({ name: NAME, namespace: NAME, sources: [renderedSource(NAME, target)] })],
  hints: ({ cluster }) => [
    `Grafana: kubectl --kubeconfig ${cluster.kubeconfig} -n ${NAME} port-forward svc/${NAME} 3000:80, then http://127.0.0.1:3000 as admin, password in ${passwordFile(cluster)}`,
  ],
  scenarios: [],
}

/** Makes the password once; whoever has this clone can read it. */
async function prepare(cluster: Cluster): Promise<void> {
  const { kube } = cluster
  const known = (await kube.get(ADMIN))?.data?.password
  const password = known === undefined ? randomBytes(PASSWORD_BYTES).toString('base64url') : Buffer.from(known, 'base64').toString()
  const { apiVersion, kind, name, namespace } = ADMIN
  if (known === undefined) await kube.apply({ apiVersion, kind, metadata: { name, namespace }, stringData: { password } })
  await writePrivate(passwordFile(cluster), `${password}\n`)
}

function passwordFile({ name }: Cluster): string {
  return join(clusterDir(name), 'grafana-password')
}

function configMaps({ speedup }: TimingProfile): KubeObject[] {
  const dashboards = [...readDashboards()].map(([file, dashboard]) => [file, JSON.stringify(retimeDashboard(dashboard, speedup))])
  return [
    configMap('datasources', { 'prometheus.yaml': stringify(dataSources(speedup)) }),
    configMap('providers', { 'holdfast.yaml': stringify(PROVIDERS) }),
    configMap('dashboards', Object.fromEntries(dashboards)),
  ]
}

function configMap(name: string, data: Readonly<Record<string, string>>): KubeObject {
  const metadata = { name: `${NAME}-${name}`, namespace: NAME, labels: { 'app.kubernetes.io/part-of': 'holdfast' } }
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata, data }
}

/** The interval of its scrapes is what `$__rate_interval` is made of. */
function dataSources(speedup: number): object {
  const source = { name: 'Prometheus', uid: 'prometheus', type: 'prometheus', url: 'http://prometheus.monitoring.svc:9090' }
  const jsonData = { timeInterval: sped(PRODUCTION.scrapeInterval, speedup), httpMethod: 'POST', prometheusType: 'Prometheus' }
  return { apiVersion: 1, datasources: [{ ...source, access: 'proxy', isDefault: true, editable: false, jsonData }] }
}

const PROVIDERS = {
  apiVersion: 1,
  providers: [{ name: 'holdfast', type: 'file', allowUiUpdates: false, options: { path: '/etc/grafana/holdfast' } }],
}

/** Grafana reads its data sources when it starts. */
function restartedBy(object: KubeObject, config: readonly KubeObject[]): KubeObject {
  if (object.kind !== 'Deployment') return object
  const { template } = object.spec
  const annotations = { 'holdfast.dev/config': keyOf(config) }
  return { ...object, spec: { ...object.spec, template: { ...template, metadata: { ...template.metadata, annotations } } } }
}
