/** The cloud commands with the real Terraform and provider, against moto and the double of EKS: what they make, keep, resume and take away. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CreateSecurityGroupCommand, DescribeVpcsCommand, EC2Client } from '@aws-sdk/client-ec2'
import { messageOf } from '#kit/errors'
import { command } from '../rehearsal/commands.ts'
import { CREDENTIALS, type Double, startDouble } from '../rehearsal/double.ts'
import type { Behind } from '../rehearsal/eks-types.ts'
import { REGION } from '../rehearsal/rehearsal.ts'
import { assert, suite, type Test } from '../suite.ts'
import { Tester } from './cloud-fixture.ts'
import { type Moto, startMoto } from './moto-fixture.ts'

const test = suite('cloud commands')

const MINUTES = { timeoutMs: 300_000 }
const UP = ['--infrastructure', '--yes', '--json', '--allow-cidr', '203.0.113.7']
let moto: Moto
let double: Double
let ec2: EC2Client
let env: Readonly<Record<string, string | undefined>>

const why = await unavailable()
if (why !== undefined) test.skip('the cloud commands without a cluster', why)
/** Declares a test where Terraform and moto can be had. */
const onTerraform: (...given: Parameters<Test>) => void = why === undefined ? test : () => {}

/** EKS without a cluster behind it: nobody asks its API here. */
const NOTHING: Omit<Behind, 'create'> = {
  async remove() {},
  async addNodes() {},
  async removeNodes() {},
  async installAddon() {},
  nameTemplate: async (id) => `template-${id}`,
}

async function unavailable(): Promise<string | undefined> {
  try {
    const tester = await Tester.open()
    if (typeof tester === 'string') return tester
    await tester[Symbol.asyncDispose]()
    moto = await startMoto()
    return undefined
  } catch (thrown) {
    return `terraform, moto: ${messageOf(thrown)}`
  }
}

test.before(async () => {
  if (why !== undefined) return
  ec2 = new EC2Client({ region: REGION, endpoint: moto.url, credentials: CREDENTIALS })
  const create: Behind['create'] = async () => ({ endpoint: 'https://127.0.0.1:1', ca: 'Y2E=', ...(await groupOfCluster()) })
  double = await startDouble({ region: REGION, motoUrl: moto.url, registry: '127.0.0.1:1', behind: { ...NOTHING, create } })
  const { accessKeyId, secretAccessKey } = CREDENTIALS
  const keys = { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey }
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-cloud-commands-'))
  env = { ...moto.env, ...keys, AWS_ENDPOINT_URL: double.url, HOLDFAST_DIR: folder, XDG_STATE_HOME: folder }
})
test.after(async () => {
  if (why !== undefined) return
  await double[Symbol.asyncDispose]()
  await moto[Symbol.asyncDispose]()
  await rm(env.HOLDFAST_DIR ?? '', { recursive: true, force: true })
})

onTerraform(
  'what is not there is neither shown nor taken down, and nothing is made for it',
  async () => {
    for (const [name, args] of [
      ['cloud-status', []],
      ['cloud-down', ['--confirm', 'dev']],
    ] as const) {
      const { exitCode, stderr } = await command(name, args, { env })
      assert.is(exitCode, 2)
      assert.match(stderr, /there is no state in us-east-2: no bucket holdfast-state-123456789012-us-east-2\. Run npm run cloud:up/)
    }
  },
  MINUTES,
)

onTerraform(
  'an apply that is interrupted is gone on with: what was made stays, and the rest is made',
  async () => {
    const stop = new AbortController()
    const onLine = (line: string) => {
      if (/Make it/.test(line)) setTimeout(() => stop.abort(), 6_000)
    }
    const first = await command('cloud-up', UP, { env, signal: stop.signal, onLine })
    assert.is(first.exitCode, 130, first.stderr)
    const { exitCode, stdout, stderr } = await command('cloud-up', UP, { env })
    assert.is(exitCode, 0, stderr)
    const { counts, refused } = JSON.parse(stdout).plan
    const { made, destroyed } = counts
    assert.ok(made > 0 && made < 86, `${made} were left to make`)
    assert.equal([destroyed, refused], [0, []]) // what was half-made may be made anew
  },
  MINUTES,
)

onTerraform(
  'then there is nothing to change, whoever looks, and who reaches the API is kept',
  async () => {
    const { exitCode, stdout } = await command('cloud-plan', ['--json', '--detailed-exitcode'], { env })
    assert.equal(JSON.parse(stdout).counts, { made: 0, changed: 0, replaced: 0, destroyed: 0 })
    assert.is(exitCode, 0)
    const status = await command('cloud-status', ['--json'], { env })
    assert.is(JSON.parse(status.stdout).state, 'ACTIVE')
  },
  MINUTES,
)

onTerraform(
  'cloud:down takes all of it, also where the cluster does not answer, and names what it found besides',
  async () => {
    const left = await leaveGroup()
    const { exitCode, stdout, stderr } = await command('cloud-down', ['--confirm', 'dev'], { env })
    assert.match(stdout, /The cluster could not be emptied: /)
    assert.match(stdout, new RegExp(`Removed security group ${left} \\(free\\)`))
    assert.match(stdout, /Nothing is left$/)
    assert.is(exitCode, 0, stderr)
    assert.is((await command('cloud-status', [], { env })).exitCode, 1)
    const again = await command('cloud-down', ['--confirm', 'dev'], { env })
    assert.match(again.stdout, /Destroyed 0 resources\nNothing is left$/)
  },
  MINUTES,
)

async function groupOfCluster(): Promise<{ vpcId: string; securityGroupId: string }> {
  const vpcId = await vpc()
  const { GroupId = '' } = await ec2.send(new CreateSecurityGroupCommand({ VpcId: vpcId, GroupName: 'eks-cluster', Description: 'EKS' }))
  return { vpcId, securityGroupId: GroupId }
}

async function vpc(): Promise<string> {
  const { Vpcs = [] } = await ec2.send(new DescribeVpcsCommand({ Filters: [{ Name: 'tag:project', Values: ['holdfast'] }] }))
  return Vpcs[0]?.VpcId ?? ''
}

/** As the load balancers' controller leaves one. */
async function leaveGroup(): Promise<string> {
  const Tags = [{ Key: 'elbv2.k8s.aws/cluster', Value: 'holdfast-dev' }]
  const TagSpecifications = [{ ResourceType: 'security-group' as const, Tags }]
  const { GroupId = '' } = await ec2.send(
    new CreateSecurityGroupCommand({ VpcId: await vpc(), GroupName: 'k8s-left', Description: 'left', TagSpecifications }),
  )
  return GroupId
}

test.run()
