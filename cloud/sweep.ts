/** What a teardown leaves in AWS, found by its tags: each with what it costs, removed where that is safe, reported where it is not. */
import { messageOf } from '#kit/errors'
import type { Aws } from './aws.ts'
import { estimateOf, type Priced } from './prices.ts'

export interface Leftover {
  readonly kind: string
  readonly id: string
  /** US dollars a month; undefined: the table does not say. */
  readonly monthly: number | undefined
  /** Absent where only a person should. */
  readonly remove?: () => Promise<unknown>
}

export interface Swept {
  readonly removed: readonly Leftover[]
  readonly left: readonly (Leftover & { readonly why: string })[]
}

export interface SweepOf {
  /** The cluster's name. */
  readonly name: string
  readonly project: string
  readonly environment: string
}

/** What controllers write on what they make for a cluster. */
const tagsOfCluster = ({ name }: SweepOf) => [
  { Key: 'elbv2.k8s.aws/cluster', Values: [name] },
  { Key: `kubernetes.io/cluster/${name}` },
  { Key: 'aws:eks:cluster-name', Values: [name] },
  { Key: 'karpenter.k8s.aws/cluster', Values: [name] },
]

/** Everything that is there of a cluster, each once. The order is that of removal: who holds another goes first. */
export async function findLeftovers(aws: Aws, of: SweepOf): Promise<readonly Leftover[]> {
  const tagged = await taggedArns(aws, of)
  const found = [
    ...balancers(aws, tagged),
    ...(await interfaces(aws, of)),
    ...(await groups(aws, of)),
    ...(await volumes(aws, of)),
    ...(await logGroups(aws, of)),
  ]
  const known = found.map(({ id }) => id)
  const others = tagged.filter((arn) => !known.some((id) => arn === id || arn.endsWith(`/${id}`) || arn.endsWith(`:${id}`)))
  const gone = await goneIds(aws, others)
  const there = others.filter((arn) => !isPassing(arn) && !gone.has(idOf(arn)))
  return [...found, ...there.map((arn) => ({ kind: 'resource', id: arn, monthly: monthlyOf(aws, arn) }))]
}

/** Load balancers and volumes: what must be gone before the cluster may go. */
export async function findHeld(aws: Aws, of: SweepOf): Promise<readonly Leftover[]> {
  return [...balancers(aws, await taggedArns(aws, of)), ...(await volumes(aws, of))]
}

const idOf = (arn: string) => arn.slice(arn.lastIndexOf('/') + 1)

/** Instances and NAT gateways are shown with their tags for an hour after they have ended. */
async function goneIds(aws: Aws, arns: readonly string[]): Promise<ReadonlySet<string>> {
  const ids = (type: string) => arns.filter((arn) => arn.includes(`:${type}/`)).map(idOf)
  const [gateways, instances] = [ids('natgateway'), ids('instance').filter((id) => id.startsWith('i-'))]
  const [nat, ec2] = await Promise.all([
    gateways.length === 0 ? undefined : aws.ec2.describeNatGateways({ Filter: [{ Name: 'nat-gateway-id', Values: gateways }] }),
    instances.length === 0 ? undefined : aws.ec2.describeInstances({ Filters: [{ Name: 'instance-id', Values: instances }] }),
  ])
  const live = [
    ...(nat?.NatGateways ?? []).filter(({ State }) => State !== 'deleted').map(({ NatGatewayId }) => NatGatewayId),
    ...(ec2?.Reservations ?? [])
      .flatMap(({ Instances = [] }) => Instances)
      .filter(({ State }) => State?.Name !== 'terminated')
      .map(({ InstanceId }) => InstanceId),
  ]
  return new Set([...gateways, ...instances].filter((id) => !live.includes(id)))
}

