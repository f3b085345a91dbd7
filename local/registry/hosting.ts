/** Where the registry is, said in the cluster: to tools on this machine, and to pods. */
import type { KubeObject } from '#kit/kube'

const PORT = 5000
const IN_CLUSTER = { name: 'registry', namespace: 'kube-system' }
/** Where pods reach the registry that nodes pull through. */
export const REGISTRY_IN_CLUSTER = `${IN_CLUSTER.name}.${IN_CLUSTER.namespace}.svc.cluster.local:${PORT}`

/**
 * For tools that push what the cluster is to run, in the form that Tilt, ctlptl and Skaffold look for. The ConfigMap of KEP-1755 (https://github.com/kubernetes/enhancements/tree/master/keps/sig-cluster-lifecycle/generic/1755-communicating-a-local-registry).
 * @param host the registry on this machine, which the nodes know by the same name.
 */
export function registryHosting(host: string): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'local-registry-hosting', namespace: 'kube-public' },
    data: { 'localRegistryHosting.v1': `host: "${host}"\n` },
  }
}

/**
 * A name for pods, which have no part in the engine's own names: a Service without pods, that leads to the registry's address of now. The
 * engine may give it another one whenever it starts, so this is said anew whenever a cluster starts.
 */
export function registryService(address: string): KubeObject[] {
  const metadata = { ...IN_CLUSTER, labels: { 'app.kubernetes.io/name': IN_CLUSTER.name, 'app.kubernetes.io/part-of': 'holdfast' } }
  const port = { name: 'http', port: PORT, protocol: 'TCP' }
  const named = { ...metadata.labels, 'kubernetes.io/service-name': IN_CLUSTER.name }
  return [
    { apiVersion: 'v1', kind: 'Service', metadata, spec: { clusterIP: 'None', ports: [port] } },
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { ...metadata, labels: named },
      addressType: 'IPv4',
      endpoints: [{ addresses: [address], conditions: { ready: true } }],
      ports: [port],
    },
  ]
}
