/** The node: k3s where it can be pulled, else upstream Kubernetes of the same minor packed to k3s's container contract. */
import { type Digest, debianBase, type GoBinary, type ImageSpec, type KubernetesVersions } from '#core'

/** A version of Kubernetes that a node can be of. */
interface Release {
  readonly version: string
  /** Of upstream's k3s; without it that image is pinned by its tag only. */
  readonly digest?: Digest
  /** What pins its build. @default the go.mod beside the sources */
  readonly pins?: string
}

/** What a cluster is brought up with. */
const PINNED: Release = { version: '1.36.3', digest: 'sha256:d0f79175794edd9694b4a12bafc5c52ae1977369a2f7cf256264e7bd2dae0be9' }

/**
 * Oldest first. To add one: a folder below `module` with the go.mod and go.sum of the sources, all of Kubernetes in it at that version, and
 * a line here. The other inputs of the image are the same for all.
 */
const RELEASES: readonly Release[] = [{ version: '1.36.2', pins: 'local/node/module/1.36.2' }, PINNED]

/** Images that the node brings along, as k3s does: without them no pod starts, no name resolves, no volume is made. */
const ARCHIVES: readonly { readonly image: ImageSpec; readonly as: string }[] = [
  programImage('pause', '1', { goMod: 'local/node', package: './pause' }),
  programImage('coredns', '1.14.3', { goMod: 'local/node/coredns', package: '.' }),
  programImage('local-path-provisioner', '0.0.30', {
    goMod: 'local/node/local-path',
    package: 'github.com/rancher/local-path-provisioner',
  }),
  { name: 'local-path-helper', tag: '1', build: { context: 'local/node', dockerfile: 'Dockerfile.helper', base: debianBase } },
].map((image) => ({ image, as: `docker.io/holdfast/${image.name}:${image.tag}` }))

/** The images of the nodes, by the version of Kubernetes, oldest first. */
export type NodeImages = ReadonlyMap<string, ImageSpec>

export const NODE_IMAGES: NodeImages = new Map(RELEASES.map((release) => [release.version, releaseImage(release)]))

/** The versions that these images are of. */
export const versionsOf = (images: NodeImages): KubernetesVersions => ({ pinned: PINNED.version, known: [...images.keys()] })

/** @param version @default the one that is pinned */
export function imageOf(images: NodeImages, version = PINNED.version): ImageSpec {
  const found = images.get(version)
  if (found === undefined) throw new TypeError(`No node image is of Kubernetes ${version}`)
  return found
}

function releaseImage({ version, digest, ...build }: Release): ImageSpec {
  const ref = `docker.io/rancher/k3s:v${version}-k3s1`
  return {
    name: 'k3s-node',
    tag: `v${version}`,
    upstream: { ref, ...(digest === undefined ? {} : { digest }) },
    build: {
      context: 'local/node',
      files: ['manifests'],
      base: debianBase,
      inputs: [
        { kind: 'go', to: 'bin/kube', ...kube(version), ...build },
        ...ARCHIVES.map(({ image, as }) => ({ kind: 'image-archive' as const, to: `images/${image.name}.tar`, image, as })),
      ],
    },
    deviation: 'upstream Kubernetes instead of k3s, etcd and containerd from Debian, no NetworkPolicy enforcement',
  }
}

/** All of Kubernetes in one program. */
function kube(version: string): GoBinary {
  const [major, minor] = version.split('.')
  const stamp = (path: string) => `-X ${path}.gitVersion=v${version}`
  return {
    goMod: 'local/node',
    package: '.',
    ldflags: [
      stamp('k8s.io/component-base/version'),
      stamp('k8s.io/client-go/pkg/version'),
      `-X k8s.io/component-base/version.gitMajor=${major} -X k8s.io/component-base/version.gitMinor=${minor}`,
    ],
  }
}

/** An image of one static program. */
function programImage(name: string, tag: string, binary: GoBinary): ImageSpec {
  return { name, tag, build: { context: 'local/node', dockerfile: 'Dockerfile.binary', inputs: [{ kind: 'go', to: 'app', ...binary }] } }
}
