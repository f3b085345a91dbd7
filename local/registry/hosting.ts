/** Where tools push what the cluster is to run: said in the cluster, in the form that Tilt, ctlptl and Skaffold look for. */
import type { KubeObject } from '#kit/kube'

/**
 * The ConfigMap of KEP-1755 (https://github.com/kubernetes/enhancements/tree/master/keps/sig-cluster-lifecycle/generic/1755-communicating-a-local-registry).
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
