/** The image that a part's Jobs run, as the part's ConfigMap in the cluster names it. */
import { UserError } from '#kit/errors'
import type { Kube, ObjectRef } from '#kit/kube'

/** @throws UserError where the cluster has no such part; `what` says what could not be done. */
export async function imageIn(kube: Kube, ref: Required<ObjectRef>, what: string): Promise<string> {
  const image = (await kube.get(ref))?.data?.image
  if (typeof image === 'string') return image
  throw new UserError({ what, why: `the ConfigMap '${ref.namespace}/${ref.name}' is not in the cluster`, next: 'Run npm run local:up' })
}
