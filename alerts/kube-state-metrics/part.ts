/** kube-state-metrics, where its image can be pulled: what the API server knows of objects, as series. No rule of ours needs it. */
import { application, type ImageSpec, type Part, readManifest, renderedSource, withDigests } from '#core'
import { retimed } from '../operator/scrape.ts'

const NAME = 'kube-state-metrics'

/** Without a way to build it: its module is not served where no container registry answers either. */
const kubeStateMetricsImage: ImageSpec = {
  name: 'kube-state-metrics/kube-state-metrics',
  tag: 'v2.18.0',
  upstream: {
    ref: 'registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.18.0',
    digest: 'sha256:1545919b72e3ae035454fc054131e8d0f14b42ef6fc5b2ad5c751cafa6b2130e',
  },
}

export const kubeStateMetrics: Part = {
  name: NAME,
  namespaces: [{ name: NAME, podSecurity: 'restricted', quota: { pods: '3', 'limits.memory': '512Mi' } }],
  images: [kubeStateMetricsImage],
  rendered: async (target) =>
    (await readManifest('alerts/kube-state-metrics/manifest.yaml')).map((object) => retimed(withDigests(object, target), target.timing)),
  applications: (target) => [application({ name: NAME, namespace: NAME, sources: [renderedSource(NAME, target)] })],
  scenarios: [],
}
