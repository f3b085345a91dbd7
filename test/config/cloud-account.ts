/** An account of AWS as far as moto and the double of EKS are one, without a cluster behind it: nobody asks its API here. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CreateSecurityGroupCommand, DescribeVpcsCommand, EC2Client } from '@aws-sdk/client-ec2'
import { S3 } from '@aws-sdk/client-s3'
import { messageOf } from '#kit/errors'
import { ensureDir } from '#kit/paths'
import { pending, ready, waitFor } from '#kit/wait'
import type { Aws } from '../../cloud/aws.ts'
import { OwnLock, readStateLock } from '../../cloud/lock.ts'
import { Terraform } from '../../cloud/terraform.ts'
import { command, type Ended } from '../rehearsal/commands.ts'
import { CREDENTIALS, type Double, OPERATOR, startDouble } from '../rehearsal/double.ts'
import type { Behind } from '../rehearsal/eks-types.ts'
import { REGION } from '../rehearsal/rehearsal.ts'
import { CLOUD, whyNoTerraform } from './cloud-fixture.ts'
import { type Moto, startMoto } from './moto-fixture.ts'

/** The commands' own, as they name it. */
export const BUCKET = `holdfast-state-123456789012-${REGION}`
/** As the commands give them. */
export const BUCKET_VARIABLES = { bucket: BUCKET, region: REGION, account_id: '123456789012', owner: OPERATOR, adopt: false }
/** A bucket that is simply there. */
export const STATES = 'states-of-this-test'

const NOTHING: Omit<Behind, 'create'> = {
  async remove() {},
  async addNodes() {},
  async removeNodes() {},
  async installAddon() {},
  nameTemplate: async (id) => `template-${id}`,
}

/** @returns why there is none, where Terraform or moto cannot be had. */
export async function openAccount(): Promise<Account | string> {
  const why = await whyNoTerraform()
  if (why !== undefined) return why
  return startMoto().then(
    (moto) => Account.open(moto),
    (thrown) => `moto: ${messageOf(thrown)}`,
  )
}

export class Account implements AsyncDisposable {
  readonly moto: Moto
  /** Of the commands, and of Terraform beside them. */
  readonly env: Readonly<Record<string, string | undefined>>
  readonly s3: S3
  readonly #folder: string
  readonly #double: Double
  readonly #ec2: EC2Client

  private constructor(parts: { readonly moto: Moto; readonly double: Double; readonly ec2: EC2Client; readonly folder: string }) {
    const { moto, double, ec2, folder } = parts
    const { accessKeyId, secretAccessKey } = CREDENTIALS
    this.moto = moto
    this.#double = double
    this.#ec2 = ec2
    this.s3 = new S3({ region: REGION, endpoint: moto.url, credentials: CREDENTIALS })
    this.#folder = folder
    const keys = { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey }
    this.env = { ...moto.env, ...keys, AWS_ENDPOINT_URL: double.url, HOLDFAST_DIR: folder, XDG_STATE_HOME: folder }
  }

