/** The registry's own image. Its upstream digest is the index digest published for the tag named. */
import type { ImageSpec } from '#core'

export const registryImage: ImageSpec = {
  name: 'registry',
  tag: '3',
  upstream: { ref: 'docker.io/library/registry:3.1.1', digest: 'sha256:1be55279f18a2fe1a74edf2664cac61c1bea305b7b4642dab412e7affdcb3e33' },
  build: {
    context: 'local/registry/image',
    files: ['config.yml'],
    inputs: [
      {
        kind: 'go',
        to: 'registry',
        goMod: 'local/registry/module',
        package: 'github.com/distribution/distribution/v3/cmd/registry',
        ldflags: ['-X github.com/distribution/distribution/v3/version.version=v3.1.2'],
      },
    ],
  },
  deviation: 'distribution 3.1.2 instead of 3.1.1',
}
