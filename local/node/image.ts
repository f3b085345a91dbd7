/** The node: k3s where it can be pulled, else upstream Kubernetes of the same minor packed to k3s's container contract. */
import { debianBase, type GoBinary, type ImageSpec } from '#core'

const KUBERNETES = '1.36.3'
const stamp = (path: string) => `-X ${path}.gitVersion=v${KUBERNETES}`

const kube: GoBinary = {
  goMod: 'local/node',
  package: '.',
  ldflags: [
    stamp('k8s.io/component-base/version'),
    stamp('k8s.io/client-go/pkg/version'),
    `-X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36`,
  ],
}

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

export const nodeImage: ImageSpec = {
  name: 'k3s-node',
  tag: `v${KUBERNETES}`,
  upstream: {
    ref: `docker.io/rancher/k3s:v${KUBERNETES}-k3s1`,
    digest: 'sha256:d0f79175794edd9694b4a12bafc5c52ae1977369a2f7cf256264e7bd2dae0be9',
  },
  build: {
    context: 'local/node',
    files: ['manifests'],
    base: debianBase,
    inputs: [
      { kind: 'go', to: 'bin/kube', ...kube },
      ...ARCHIVES.map(({ image, as }) => ({ kind: 'image-archive' as const, to: `images/${image.name}.tar`, image, as })),
    ],
  },
  deviation: 'upstream Kubernetes instead of k3s, etcd and containerd from Debian, no NetworkPolicy enforcement',
}

/** An image of one static program. */
function programImage(name: string, tag: string, binary: GoBinary): ImageSpec {
  return { name, tag, build: { context: 'local/node', dockerfile: 'Dockerfile.binary', inputs: [{ kind: 'go', to: 'app', ...binary }] } }
}
