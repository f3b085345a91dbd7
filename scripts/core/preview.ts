/** The stack as it would be rendered for a cluster, without any: for what compares or checks what Git would hold. */
import type { KubeObject } from '#kit/kube'
import { renderObjects } from './gitops.ts'
import { stackOn } from './install.ts'
import type { Cluster, Stack, StoredImage, Target } from './types.ts'

export interface PreviewOptions {
  readonly name: string
  readonly kind: Cluster['kind']
  /** Digests by the names of images; parts with another image are left out. */
  readonly images: ReadonlyMap<string, string>
  readonly repositories?: Cluster['repositories']
}

/** The stack's objects in its first environment, on the local clock. */
export async function previewObjects(stack: Stack, { images, ...facts }: PreviewOptions): Promise<readonly KubeObject[]> {
  const cluster = {
    ...facts,
    timing: 'local',
    brings: { metricsServer: false },
    address: (service: string) => `http://${facts.name}/${service}`,
  }
  const stored = new Map(
    [...images].map(([name, digest]) => [name, { spec: { name }, digest, key: '', way: 'built' } as unknown as StoredImage]),
  )
  const there = stackOn(stack, facts.kind)
  const parts = there.parts.filter((part) => part.images.every(({ name }) => images.has(name)))
  const timing = stack.timing.local
  const target = { cluster: cluster as unknown as Cluster, environment: 'dev', timing, repoUrl: '', images: stored } as Target
  return (await renderObjects({ ...there, parts }, target)).objects
}

/** What Git would hold for a cluster in the cloud: each image under a registry there, by some digest. */
export async function previewCloud(stack: Stack): Promise<readonly KubeObject[]> {
  const images = digestsOf(stack, 'eks')
  const repositories = Object.fromEntries([...images.keys()].map((name) => [name, `registry.example/${name}`]))
  return previewObjects(stack, { name: 'cloud', kind: 'eks', images, repositories })
}

/** What Git would hold for a cluster on this machine: the Git server and the database too. */
export async function previewLocal(stack: Stack): Promise<readonly KubeObject[]> {
  return previewObjects(stack, { name: 'local', kind: 'k3s', images: digestsOf(stack, 'k3s') })
}

/** Some digest for each image. */
function digestsOf(stack: Stack, kind: Cluster['kind']): ReadonlyMap<string, string> {
  const names = stackOn(stack, kind).parts.flatMap(({ images }) => images.map(({ name }) => name))
  return new Map(names.map((name, i) => [name, `sha256:${String(i).padStart(64, '0')}`]))
}
