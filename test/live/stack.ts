/** The running stack that live tests are about; the runner brings it up before. */

import { type Cluster, checkAnswering, findCluster, noCluster, type ServiceName } from '#core'
import { Failure } from '#kit/errors'
import { type ObjectRef, saysReady } from '#kit/kube'
import { pending, ready, waitFor } from '#kit/wait'
import { stack } from '../../holdfast.config.ts'
import { assert } from '../suite.ts'

const REPLACED_TIMEOUT_MS = 90_000
const FORWARDED_TIMEOUT_MS = 20_000

export const clusterName = process.env.HOLDFAST_CLUSTER ?? 'local'

/** @throws Failure where no cluster runs. */
export async function runningCluster(): Promise<Cluster> {
  const cluster = await findCluster(stack, clusterName)
  if (cluster === undefined) throw new Failure(noCluster(stack, { what: 'Cannot test', name: clusterName }))
  return cluster
}

export interface Replaced {
  readonly name: string
  readonly namespace: string
  /** What must answer again. */
  readonly service: ServiceName
}

/** Deletes a pod as a node's drain would, and waits until another one is ready in its place and answers: the node forwards to it a little later. */
export async function replacePod(cluster: Cluster, { name, namespace, service }: Replaced, signal: AbortSignal): Promise<void> {
  const ref: ObjectRef = { apiVersion: 'v1', kind: 'Pod', name, namespace }
  const uid = (await cluster.kube.get(ref))?.metadata.uid
  assert.ok(uid !== undefined, `no pod '${name}'`)
  await cluster.kube.delete(ref)
  const look = async () => {
    const pods = await cluster.kube.list({ apiVersion: 'v1', kind: 'Pod', namespace })
    const sameApp = pods.filter((pod) => pod.metadata.name.startsWith(name.replace(/-[a-z0-9]+$/, '')))
    const others = sameApp.filter(({ metadata }) => metadata.uid !== uid)
    return others.length === sameApp.length && others.some(saysReady) ? ready(undefined) : pending(`${others.length} new pods`)
  }
  await waitFor(`another pod instead of ${name}`, look, { timeoutMs: REPLACED_TIMEOUT_MS, signal })
  await waitFor(`${service} to answer`, async () => ready(await checkAnswering(cluster, [service])), {
    timeoutMs: FORWARDED_TIMEOUT_MS,
    everyMs: 100,
    signal,
  })
}
