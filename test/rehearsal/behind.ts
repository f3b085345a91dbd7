/** What stands behind the double of EKS: a cluster on this machine, of its own name and on its own ports. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  CreateSecurityGroupCommand,
  DeleteSecurityGroupCommand,
  DescribeLaunchTemplatesCommand,
  DescribeSubnetsCommand,
  type EC2Client,
} from '@aws-sdk/client-ec2'
import { parse } from 'yaml'
import type { Cluster } from '#core'
import { CLUSTER_LABEL, docker, inspect } from '#kit/docker'
import { Images } from '#kit/images'
import { Kube, refOf } from '#kit/kube'
import { clusterDir } from '#kit/paths'
import type { Progress } from '#kit/progress'
import { pending, ready, waitFor } from '#kit/wait'
import { localServerArgs } from '../../holdfast.config.ts'
import { localClusters } from '../../local/local.ts'
import type { NodeFile } from '../../local/node-config.ts'
import { registryHosting, registryService } from '../../local/registry/hosting.ts'
import { ACCOUNT } from './eks-api.ts'
import type { Access, Behind, StoredCluster, StoredGroup } from './eks-types.ts'

export const NAME = 'rehearsal'
const PORTS_FROM = 18_440
export const NETWORK = `holdfast-${NAME}`
const WEBHOOK = '/etc/rancher/k3s/token-webhook.yaml'
const SERVER_ARGS = [
  ...localServerArgs,
  `--kube-apiserver-arg=authentication-token-webhook-config-file=${WEBHOOK}`,
  '--kube-apiserver-arg=authentication-token-webhook-version=v1',
]
const PROVISIONER = 'ebs.csi.aws.com'
const NODES_TIMEOUT_MS = 60_000

export interface BehindOptions {
  readonly region: string
  /** moto's EC2, where the cluster's security group is. */
  readonly ec2: EC2Client
  /** Answers who somebody is, on an address that the node reaches. @returns its URL */
  readonly tokens: (cluster: string, host: string) => Promise<string>
  readonly progress: Progress
  readonly signal: AbortSignal
}

export function createBehind(options: BehindOptions): Behind & AsyncDisposable {
  const { progress, signal, ec2 } = options
  const images = new Images({ progress, signal })
  const mirrors = [`${ACCOUNT}.dkr.ecr.${options.region}.amazonaws.com`]
  const provider = (files: readonly NodeFile[] = []) => localClusters({ serverArgs: SERVER_ARGS, files, mirrors })
  const request = { name: NAME, portsFrom: PORTS_FROM, images, progress, signal }
  let files: readonly NodeFile[] = []
  let ready: Promise<unknown> = Promise.resolve()
  const bringUp = async (nodes: number) => forgetRegistry(await provider(files).up({ ...request, nodes }))
  const remove = async () => void (await provider().down({ name: NAME, all: false, progress }))
  return {
    async create(cluster) {
      files = [{ target: WEBHOOK, content: webhookConfig(await options.tokens(cluster.name, await gateway())) }]
      const started = bringUp(1)
      ready = started
      const [access] = await Promise.all([networkOf(ec2, cluster), started])
      return { ...access, ...(await endpoint()) }
    },
    async remove({ access }) {
      await remove()
      if (access !== undefined) await ec2.send(new DeleteSecurityGroupCommand({ GroupId: access.securityGroupId }))
    },
    async addNodes(_cluster, group) {
      // The node that is there stands for the group that must not go away, one more for that of Spot: this machine has two processors.
      const nodes = group.request.capacityType === 'ON_DEMAND' ? 1 : 2
      const before = ready
      ready = before.then(async () => {
        if (nodes > 1) await bringUp(nodes)
        await labelNode(nodes, group)
      })
      await ready
    },
    async removeNodes() {}, // they go with the cluster
    nameTemplate: (id) => templateName(ec2, id),
    installAddon: async (name) => {
      await ready
      if (name === 'aws-ebs-csi-driver') await makeVolumes()
    },
    [Symbol.asyncDispose]: remove,
  }
}

