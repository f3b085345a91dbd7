/** What must be so before anything is made: tools, credentials, the caller's address, quotas, and room for the pods. */
import type { InstanceTypeInfo } from '@aws-sdk/client-ec2'
import { Failure, messageOf, UserError } from '#kit/errors'
import { exec } from '#kit/exec'
import { ask } from '#kit/http'
import type { Aws } from './aws.ts'
import type { PlanJson } from './plan.ts'
import { parseCidr } from './request.ts'
import { findToolchain } from './toolchain.ts'

/** @throws UserError where a program is missing that is needed later */
export async function checkTools(): Promise<void> {
  await findToolchain()
  await exec('aws', ['--version']).catch((thrown) => {
    const next = 'Install the AWS CLI: each kubeconfig of EKS asks it for a token'
    throw new UserError({ what: 'Cannot use AWS', why: 'aws is not on the PATH', next }, thrown)
  })
}

const ADDRESS_SERVICE = 'https://checkip.amazonaws.com'
const ADDRESS_TIMEOUT_MS = 5_000

/** Who reaches the API: who was named, else this machine as the internet sees it. */
export async function callersRange(allowCidrs: readonly string[], what: string): Promise<readonly string[]> {
  if (allowCidrs.length > 0) return allowCidrs
  const next = 'Name who may reach the Kubernetes API: --allow-cidr 203.0.113.7/32'
  const answer = await ask("this machine's address is not known", ADDRESS_SERVICE, { timeoutMs: ADDRESS_TIMEOUT_MS }).catch((thrown) => {
    throw new UserError({ what, why: messageOf(thrown), next }, thrown)
  })
  const seen = await answer.text()
  return [parseCidr(seen.trim(), what)]
}

// ── Room ────────────────────────────────────────────────────────────────────────────────────────────────────────────

/** What the whole stack asks for; a test sums the requests of what is rendered and holds these above them. */
export const NEED = {
  /** Beside the service: on each node, and once. */
  daemonsPerNode: 5,
  platformPods: 20,
  platformCpuMillis: 900,
  platformMemoryMiB: 2_000,
  /** The HPA's most, and one more while a version takes over; the load's own pods. */
  servicePods: 6,
  serviceCpuMillis: 100,
  serviceMemoryMiB: 128,
  loadPods: 2,
} as const

export interface Group {
  readonly name: string
  readonly types: readonly string[]
  readonly capacityType: string
  readonly desired: number
  readonly max: number
}

interface NodeSize {
  readonly pods: number
  readonly cpuMillis: number
  readonly memoryMiB: number
  readonly vcpus: number
}

/** The node groups of a plan. */
export function groupsOf({ resource_changes = [] }: PlanJson): Group[] {
  return resource_changes.flatMap(({ type, change: { after } }) => {
    if (type !== 'aws_eks_node_group' || after === null) return []
    const [scaling] = after.scaling_config as { desired_size: number; max_size: number }[]
    return [
      {
        name: String(after.node_group_name),
        types: after.instance_types as string[],
        capacityType: String(after.capacity_type),
        desired: scaling?.desired_size ?? 0,
        max: scaling?.max_size ?? 0,
      },
    ]
  })
}

/** What is left of a node for pods: EKS reserves by these formulas, https://github.com/awslabs/amazon-eks-ami/blob/main/nodeadm/internal/kubelet/config.go */
export function sizeOf({ VCpuInfo, MemoryInfo, NetworkInfo }: InstanceTypeInfo): NodeSize {
  const vcpus = VCpuInfo?.DefaultVCpus ?? 0
  const memoryMiB = MemoryInfo?.SizeInMiB ?? 0
  const { MaximumNetworkInterfaces = 0, Ipv4AddressesPerInterface = 0 } = NetworkInfo ?? {}
  // A prefix of 16 addresses in place of each address; more than 110 pods a small node does not bear.
  const pods = Math.min(MaximumNetworkInterfaces * (Ipv4AddressesPerInterface - 1) * 16 + 2, vcpus < 30 ? 110 : 250)
  const reservedCpu = [60, 10, 5, 5].slice(0, vcpus).reduce((sum, each) => sum + each, 0) + Math.max(0, vcpus - 4) * 2.5
  return { vcpus, pods, cpuMillis: vcpus * 1000 - reservedCpu, memoryMiB: memoryMiB - (255 + 11 * pods) - 100 }
}

export interface Fit {
  readonly ok: boolean
  readonly lines: readonly string[]
}

