/** metrics-server: what the HPA and `kubectl top` ask, where the cluster does not bring it. */
import { application, type ImageSpec, type Part, readManifest, renderedSource, type Target, withDigests } from '#core'
import { retimed } from '../operator/scrape.ts'

const NAME = 'metrics-server'
const VERSION = '0.9.0'

const metricsServerImage: ImageSpec = {
  name: 'metrics-server/metrics-server',
  tag: `v${VERSION}`,
  upstream: { ref: `registry.k8s.io/metrics-server/metrics-server:v${VERSION}` },
  build: {
    context: 'alerts/metrics-server/image',
    inputs: [
      {
        kind: 'go',
        to: 'metrics-server',
        goMod: 'alerts/metrics-server/module',
        package: 'sigs.k8s.io/metrics-server/cmd/metrics-server',
        ldflags: [`-X k8s.io/client-go/pkg/version.gitVersion=v${VERSION}`],
      },
    ],
  },
}

export const metricsServer: Part = {
  name: NAME,
  namespaces: [{ name: NAME, podSecurity: 'restricted', quota: { pods: '4', 'limits.memory': '1Gi' } }],
  images: [metricsServerImage],
  rendered: async (target) =>
    isBrought(target)
      ? []
      : (await readManifest('alerts/metrics-server/manifest.yaml')).map((object) => retimed(withDigests(object, target), target.timing)),
  applications: (target) =>
    isBrought(target) ? [] : [application({ name: NAME, namespace: NAME, sources: [renderedSource(NAME, target)] })],
  scenarios: [],
}

const isBrought = ({ cluster }: Target) => cluster.brings.metricsServer