/** EKS says nothing of a registry on this machine. */
async function forgetRegistry({ kube }: Cluster): Promise<void> {
  await Promise.all([registryHosting(''), ...registryService('')].map((object) => kube.delete(refOf(object))))
}

async function templateName(ec2: EC2Client, id: string): Promise<string> {
  const { LaunchTemplates: [template] = [] } = await ec2.send(new DescribeLaunchTemplatesCommand({ LaunchTemplateIds: [id] }))
  return template?.LaunchTemplateName ?? ''
}

/** The network is made before its cluster, so that the host's address in it is known. */
export async function gateway(): Promise<string> {
  type Network = { IPAM: { Config: { Gateway: string }[] } }
  if ((await inspect('network', NETWORK)) === undefined) await docker(['network', 'create', '--label', `${CLUSTER_LABEL}=${NAME}`, NETWORK])
  return (await inspect<Network>('network', NETWORK))?.IPAM.Config[0]?.Gateway ?? ''
}

function webhookConfig(server: string): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'authenticator', cluster: { server } }],
    users: [{ name: 'api-server' }],
    contexts: [{ name: 'webhook', context: { cluster: 'authenticator', user: 'api-server' } }],
    'current-context': 'webhook',
  })
}

async function networkOf(ec2: EC2Client, { name, request }: StoredCluster): Promise<Pick<Access, 'vpcId' | 'securityGroupId'>> {
  const { subnetIds = [] } = request.resourcesVpcConfig as { subnetIds?: string[] }
  const { Subnets: [subnet] = [] } = await ec2.send(new DescribeSubnetsCommand({ SubnetIds: subnetIds }))
  const VpcId = subnet?.VpcId ?? ''
  const group = await ec2.send(new CreateSecurityGroupCommand({ VpcId, GroupName: `eks-cluster-sg-${name}`, Description: 'EKS created' }))
  return { vpcId: VpcId, securityGroupId: group.GroupId ?? '' }
}

const kubeconfigPath = () => join(clusterDir(NAME), 'kubeconfig')

async function endpoint(): Promise<Pick<Access, 'endpoint' | 'ca'>> {
  const { clusters } = parse(await readFile(kubeconfigPath(), 'utf8'))
  const { server, 'certificate-authority-data': ca } = clusters[0].cluster
  return { endpoint: server, ca }
}

/** The labels by which EKS's nodes are told apart. */
async function labelNode(number: number, { name, request }: StoredGroup): Promise<void> {
  const kube = Kube.fromFile(kubeconfigPath())
  const node = { apiVersion: 'v1', kind: 'Node', name: number === 1 ? `holdfast-${NAME}` : `holdfast-${NAME}.${number}` }
  const labels = {
    'eks.amazonaws.com/nodegroup': name,
    'eks.amazonaws.com/capacityType': request.capacityType,
    ...(request.labels as object),
  }
  const look = async () => ((await kube.get(node)) === undefined ? pending('not there') : ready(undefined))
  await waitFor(`the node of '${name}'`, look, { timeoutMs: NODES_TIMEOUT_MS })
  await kube.mergePatch(node, { metadata: { labels } })
}

/** The local provisioner under the name of EBS's driver. */
async function makeVolumes(): Promise<void> {
  const kube = Kube.fromFile(kubeconfigPath())
  const local = { apiVersion: 'storage.k8s.io/v1', kind: 'StorageClass', name: 'local-path' }
  await kube.mergePatch(local, { metadata: { annotations: { 'storageclass.kubernetes.io/is-default-class': 'false' } } })
  const provisioner = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'local-path-provisioner', namespace: 'kube-system' }
  const found = await kube.get(provisioner)
  const [container] = found?.spec.template.spec.containers ?? []
  const args = [...container.args, '--provisioner-name', PROVISIONER]
  await kube.apply(
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: provisioner.name, namespace: provisioner.namespace },
      spec: { template: { spec: { containers: [{ name: container.name, args }] } } },
    },
    'rehearsal',
  )
}
