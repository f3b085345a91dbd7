/** Holding Argo CD off while a mutant breaks what it would mend. */
import type { Kube, ObjectRef } from '#kit/kube'
import { type Condition, pending, ready, terminal, waitFor } from '#kit/wait'
import { ARGOCD_NAMESPACE, ROOT_APPLICATION } from './gitops.ts'
import type { Undo } from './scenario.ts'

/** Argo CD compares at once, and takes the annotation away when it has. */
export const REFRESH = 'argocd.argoproj.io/refresh'
const PAUSE_TIMEOUT_MS = 30_000

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
      // The root first, and until Argo CD has looked at it: it acts on what it last saw, and would undo the next patch.
      for (const ref of refs) {
        if ((await kube.get(ref)) === undefined) continue
        await kube.mergePatch(ref, { ...policy(false), metadata: { annotations: { [REFRESH]: 'normal' } } })
        await waitFor(`Argo CD to pause ${ref.name}`, () => isPaused(kube, ref), { timeoutMs: PAUSE_TIMEOUT_MS, everyMs: 100 })
      }
    },
    undo: refs.toReversed().map((ref) => ({ op: 'patch', ref, patch: policy(true) })),
  }
}

/** Argo CD takes the annotation away once it has compared the Application as it stood with it. */
async function isPaused(kube: Kube, ref: ObjectRef): Promise<Condition<void>> {
  const application = await kube.get(ref)
  if (application?.metadata.annotations?.[REFRESH] !== undefined) return pending('it has not looked yet')
  const { selfHeal } = application?.spec.syncPolicy.automated ?? {}
  return selfHeal === false ? ready(undefined) : terminal('something put its policy back')
}

/** Names an Application of the platform. */
export function refOfApplication(name: string): ObjectRef {
  return { apiVersion: 'argoproj.io/v1alpha1', kind: 'Application', namespace: ARGOCD_NAMESPACE, name }
}
