/**
 * The versions of Argo CD that can be installed. Each is pinned by a go.mod of its own (where it is built) and by the SHA-256 of
 * upstream's manifests. To add one: its folder below `module`, its requirements being those of upstream's own go.mod, and a line here.
 */
import { debianBase, type ImageSpec, type PinnedManifest } from '#core'
import { toolBinary } from '#kit/tools'

const MODULE = 'github.com/argoproj/argo-cd/v3'
/** The name of its image, whatever its version. */
export const IMAGE = 'argoproj/argocd'

export interface Release {
  readonly version: string
  /** Controller, repo server and Redis. */
  readonly core: PinnedManifest
  /** The core and all that it leaves out. */
  readonly whole: PinnedManifest
  readonly image: ImageSpec
}

/** What is installed. */
export const PINNED = release('3.5.7', {
  core: 'a7ab521e55a511af9274294afafc87cddf9621a34ac255b4b20cd31989e1ecbc',
  whole: '09bfbb9041b4a8503c6e4fa22cf41c403fa62be17526de353648a4551f5beb77',
})

/** Oldest first. */
export const RELEASES: readonly Release[] = [
  release('3.5.6', {
    core: 'd3d9d3555ad77eb4b6d27b1ec0d2af7978a91537e84d54631f983c227f0a3d31',
    whole: '846c644bc81ce5557dd9048757a9c7353378f25c5eb811c77d32a9e907823599',
  }),
  PINNED,
]

function release(version: string, sha256: Readonly<Record<'core' | 'whole', string>>): Release {
  const goMod = `argocd/module/${version}`
  const manifest = (file: string, sum: string): PinnedManifest => ({
    of: `Argo CD ${version}`,
    goMod,
    module: MODULE,
    path: `manifests/${file}`,
    url: `https://raw.githubusercontent.com/argoproj/argo-cd/v${version}/manifests/${file}`,
    sha256: sum,
  })
  return {
    version,
    core: manifest('core-install.yaml', sha256.core),
    whole: manifest('install.yaml', sha256.whole),
    image: imageOf(version, goMod),
  }
}

function imageOf(version: string, goMod: string): ImageSpec {
  const scripts = ['hack/gpg-wrapper.sh', 'hack/git-verify-wrapper.sh', 'entrypoint.sh']
  return {
    name: IMAGE,
    tag: `v${version}`,
    upstream: { ref: `quay.io/argoproj/argocd:v${version}` },
    build: {
      context: 'argocd/image',
      base: debianBase,
      inputs: [
        { kind: 'go', to: 'argocd', goMod, package: `${MODULE}/cmd`, ldflags: [`-X ${MODULE}/common.version=${version}`] },
        { kind: 'go', to: 'helm', ...toolBinary('helm') },
        { kind: 'go', to: 'kustomize', ...toolBinary('kustomize') },
        ...scripts.map((from) => ({ kind: 'module-file' as const, to: from.replace('hack/', ''), goMod, module: MODULE, from })),
      ],
    },
    deviation: 'no web UI (its module carries none), git-lfs and openssh from Debian',
  }
}

/**
 * The version that a program of Argo CD names as it starts, the commit behind a plus: `{…,"msg":"ArgoCD Repository Server is
 * starting",…,"version":"v3.5.7+unknown"}`, or `… is starting" … version=v3.5.7+unknown` where it logs text (`common/version.go`).
 */
export function says(line: string): string | undefined {
  return /is starting".*\bversion"?[=:]"?v([^+\s"]+)/.exec(line)?.[1]
}