const TYPES: readonly (readonly [RegExp, string])[] = [
  [/:natgateway\//, 'aws_nat_gateway'],
  [/:elastic-ip\//, 'aws_eip'],
  [/:eks:[^:]*:[^:]*:cluster\//, 'aws_eks_cluster'],
]

function monthlyOf(aws: Aws, arn: string): number | undefined {
  const type = TYPES.find(([pattern]) => pattern.test(arn))?.[1]
  return type === undefined ? undefined : monthlyOfType(aws, type)
}

const monthlyOfType = (aws: Aws, type: string, values: Priced['values'] = {}) =>
  estimateOf([{ type, values }], aws.region).lines[0]?.monthly

/** A key waits for its deletion and costs nothing; a database's last snapshot is kept on purpose. */
const isPassing = (arn: string) => /^arn:[^:]+:kms:/.test(arn) || /^arn:[^:]+:rds:[^:]*:[^:]*:snapshot:/.test(arn)

const TRIES = 3

/** Removes what it can, again and again as long as that helps: one may hold another. */
export async function sweep(aws: Aws, of: SweepOf): Promise<Swept> {
  const removed = new Map<string, Leftover>()
  const refusals = new Map<string, string>()
  for (let tries = 1; tries <= TRIES; tries += 1) {
    const found = (await findLeftovers(aws, of)).filter(({ remove }) => remove !== undefined)
    if (found.length === 0) break
    for (const leftover of found) {
      await leftover.remove?.().then(
        () => removed.set(leftover.id, leftover),
        (thrown) => refusals.set(leftover.id, messageOf(thrown)),
      )
    }
  }
  const left = await findLeftovers(aws, of)
  for (const { id } of left) removed.delete(id)
  return {
    removed: [...removed.values()],
    left: left.map((each) => ({ ...each, why: refusals.get(each.id) ?? 'nothing here may remove it' })),
  }
}

export function renderSwept({ removed, left }: Swept): string[] {
  return [...removed.map((each) => `Removed ${describe(each)}`), ...left.map(({ why, ...each }) => `Left ${describe(each)}: ${why}`)]
}

export function describe({ kind, id, monthly }: Leftover): string {
  return `${kind} ${id} (${monthly === undefined ? 'price unknown' : monthly === 0 ? 'free' : `$${monthly.toFixed(2)} a month`})`
}

async function taggedArns(aws: Aws, of: SweepOf): Promise<string[]> {
  const own = [
    { Key: 'project', Values: [of.project] },
    { Key: 'env', Values: [of.environment] },
  ]
  const all = await Promise.all([arnsWith(aws, own), ...tagsOfCluster(of).map((filter) => arnsWith(aws, [filter]))])
  return [...new Set(all.flat())].toSorted()
}

async function arnsWith(aws: Aws, TagFilters: { Key: string; Values?: string[] }[]): Promise<string[]> {
  const arns: string[] = []
  let PaginationToken: string | undefined
  do {
    const page = await aws.tags.getResources({ TagFilters, ...(PaginationToken === undefined ? {} : { PaginationToken }) })
    arns.push(...(page.ResourceTagMappingList ?? []).flatMap(({ ResourceARN }) => ResourceARN ?? []))
    PaginationToken = page.PaginationToken === '' ? undefined : page.PaginationToken
  } while (PaginationToken !== undefined)
  return arns
}

function balancers(aws: Aws, tagged: readonly string[]): Leftover[] {
  return tagged.flatMap((id): Leftover[] => {
    if (/:loadbalancer\/(app|net|gwy)\//.test(id)) {
      const remove = () => aws.loadBalancers.deleteLoadBalancer({ LoadBalancerArn: id })
      return [{ kind: 'load balancer', id, monthly: monthlyOfType(aws, 'aws_lb'), remove }]
    }
    if (/:targetgroup\//.test(id))
      return [
        {
          kind: 'target group',
          id,
          monthly: 0,
          remove: () => aws.loadBalancers.deleteTargetGroup({ TargetGroupArn: id }),
        },
      ]
    return []
  })
}

/** Only those that nobody uses: the CNI leaves them when its node goes before it. */
async function interfaces(aws: Aws, { name }: SweepOf): Promise<Leftover[]> {
  const Filters = [
    { Name: 'status', Values: ['available'] },
    { Name: 'tag:cluster.k8s.amazonaws.com/name', Values: [name] },
  ]
  const { NetworkInterfaces = [] } = await aws.ec2.describeNetworkInterfaces({ Filters })
  return NetworkInterfaces.flatMap(({ NetworkInterfaceId: id }) =>
    id === undefined
      ? []
      : [
          {
            kind: 'network interface',
            id,
            monthly: 0,
            remove: () => aws.ec2.deleteNetworkInterface({ NetworkInterfaceId: id }),
          },
        ],
  )
}

async function groups(aws: Aws, of: SweepOf): Promise<Leftover[]> {
  const ids = new Set<string>()
  for (const { Key, Values } of tagsOfCluster(of)) {
    const filter = Values === undefined ? { Name: 'tag-key', Values: [Key] } : { Name: `tag:${Key}`, Values }
    const { SecurityGroups = [] } = await aws.ec2.describeSecurityGroups({ Filters: [filter] })
    for (const { GroupId } of SecurityGroups) if (GroupId !== undefined) ids.add(GroupId)
  }
  return [...ids].map((id) => ({
    kind: 'security group',
    id,
    monthly: 0,
    remove: () => aws.ec2.deleteSecurityGroup({ GroupId: id }),
  }))
}

/** One that is attached is somebody's: it is reported, and not taken. */
async function volumes(aws: Aws, { name, project, environment }: SweepOf): Promise<Leftover[]> {
  const own = [
    { Name: 'tag:project', Values: [project] },
    { Name: 'tag:env', Values: [environment] },
  ]
  const byCluster = [{ Name: 'tag-key', Values: [`kubernetes.io/cluster/${name}`] }]
  const byKey = [{ Name: 'tag:KubernetesCluster', Values: [name] }]
  const all = await Promise.all([own, byCluster, byKey].map((Filters) => aws.ec2.describeVolumes({ Filters })))
  const byId = new Map(all.flatMap(({ Volumes = [] }) => Volumes.map((volume) => [volume.VolumeId ?? '', volume] as const)))
  return [...byId].map(([id, { Size = 0, State }]) => {
    const monthly = monthlyOfType(aws, 'aws_ebs_volume', { size: Size })
    const remove = () => aws.ec2.deleteVolume({ VolumeId: id })
    return { kind: State === 'in-use' ? 'attached volume' : 'volume', id, monthly, ...(State === 'in-use' ? {} : { remove }) }
  })
}

/** EKS writes its last lines after its cluster has gone, and the group is back, without tags and kept for ever. */
async function logGroups(aws: Aws, { name, project }: SweepOf): Promise<Leftover[]> {
  const prefixes = [`/aws/eks/${name}/`, `/${project}/${name}/`, `/aws/rds/instance/${name}/`, `/aws/containerinsights/${name}/`]
  const found = await Promise.all(prefixes.map((logGroupNamePrefix) => aws.logs.describeLogGroups({ logGroupNamePrefix })))
  return found.flatMap(({ logGroups: list = [] }) =>
    list.flatMap(({ logGroupName: id }) =>
      id === undefined ? [] : [{ kind: 'log group', id, monthly: undefined, remove: () => aws.logs.deleteLogGroup({ logGroupName: id }) }],
    ),
  )
}
