/** The sweep against moto, with what teardowns are known to leave behind planted there: each is found, priced, and removed or reported. */
import { CloudWatchLogsClient, CreateLogGroupCommand } from '@aws-sdk/client-cloudwatch-logs'
import {
  AttachVolumeCommand,
  CreateNetworkInterfaceCommand,
  CreateSecurityGroupCommand,
  CreateSubnetCommand,
  CreateVolumeCommand,
  CreateVpcCommand,
  DescribeImagesCommand,
  EC2Client,
  type ResourceType,
  RunInstancesCommand,
} from '@aws-sdk/client-ec2'
import { CreateLoadBalancerCommand, ElasticLoadBalancingV2Client } from '@aws-sdk/client-elastic-load-balancing-v2'
import { messageOf } from '#kit/errors'
import { Aws } from '../../cloud/aws.ts'
import { mustBeGone } from '../../cloud/down.ts'
import { findLeftovers, renderSwept, sweep } from '../../cloud/sweep.ts'
import { CREDENTIALS } from '../rehearsal/double.ts'
import { REGION } from '../rehearsal/rehearsal.ts'
import { assert, suite, type Test } from '../suite.ts'
import { type Moto, startMoto } from './moto-fixture.ts'

const test = suite('cloud sweep')

const OF = { name: 'holdfast-dev', project: 'holdfast', environment: 'dev' }
const INSTALL_TIMEOUT_MS = 300_000
let moto: Moto | undefined
let client: { region: string; endpoint: string; credentials: typeof CREDENTIALS }
let ec2: EC2Client
let subnets: string[] = []
let vpc = ''

const why = await startMoto().then(
  (started) => {
    moto = started
    client = { region: REGION, endpoint: started.url, credentials: CREDENTIALS }
    ec2 = new EC2Client(client)
    return undefined
  },
  (thrown: unknown) => `moto: ${messageOf(thrown)}`,
)
if (why !== undefined) test.skip('what a teardown leaves is found, priced, removed or reported', why)
/** Declares a test where moto can be had. */
const onMoto: (...given: Parameters<Test>) => void = why === undefined ? test : () => {}

const before = { ...process.env }
test.before(
  async () => {
    if (why !== undefined) return
    const { accessKeyId, secretAccessKey } = CREDENTIALS
    Object.assign(process.env, {
      AWS_ENDPOINT_URL: client.endpoint,
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
    })
    const { Vpc } = await ec2.send(new CreateVpcCommand({ CidrBlock: '10.9.0.0/16' }))
    vpc = Vpc?.VpcId ?? ''
    subnets = await Promise.all(['10.9.0.0/24', '10.9.1.0/24'].map(subnet))
  },
  { timeoutMs: INSTALL_TIMEOUT_MS },
)
test.after(async () => {
  process.env = before
  await moto?.[Symbol.asyncDispose]()
})

onMoto('where nothing is, nothing is found, and what is another cluster’s stays', async () => {
  await volume({ 'kubernetes.io/cluster/another': 'owned', project: 'another', env: 'dev' })
  assert.equal(await found(), [])
})

onMoto('a load balancer is found by its controller’s tag, with its price, and removed', async () => {
  const balancers = new ElasticLoadBalancingV2Client(client)
  await balancers.send(
    new CreateLoadBalancerCommand({ Name: 'left', Subnets: subnets, Tags: [{ Key: 'elbv2.k8s.aws/cluster', Value: OF.name }] }),
  )
  await removes(/^Removed load balancer arn:aws:elasticloadbalancing:.*\/left\/\S+ \(\$16\.4[23] a month\)$/)
})

onMoto('a volume of a claim is found, with its price, and removed', async () => {
  await volume({ project: 'holdfast', env: 'dev' })
  await removes(/^Removed volume vol-\S+ \(\$0\.64 a month\)$/)
  await volume({ KubernetesCluster: OF.name })
  await removes(/^Removed volume vol-\S+ \(\$0\.64 a month\)$/)
})

onMoto('the log group that EKS writes back is found by its name and removed', async () => {
  const logs = new CloudWatchLogsClient(client)
  await logs.send(new CreateLogGroupCommand({ logGroupName: `/aws/eks/${OF.name}/cluster` }))
  await removes(/^Removed log group \/aws\/eks\/holdfast-dev\/cluster \(price unknown\)$/)
})

onMoto('a network interface and a security group are found and removed, the interface first', async () => {
  const group = await ec2.send(
    new CreateSecurityGroupCommand({
      GroupName: 'k8s-left',
      Description: 'left',
      VpcId: vpc,
      TagSpecifications: tags('security-group', { 'elbv2.k8s.aws/cluster': OF.name }),
    }),
  )
  await ec2.send(
    new CreateNetworkInterfaceCommand({
      SubnetId: subnets[0] ?? '',
      Groups: [group.GroupId ?? ''],
      TagSpecifications: tags('network-interface', { 'cluster.k8s.amazonaws.com/name': OF.name }),
    }),
  )
  assert.equal(
    (await findLeftovers(aws(), OF)).map(({ kind }) => kind),
    ['network interface', 'security group'],
  )
  const { removed, left } = await sweep(aws(), OF)
  assert.equal([removed.map(({ kind }) => kind), left], [['network interface', 'security group'], []])
})

onMoto('a volume in use is nobody’s to take: it is reported with its price, and the teardown fails', async () => {
  const { Images: [image] = [] } = await ec2.send(new DescribeImagesCommand({ Owners: ['amazon'] }))
  const { Instances: [instance] = [] } = await ec2.send(
    new RunInstancesCommand({
      ImageId: image?.ImageId ?? '',
      InstanceType: 't3.large',
      MinCount: 1,
      MaxCount: 1,
      SubnetId: subnets[0] ?? '',
    }),
  )
  const VolumeId = await volume({ project: 'holdfast', env: 'dev' })
  await ec2.send(new AttachVolumeCommand({ VolumeId, InstanceId: instance?.InstanceId ?? '', Device: '/dev/sdf' }))
  const swept = await sweep(aws(), OF)
  assert.equal(renderSwept(swept), [`Left attached volume ${VolumeId} ($0.64 a month): nothing here may remove it`])
  assert.throws(
    () => mustBeGone(swept, 'dev'),
    new RegExp(`1 things of dev are left: \\nattached volume ${VolumeId} \\(\\$0\\.64 a month\\)`),
  )
})
const aws = () => new Aws(REGION)
const found = async () => (await findLeftovers(aws(), OF)).map(({ kind }) => kind)

/** Sweeps, and there was one thing, and then none. */
async function removes(pattern: RegExp): Promise<void> {
  const swept = await sweep(aws(), OF)
  const [line = '', ...others] = renderSwept(swept)
  assert.match(line, pattern)
  assert.equal(others, [])
  assert.equal(await found(), [])
}

async function subnet(CidrBlock: string, index: number): Promise<string> {
  const made = await ec2.send(new CreateSubnetCommand({ VpcId: vpc, CidrBlock, AvailabilityZone: `${REGION}${'ab'[index]}` }))
  return made.Subnet?.SubnetId ?? ''
}

const tags = (ResourceType: ResourceType, all: Readonly<Record<string, string>>) => [
  { ResourceType, Tags: Object.entries(all).map(([Key, Value]) => ({ Key, Value })) },
]

async function volume(all: Readonly<Record<string, string>>): Promise<string> {
  const made = await ec2.send(new CreateVolumeCommand({ AvailabilityZone: `${REGION}a`, Size: 8, TagSpecifications: tags('volume', all) }))
  return made.VolumeId ?? ''
}

test.run()
