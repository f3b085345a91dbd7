/** Holding Argo CD off while a mutant breaks what it would mend. */
import type { Kube, ObjectRef } from '#kit/kube'
import { ARGOCD_NAMESPACE, ROOT_APPLICATION } from './gitops.ts'
import type { Undo } from './scenario.ts'

export interface SelfHealPause {
  readonly apply: (kube: Kube) => Promise<void>
  readonly undo: Undo
}

/** Self-heal off for those of these Applications that are there, and for the root, which would at once put their policy back. */
export function pauseSelfHeal(...applications: readonly string[]): SelfHealPause {
  const refs = [ROOT_APPLICATION, ...applications].map(refOfApplication)
  const policy = (selfHeal: boolean) => ({ spec: { syncPolicy: { automated: { prune: true, selfHeal } } } })
  return {
    async apply(kube) {
      for (const ref of refs) if ((await kube.get(ref)) !== undefined) await kube.mergePatch(ref, policy(false))
    },
    undo: refs.toReversed().map((ref) => ({ op: 'patch', ref, patch: policy(true) })),
  }
}

/** Names an Application of the platform. */
export function refOfApplication(name: string): ObjectRef {
  return { apiVersion: 'argoproj.io/v1alpha1', kind: 'Application', namespace: ARGOCD_NAMESPACE, name }
}
