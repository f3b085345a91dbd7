/** The service's database: one PostgreSQL on a volume. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { application, debianBase, type ImageSpec, type Part, readManifest, renderedSource, type Target, withDigests } from '#core'
import { keyOf } from '#kit/hash'
import type { KubeObject } from '#kit/kube'
import { root } from '#kit/paths'
import { CLIENT, DATABASE_NAMESPACE, preparePassword } from './password.ts'

const NAME = 'database'
const CONFIG_FILES = ['start.sh', 'postgresql.conf', 'pg_hba.conf']

const databaseImage: ImageSpec = {
  name: 'library/postgres',
  tag: '17.11-trixie',
  upstream: {
    ref: 'docker.io/library/postgres:17.11-trixie',
    digest: 'sha256:f4c66b820c6f974249089d3d16d86a3698eae11e8746eb6644b2271031e91232',
  },
  build: { context: 'local/database/image', base: debianBase },
  deviation: 'Debian’s PostgreSQL 17 without the compiler of queries; it starts with what the part brings, as upstream’s does here',
}

/** The Secret beside the service that it connects by. */
export const databaseSecret = CLIENT.name

export const database: Part = {
  name: NAME,
  namespaces: [
    { name: DATABASE_NAMESPACE, podSecurity: 'restricted', quota: { pods: '2', 'limits.memory': '512Mi', persistentvolumeclaims: '1' } },
  ],
  images: [databaseImage],
  rendered: async (target) => {
    const data = await configData()
    const objects = (await readManifest('local/database/manifest.yaml')).map((object) => adapt(object, data, target))
    return [...objects, configMap(data)]
  },
  applications: (target) => [application({ name: NAME, namespace: DATABASE_NAMESPACE, sources: [renderedSource(NAME, target)] })],
  prepare: preparePassword,
  scenarios: [],
}

type ConfigData = Readonly<Record<string, string>>

async function configData(): Promise<ConfigData> {
  const read = async (file: string) => [file, await readFile(join(root, 'local/database/config', file), 'utf8')] as const
  return Object.fromEntries(await Promise.all(CONFIG_FILES.map(read)))
}

function configMap(data: ConfigData): KubeObject {
  const labels = { 'app.kubernetes.io/name': NAME, 'app.kubernetes.io/part-of': 'holdfast' }
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: NAME, namespace: DATABASE_NAMESPACE, labels }, data }
}

/** The server reads its settings when it starts: new ones make a new pod. */
function adapt(object: KubeObject, data: ConfigData, target: Target): KubeObject {
  if (object.kind !== 'StatefulSet') return object
  const { spec, ...rest } = withDigests(object, target)
  const { template } = spec
  const metadata = { ...template.metadata, annotations: { 'holdfast.dev/settings': keyOf(data) } }
  return { ...rest, spec: { ...spec, template: { ...template, metadata } } } as KubeObject
}