/** Whether the stack with an HPA at its most fits on the nodes that are there from the start. */
export function fitOf(groups: readonly Group[], sizes: ReadonlyMap<string, NodeSize>): Fit {
  const nodes = groups.flatMap(({ types, desired }) => Array.from({ length: desired }, () => smallest(types, sizes)))
  const sum = (of: keyof NodeSize) => Math.floor(nodes.reduce((total, node) => total + node[of], 0))
  const more = NEED.servicePods + NEED.loadPods
  const rows = [
    { what: 'pods', need: NEED.platformPods + more + NEED.daemonsPerNode * nodes.length, has: sum('pods') },
    { what: 'm of CPU', need: NEED.platformCpuMillis + NEED.serviceCpuMillis * more, has: sum('cpuMillis') },
    { what: 'MiB', need: NEED.platformMemoryMiB + NEED.serviceMemoryMiB * more, has: sum('memoryMiB') },
  ]
  const perNode = groups.map(({ name, types }) => `${name} ${smallest(types, sizes).pods}`).join(', ')
  return {
    ok: rows.every(({ need, has }) => need <= has),
    lines: [
      `Room for an HPA of 5: ${rows.map(({ what, need, has }) => `${need} of ${has} ${what}`).join(', ')} on ${nodes.length} nodes; pods per node: ${perNode}`,
    ],
  }
}

function smallest(types: readonly string[], sizes: ReadonlyMap<string, NodeSize>): NodeSize {
  const found = types.flatMap((type) => sizes.get(type) ?? [])
  const least = (of: keyof NodeSize) => (found.length === 0 ? 0 : Math.min(...found.map((size) => size[of])))
  return { pods: least('pods'), cpuMillis: least('cpuMillis'), memoryMiB: least('memoryMiB'), vcpus: least('vcpus') }
}

// ── Quotas ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/** How many virtual processors an account may run, https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html */
const QUOTAS = [
  { capacityType: 'ON_DEMAND', code: 'L-1216C47A', what: 'On-Demand vCPUs' },
  { capacityType: 'SPOT', code: 'L-34B43A08', what: 'Spot vCPUs' },
] as const

async function quotaOf(aws: Aws, code: string): Promise<number | undefined> {
  return aws.quotas.getServiceQuota({ ServiceCode: 'ec2', QuotaCode: code }).then(
    ({ Quota }) => Quota?.Value,
    () => undefined, // not allowed to ask, or not known: then it is unknown
  )
}

/** Looks at a plan before it is applied. @returns lines for a person. @throws UserError where its nodes cannot be, or cannot hold the stack. */
export async function checkRoom(aws: Aws, plan: PlanJson, what: string): Promise<readonly string[]> {
  const groups = groupsOf(plan)
  const sizes = await sizesOf(aws, [...new Set(groups.flatMap(({ types }) => types))])
  const fit = fitOf(groups, sizes)
  const next = 'Raise desired_size or the instance types in cloud/environments'
  if (!fit.ok) throw new UserError({ what, why: `the stack does not fit. ${fit.lines.join('. ')}`, next })
  const quotas = await Promise.all(
    QUOTAS.map(async ({ capacityType, code, what: of }) => {
      const wanted = groups.filter((group) => group.capacityType === capacityType)
      const need = wanted.reduce((sum, { max, types }) => sum + max * smallest(types, sizes).vcpus, 0)
      const quota = await quotaOf(aws, code)
      if (quota === undefined || quota >= need) return `${of}: ${need} at most, of a quota of ${quota ?? 'unknown'}`
      const ask = `Ask for more: aws service-quotas request-service-quota-increase --service-code ec2 --quota-code ${code} --desired-value ${need}`
      throw new UserError({ what, why: `the account may run ${quota} ${of}, and the groups may come to ${need}`, next: ask })
    }),
  )
  return [...fit.lines, ...quotas]
}

async function sizesOf(aws: Aws, types: readonly string[]): Promise<ReadonlyMap<string, NodeSize>> {
  if (types.length === 0) return new Map()
  const { InstanceTypes = [] } = await aws.ec2.describeInstanceTypes({ InstanceTypes: types as never[] }).catch((thrown) => {
    throw new Failure({ what: 'Cannot look up the instance types', why: messageOf(thrown) }, thrown)
  })
  return new Map(InstanceTypes.map((info) => [String(info.InstanceType), sizeOf(info)]))
}
