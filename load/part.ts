/** Load as a part of the platform: the generator's image, and the namespace where its Jobs run. */
import { application, byDigest, ENVIRONMENTS, type ImageSpec, type Part, renderedSource, type Target } from '#core'
import type { KubeObject } from '#kit/kube'
import { NAMESPACE } from './job.ts'
import { cpuHog, metricsServerDown } from './scenarios/blind.ts'
import { processHangs } from './scenarios/hang.ts'
import { hpaBlind, hpaScales } from './scenarios/hpa.ts'
import { smoke } from './scenarios/smoke.ts'

const VERSION = '1.8.1'
const UPSTREAM = `docker.io/grafana/k6:${VERSION}`
const LABELS = { 'app.kubernetes.io/name': 'k6', 'app.kubernetes.io/part-of': 'holdfast' }

export const k6Binary = { goMod: 'load/module', package: 'go.k6.io/k6' } as const

const k6Image: ImageSpec = {
  name: 'grafana/k6',
  tag: VERSION,
  upstream: { ref: UPSTREAM },
  build: { context: 'load/image', inputs: [{ kind: 'go', to: 'k6', ...k6Binary }] },
  deviation: 'the program alone: no shell, no CA certificates',
}

/** Which image the Jobs run, so that starting load needs no look at the registry. */
export const GENERATOR = { apiVersion: 'v1', kind: 'ConfigMap', name: 'generator', namespace: NAMESPACE } as const

export const load: Part = {
  name: 'load',
  namespaces: [
    {
      name: NAMESPACE,
      podSecurity: 'restricted',
      quota: { pods: '3', 'count/jobs.batch': '3', 'requests.cpu': '1', 'limits.memory': '2Gi' },
    },
  ],
  images: [k6Image],
  rendered: async (target) => [generator(target), networkPolicy()],
  applications: (target) => [application({ name: 'load', namespace: NAMESPACE, sources: [renderedSource('load', target)] })],
  scenarios: [hpaScales, hpaBlind, processHangs, smoke, metricsServerDown, cpuHog],
}

function generator(target: Target): KubeObject {
  const { apiVersion, kind, name, namespace } = GENERATOR
  return { apiVersion, kind, metadata: { name, namespace, labels: LABELS }, data: { image: byDigest(UPSTREAM, target) } }
}

/** Load reaches the environments and the cluster's DNS, and nothing else, whatever a profile says. */
function networkPolicy(): KubeObject {
  const inNamespace = (name: string) => ({ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': name } } })
  const dns = ['UDP', 'TCP'].map((protocol) => ({ protocol, port: 53 }))
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: 'generator', namespace: NAMESPACE, labels: LABELS },
    spec: {
      podSelector: {},
      policyTypes: ['Ingress', 'Egress'],
      egress: [{ to: ENVIRONMENTS.map(inNamespace) }, { to: [inNamespace('kube-system')], ports: dns }],
    },
  }
}
