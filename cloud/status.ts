/** `cloud:status`: what there is of an environment, how old it is, what it has cost, and when it is to go. */
import type { Cluster as EksDescription } from '@aws-sdk/client-eks'
import { formatMs } from '#kit/progress'
import { describeCluster } from './eks.ts'
import type { Place } from './place.ts'
import { type Estimate, estimateOf, HOURS_A_MONTH, renderEstimate } from './prices.ts'

export interface CloudStatus {
  readonly cluster: string
  readonly state: string
  readonly version: string | undefined
  readonly ageMs: number | undefined
  /** RFC 3339, `never`, or undefined where nothing was made. */
  readonly expiresAt: string | undefined
  readonly expired: boolean
  readonly resources: number
  readonly cost: Estimate
  /** Since the cluster was made, in US dollars. */
  readonly costSoFar: number
}

export async function readCloudStatus(place: Place): Promise<CloudStatus> {
  const { aws, request } = place.options
  const [description, resources, outputs] = await Promise.all([describeCluster(aws, place.name), place.resources(), place.rawOutputs()])
  const cost = estimateOf(resources, request.region)
  const expiresAt = expiryOf(outputs.expires_at?.value, description)
  const ageMs = description?.createdAt === undefined ? undefined : Date.now() - description.createdAt.getTime()
  return {
    cluster: place.name,
    state: description?.status ?? 'absent',
    version: description?.version,
    ageMs,
    expiresAt,
    expired: expiresAt !== undefined && Date.parse(expiresAt) < Date.now(),
    resources: resources.length,
    cost,
    costSoFar: ((ageMs ?? 0) / 3_600_000 / HOURS_A_MONTH) * cost.monthly,
  }
}

/** The tag tells it also where the state was never finished. */
function expiryOf(output: unknown, description: EksDescription | undefined): string | undefined {
  return typeof output === 'string' ? output : description?.tags?.ttl
}

export function renderCloudStatus(status: CloudStatus): string {
  const { cluster, state, version, ageMs, expiresAt, expired, resources, cost, costSoFar } = status
  const expiry =
    expiresAt === undefined ? 'expires: unknown' : expired ? `EXPIRED at ${expiresAt}: npm run cloud:down` : `expires: ${expiresAt}`
  return [
    `${cluster}: ${state}${version === undefined ? '' : `, Kubernetes ${version}`}; ${resources} resources in its state`,
    ...(ageMs === undefined ? [] : [`Age: ${formatMs(ageMs)}; cost so far about $${costSoFar.toFixed(2)}`]),
    expiry,
    ...renderEstimate(cost),
  ].join('\n')
}
