/** How what runs on EKS differs from what runs on this machine: each way by its name and with its reason. */
import { parse } from 'yaml'
import { type PreviewOptions, previewObjects } from '#core'
import type { KubeObject } from '#kit/kube'
import { stack } from '../../holdfast.config.ts'
import { readDeploy } from '../../local/git-server/deploy.ts'

interface Difference {
  /** Of the object, and the path in it: `Service monitoring/sink spec.type`. */
  readonly at: string
}

interface Named {
  readonly name: string
  readonly reason: string
  readonly is: RegExp
}

/** At most ten. */
export const PARITY: readonly Named[] = [
  {
    name: 'images by ECR',
    reason: 'nodes elsewhere cannot pull through a registry on this machine: the same digests lie in ECR',
    is: / (.*\.image|data\.image|.*prometheus-config-reloader.*|.*\.args.*|spec\.image)$/,
  },
  {
    name: 'nothing published',
    reason: 'no port of a node may be public: the API server leads to the Services',
    is: /^Service \S+ spec\.(type|ports)/,
  },
  { name: 'a class of volumes', reason: 'EKS brings none that is the default', is: /^StorageClass -\/gp3$/ },
  { name: 'no Git server', reason: 'Argo CD reads the user’s own remote', is: /^\S+ (git\/\S+|-\/git)$/ },
  { name: 'addresses', reason: 'links lead to where the cluster is reached', is: / spec\.externalUrl$/ },
  { name: 'the cluster’s name', reason: 'alerts say where they come from', is: / spec\.externalLabels\.cluster$/ },
]

export interface Differences {
  /** Those that no name explains. */
  readonly unnamed: readonly string[]
  /** Names that explain nothing any more. */
  readonly unused: readonly string[]
}

/** @param env by which Git reads the remote, as the commands do. */
export async function differences(url: string, env: Readonly<Record<string, string | undefined>>): Promise<Differences> {
  Object.assign(process.env, env)
  const tip = await readDeploy({ url }, { ref: 'refs/heads/deploy-dev' })
  if (tip === undefined) throw new Error('deploy-dev has no commit')
  const objects = [...tip.files].flatMap(([path, content]) =>
    path.startsWith('rendered/') ? [parse(content, YAML_1_1) as KubeObject] : [],
  )
  const local = await renderFor({ name: 'local', kind: 'k3s', images: digestsIn(tip.files) })
  return compareTrees(local, objects)
}

const YAML_1_1 = { version: '1.1' } as const

/** Two renderings of the stack. */
export function compareTrees(local: readonly KubeObject[], remote: readonly KubeObject[]): Differences {
  const found = compare(byName(local), byName(remote))
  const unnamed = found.filter(({ at }) => !PARITY.some(({ is }) => is.test(at))).map(({ at }) => at)
  const unused = PARITY.filter(({ is }) => !found.some(({ at }) => is.test(at))).map(({ name }) => name)
  return { unnamed, unused }
}

/** Every digest by its image's name, so that both are of the same images. */
function digestsIn(files: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  const found = [...files.values()].join('\n').matchAll(/\/holdfast-dev\/([\w./-]+)@(sha256:[0-9a-f]{64})/g)
  return new Map([...found].map(([, name = '', digest = '']) => [name, digest]))
}

const GIT_IMAGE = 'holdfast/git-server'

/** The stack's objects for a cluster, on the clock of a rehearsal. The Git server's image is any. */
export function renderFor({ images, ...facts }: PreviewOptions): Promise<readonly KubeObject[]> {
  return previewObjects(stack, { ...facts, images: new Map([[GIT_IMAGE, 'sha256:aa'], ...images]) })
}

const byName = (objects: readonly KubeObject[]) =>
  new Map(objects.map((object) => [`${object.kind} ${object.metadata.namespace ?? '-'}/${object.metadata.name}`, object]))

function compare(local: ReadonlyMap<string, KubeObject>, remote: ReadonlyMap<string, KubeObject>): Difference[] {
  const names = [...new Set([...local.keys(), ...remote.keys()])].toSorted()
  return names.flatMap((name) => {
    const [a, b] = [local.get(name), remote.get(name)]
    return a === undefined || b === undefined ? [{ at: name }] : paths(plain(a), plain(b)).map((path) => ({ at: `${name} ${path}` }))
  })
}

/** As YAML would give it back: without what is undefined. */
const plain = (object: unknown) => JSON.parse(JSON.stringify(object)) as unknown

function paths(a: unknown, b: unknown, at: readonly string[] = []): string[] {
  if (JSON.stringify(a) === JSON.stringify(b)) return []
  const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null
  if (!isObject(a) || !isObject(b)) return [at.join('.')]
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].flatMap((key) => paths(a[key], b[key], [...at, key]))
}
