/** The running stack that live tests are about; the runner brings it up before. */

import { type Cluster, noCluster } from '#core'
import { Failure } from '#kit/errors'
import { stack } from '../../holdfast.config.ts'

export const clusterName = process.env.HOLDFAST_CLUSTER ?? 'local'

/** @throws Failure where no cluster runs. */
export async function runningCluster(): Promise<Cluster> {
  const cluster = await stack.clusters.local.find(clusterName)
  if (cluster === undefined) throw new Failure(noCluster('Cannot test', clusterName))
  return cluster
}