  static async open(moto: Moto): Promise<Account> {
    const ec2 = new EC2Client({ region: REGION, endpoint: moto.url, credentials: CREDENTIALS })
    const create: Behind['create'] = async () => ({ endpoint: 'https://127.0.0.1:1', ca: 'Y2E=', ...(await groupOfCluster(ec2)) })
    const double = await startDouble({ region: REGION, motoUrl: moto.url, registry: '127.0.0.1:1', behind: { ...NOTHING, create } })
    const account = new Account({ moto, double, ec2, folder: await mkdtemp(join(tmpdir(), 'holdfast-account-')) })
    await account.s3.createBucket({ Bucket: STATES, CreateBucketConfiguration: { LocationConstraint: REGION } })
    return account
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#double[Symbol.asyncDispose]()
    await this.moto[Symbol.asyncDispose]()
    await rm(this.#folder, { recursive: true, force: true })
  }

  /** Terraform on one of the roots. @param name of its settings, for which there may be several of a root. */
  async open(root: string, name: string, signal?: AbortSignal): Promise<Terraform> {
    const options = { folder: join(CLOUD, root), dataDir: join(this.#folder, name, 'terraform'), env: this.env }
    return Terraform.open(signal === undefined ? options : { ...options, signal })
  }

  /** A state in a file, where the commands keep that of the bucket. */
  stateAt(name: string): { readonly values: { readonly path: string } } {
    return { values: { path: join(this.#folder, 'holdfast-state', `${name}.tfstate`) } }
  }

  /** One of our commands as a person runs it. */
  run(name: string, args: readonly string[] = []): Promise<Ended> {
    return command(name, args, { env: this.env })
  }

  /** Resolves once the bucket of the commands is there. */
  async untilBucket(): Promise<void> {
    const look = async () =>
      (await fetch(`${this.moto.url}/${BUCKET}`, { method: 'HEAD' })).status === 404 ? pending('it is not') : ready(undefined)
    await waitFor('the bucket to be there', look, { timeoutMs: 240_000, everyMs: 500 })
  }

  /** @param name of the state. @param seconds that an apply takes */
  async small(name: string, seconds: number): Promise<SmallState> {
    const folder = ensureDir(join(this.#folder, name))
    await writeFile(join(folder, 'main.tf'), small(seconds))
    const dataDir = join(folder, '.terraform')
    return { folder, dataDir, key: `${name}/terraform.tfstate`, record: join(folder, 'held.json') }
  }

  /** Writes a lock beside a state, as Terraform does. */
  async plantLock(bucket: string, key: string, lock: { readonly id: string; readonly who: string }): Promise<void> {
    const body = JSON.stringify({
      ID: lock.id,
      Operation: 'OperationTypePlan',
      Info: '',
      Who: lock.who,
      Version: '1.11.4',
      Created: '2026-11-26T05:06:07.89Z',
      Path: `${bucket}/${key}`,
    })
    await this.s3.putObject({ Bucket: bucket, Key: `${key}.tflock`, Body: body })
  }

  /** Where the commands remember the lock of dev's state. */
  get devRecord(): string {
    return join(ensureDir(join(this.#folder, 'holdfast-dev', 'terraform')), 'held.json')
  }

  /** As the load balancers' controller leaves one. @returns its id */
  async leaveGroup(): Promise<string> {
    const Tags = [{ Key: 'elbv2.k8s.aws/cluster', Value: 'holdfast-dev' }]
    const TagSpecifications = [{ ResourceType: 'security-group' as const, Tags }]
    const VpcId = await vpc(this.#ec2)
    const { GroupId = '' } = await this.#ec2.send(
      new CreateSecurityGroupCommand({ VpcId, GroupName: 'k8s-left', Description: 'left', TagSpecifications }),
    )
    return GroupId
  }
}

/** A state of its own for a root without a provider, whose apply takes some seconds. */
export interface SmallState {
  readonly folder: string
  readonly dataDir: string
  readonly key: string
  /** Where the lock is remembered. */
  readonly record: string
}

const small = (seconds: number) => `terraform {
  backend "s3" {}
}

resource "terraform_data" "quick" {
}

resource "terraform_data" "slow" {
  depends_on = [terraform_data.quick]

  provisioner "local-exec" {
    command = "sleep ${seconds}"
  }
}
`

/** Terraform on it, which remembers its lock, as the commands do. */
export async function openSmall(
  { folder, dataDir, key, record }: SmallState,
  { aws, ...options }: { readonly aws: Pick<Aws, 's3'>; readonly env?: Account['env']; readonly signal?: AbortSignal },
): Promise<{ readonly terraform: Terraform; readonly lock: OwnLock }> {
  const lock = new OwnLock(record, () => readStateLock(aws, { bucket: STATES, key }))
  const terraform = await Terraform.open({ folder, dataDir, lock, ...options })
  await terraform.init({ values: { bucket: STATES, region: REGION, key, use_lockfile: true } })
  return { terraform, lock }
}

async function groupOfCluster(ec2: EC2Client): Promise<{ vpcId: string; securityGroupId: string }> {
  const vpcId = await vpc(ec2)
  const { GroupId = '' } = await ec2.send(new CreateSecurityGroupCommand({ VpcId: vpcId, GroupName: 'eks-cluster', Description: 'EKS' }))
  return { vpcId, securityGroupId: GroupId }
}

async function vpc(ec2: EC2Client): Promise<string> {
  const { Vpcs = [] } = await ec2.send(new DescribeVpcsCommand({ Filters: [{ Name: 'tag:project', Values: ['holdfast'] }] }))
  return Vpcs[0]?.VpcId ?? ''
}
