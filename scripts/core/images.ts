/** Images that several parts build upon. Upstream digests are the index digests published for the tags named. */
import type { ImageSpec } from './types.ts'

export const debianBase: ImageSpec = {
  name: 'debian',
  tag: 'trixie',
  upstream: {
    ref: 'docker.io/library/debian:trixie-slim',
    digest: 'sha256:d7e12182ce18b85b93007c1dedf31f2d29e01ccf3182cc4017c709b6259bc132',
  },
  build: {
    context: 'local/images/debian',
    files: ['apt.conf', 'dpkg.conf'],
    inputs: [{ kind: 'debian', to: 'rootfs.tar', suite: 'trixie' }],
  },
  deviation: 'debootstrap minbase with the security updates of the day it was built',
}

export const nodeBase: ImageSpec = {
  name: 'node',
  tag: '24',
  upstream: {
    ref: 'docker.io/library/node:24.19.0-trixie-slim',
    digest: 'sha256:ab3eebe934147fee049b5eb83c570f68c849a13c930bdfa482de99fcdfa3b3de',
  },
  build: { context: 'local/images/node', inputs: [{ kind: 'node-binary', to: 'node' }], base: debianBase },
  deviation: 'the Node 24.21.0 that npm packs, on Debian',
}
