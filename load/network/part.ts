/** Faults of the network as a part of the platform: the image that makes them, and the namespace that lets it. */
import { application, byDigest, debianBase, type ImageSpec, type Part, renderedSource } from '#core'

export const NAMESPACE = 'chaos'
const NAME = 'network-cut'
const IMAGE = `docker.io/holdfast/${NAME}:1`
const LABELS = { 'app.kubernetes.io/name': NAME, 'app.kubernetes.io/part-of': 'holdfast' }

const image: ImageSpec = {
  name: `holdfast/${NAME}`,
  tag: '1',
  build: { context: 'load/network/image', files: ['cut.sh'], base: debianBase },
}

/** Which image the Jobs run, so that a cut needs no look at the registry. */
export const CUTTER = { apiVersion: 'v1', kind: 'ConfigMap', name: NAME, namespace: NAMESPACE } as const

export const networkFaults: Part = {
  name: NAME,
  // A pod in the node's own network is more than a restricted namespace allows; nothing runs there but for the time of an experiment.
  namespaces: [{ name: NAMESPACE, podSecurity: 'privileged', quota: { pods: '4', 'count/jobs.batch': '4', 'limits.memory': '256Mi' } }],
  images: [image],
  rendered: async (target) => {
    const { apiVersion, kind, name, namespace } = CUTTER
    return [{ apiVersion, kind, metadata: { name, namespace, labels: LABELS }, data: { image: byDigest(IMAGE, target) } }]
  },
  applications: (target) => [application({ name: NAME, namespace: NAMESPACE, sources: [renderedSource(NAME, target)] })],
  scenarios: [],
}
