/** The node exporter: what each machine has left of processors, memory and disk. */
import { application, debianBase, type ImageSpec, type Part, readManifest, renderedSource, withDigests } from '#core'
import { retimed } from '../operator/scrape.ts'

const NAME = 'node-exporter'
/** Debian's; the same one is pulled, so that both ways give the same series. */
const VERSION = '1.9.0'

const nodeExporterImage: ImageSpec = {
  name: 'prometheus/node-exporter',
  tag: `v${VERSION}`,
  upstream: {
    ref: `quay.io/prometheus/node-exporter:v${VERSION}`,
    digest: 'sha256:c99d7ee4d12a38661788f60d9eca493f08584e2e544bbd3b3fca64749f86b848',
  },
  build: { context: 'alerts/node-exporter/image', base: debianBase },
  deviation: `Debian’s prometheus-node-exporter ${VERSION}`,
}

export const nodeExporter: Part = {
  name: NAME,
  namespaces: [{ name: NAME, podSecurity: 'restricted', quota: { pods: '10', 'limits.memory': '1Gi' } }],
  images: [nodeExporterImage],
  rendered: async (target) =>
    (await readManifest('alerts/node-exporter/manifest.yaml')).map((object) => retimed(withDigests(object, target), target.timing)),
  applications: (target) => [application({ name: NAME, namespace: NAME, sources: [renderedSource(NAME, target)] })],
  scenarios: [],
}
