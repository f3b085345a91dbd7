/** What EKS keeps of a cluster, and its REST API over it: https://docs.aws.amazon.com/eks/latest/APIReference/ */
import { randomUUID } from 'node:crypto'
import type { Answer, Behind, EksRequest, Json, Stored, StoredCluster, StoredEntry, StoredGroup, Tags } from './eks-types.ts'

export const ACCOUNT = '123456789012'
const ACTIVE = 'ACTIVE'
const now = () => Date.now() / 1000

/** An error as EKS writes it. */
class Refusal extends Error {
  readonly status: number
  constructor(name: string, status: number, message: string) {
    super(message)
    this.name = name
    this.status = status
  }
}
const missing = (what: string) => new Refusal('ResourceNotFoundException', 404, `No ${what}`)
const inUse = (what: string) => new Refusal('ResourceInUseException', 409, `${what} is in use`)

export class EksApi {
  readonly clusters = new Map<string, StoredCluster>()
  readonly #behind: Behind
  readonly #region: string

  constructor(behind: Behind, region: string) {
    this.#behind = behind
    this.#region = region
  }

  /** Never throws: a request that it does not know is a fault of the double, and says so. */
  async answer(request: EksRequest): Promise<Answer> {
    try {
      const body = await this.#route(request)
      return { status: 200, body }
    } catch (thrown) {
      if (!(thrown instanceof Refusal)) throw thrown
      return { status: thrown.status, body: { __type: thrown.name, message: thrown.message } }
    }
  }

  async #route({ method, path, query, body }: EksRequest): Promise<unknown> {
    const [root, name, kind, id, ...rest] = path
    if (root === 'tags') return this.#tags(method, { arn: path.slice(1).join('/'), query, body })
    if (root !== 'clusters') throw unknown(method, path)
    if (name === undefined) return method === 'POST' ? this.#createCluster(body) : { clusters: [...this.clusters.keys()] }
    const cluster = this.#cluster(name)
    if (kind === undefined) return method === 'DELETE' ? this.#deleteCluster(cluster) : { cluster: this.#shown(cluster) }
    const answer = this.#kinds[kind]
    if (answer === undefined) throw unknown(method, path)
    return answer({ method, cluster, id, rest, body })
  }

  /** What is asked of a cluster, by the part of the path behind its name. */
  readonly #kinds: Readonly<Record<string, (call: Call) => unknown>> = {
    'node-groups': (call) => this.#groups(call),
    addons: (call) => this.#addons(call),
    'access-entries': (call) => this.#entries(call),
    'pod-identity-associations': (call) => this.#associations(call),
    updates: (call) => this.#updates(call),
    'update-config': ({ cluster }) => this.#update(cluster, 'ConfigUpdate'),
  }

  #cluster(name: string): StoredCluster {
    const cluster = this.clusters.get(name)
    if (cluster === undefined) throw missing(`cluster found for name: ${name}.`)
    return cluster
  }

  #arn(type: string, ...parts: readonly string[]): string {
    return `arn:aws:eks:${this.#region}:${ACCOUNT}:${type}/${parts.join('/')}`
  }

  // ── Clusters ──────────────────────────────────────────────────────────────────────────────────────────────────────

  #createCluster(request: Json): unknown {
    const name = String(request.name)
    if (this.clusters.has(name)) throw new Refusal('ResourceInUseException', 409, `Cluster already exists with name: ${name}`)
    const cluster: StoredCluster = {
      name,
      request,
      createdAt: now(),
      status: 'CREATING',
      tags: { ...(request.tags as Tags) },
      groups: new Map(),
      addons: new Map(),
      entries: new Map(),
      associations: new Map(),
      updates: new Map(),
    }
    this.clusters.set(name, cluster)
    this.#behind.create(cluster).then(
      (access) => Object.assign(cluster, { access, status: ACTIVE }),
      (thrown: unknown) => Object.assign(cluster, { problem: String(thrown), status: 'FAILED' }),
    )
    return { cluster: this.#shown(cluster) }
  }

  #deleteCluster(cluster: StoredCluster): unknown {
    if (cluster.groups.size > 0) throw inUse(`Cluster ${cluster.name}, which has node groups,`)
    cluster.status = 'DELETING'
    this.#behind.remove(cluster).then(
      () => this.clusters.delete(cluster.name),
      (thrown: unknown) => Object.assign(cluster, { problem: String(thrown), status: 'FAILED' }),
    )
    return { cluster: this.#shown(cluster) }
  }

  #shown({ name, request, status, access, tags, createdAt, problem }: StoredCluster): Json {
    const vpc = request.resourcesVpcConfig as Json
    const config = request.accessConfig as Json
    return {
      name,
      arn: this.#arn('cluster', name),
      createdAt,
      version: request.version,
      roleArn: request.roleArn,
      status,
      platformVersion: 'eks.1',
      resourcesVpcConfig: {
        securityGroupIds: [],
        ...vpc,
        ...(access === undefined ? {} : { vpcId: access.vpcId, clusterSecurityGroupId: access.securityGroupId }),
      },
      kubernetesNetworkConfig: { serviceIpv4Cidr: '10.43.0.0/16', ipFamily: 'ipv4', elasticLoadBalancing: { enabled: false } },
      logging: request.logging,
      identity: { oidc: { issuer: `https://oidc.eks.${this.#region}.amazonaws.com/id/${name}` } },
      accessConfig: { authenticationMode: config.authenticationMode },
      upgradePolicy: request.upgradePolicy,
      encryptionConfig: request.encryptionConfig,
      health: { issues: problem === undefined ? [] : [{ code: 'InternalFailure', message: problem }] },
      tags,
      ...(access === undefined ? {} : { endpoint: access.endpoint, certificateAuthority: { data: access.ca } }),
    }
  }

  #update(cluster: StoredCluster, type: string): unknown {
    const update = { id: randomUUID(), status: 'Successful', type, params: [], createdAt: now(), errors: [] }
    cluster.updates.set(update.id, update)
    return { update }
  }

  #updates({ cluster, id = '' }: Call): unknown {
    const update = cluster.updates.get(id)
    if (update === undefined) throw missing(`update found for ID: ${id}`)
    return { update }
  }

  // ── What a cluster has ────────────────────────────────────────────────────────────────────────────────────────────

  async #groups(call: Call): Promise<unknown> {
    const { method, cluster, id, rest, body } = call
    if (method === 'POST' && id === undefined) return { nodegroup: this.#shownGroup(cluster, await this.#addGroup(cluster, body)) }
    if (id === undefined) return { nodegroups: [...cluster.groups.keys()] }
    const group = cluster.groups.get(id)
    if (group === undefined) throw missing(`node group found for name: ${id}.`)
    if (rest[0] === 'update-config' || rest[0] === 'update-version') {
      group.request = { ...group.request, ...body }
      return this.#update(cluster, 'ConfigUpdate')
    }
    if (method !== 'DELETE') return { nodegroup: this.#shownGroup(cluster, group) }
    group.status = 'DELETING'
    void this.#behind.removeNodes(cluster, group).then(
      () => cluster.groups.delete(id),
      () => (group.status = 'DELETE_FAILED'),
    )
    return { nodegroup: this.#shownGroup(cluster, group) }
  }

  async #addGroup(cluster: StoredCluster, asked: Json): Promise<StoredGroup> {
    const template = asked.launchTemplate as { id: string }
    const request: Json = { ...asked, launchTemplate: { ...template, name: await this.#behind.nameTemplate(template.id) } }
    const name = String(request.nodegroupName)
    if (cluster.groups.has(name)) throw inUse(`Node group ${name}`)
    const arn = this.#arn('nodegroup', cluster.name, name, randomUUID())
    const group = { name, arn, request, createdAt: now(), status: 'CREATING', tags: { ...(request.tags as Tags) } }
    cluster.groups.set(name, group)
    this.#behind.addNodes(cluster, group).then(
      () => (group.status = ACTIVE),
      () => (group.status = 'CREATE_FAILED'),
    )
    return group
  }

  #shownGroup(cluster: StoredCluster, { name, arn, request, status, tags, createdAt }: StoredGroup): Json {
    const { clientRequestToken: _, ...asked } = request
    const version = request.version ?? cluster.request.version
    return {
      ...asked,
      nodegroupName: name,
      nodegroupArn: arn,
      clusterName: cluster.name,
      version,
      releaseVersion: `${version}.0-20261101`,
      createdAt,
      modifiedAt: createdAt,
      status,
      tags,
      resources: { autoScalingGroups: [{ name: `eks-${name}` }] },
      health: { issues: [] },
    }
  }

  #addons({ method, cluster, id, rest, body }: Call): unknown {
    if (method === 'POST' && id === undefined) return { addon: shownAddon(cluster, String(body.addonName), this.#addAddon(cluster, body)) }
    if (id === undefined) return { addons: [...cluster.addons.keys()] }
    const addon = cluster.addons.get(id)
    if (addon === undefined) throw missing(`addon: ${id} found in cluster: ${cluster.name}`)
    if (rest[0] === 'update') {
      addon.request = { ...addon.request, ...body }
      return this.#update(cluster, 'AddonUpdate')
    }
    if (method === 'DELETE') cluster.addons.delete(id)
    return { addon: shownAddon(cluster, id, method === 'DELETE' ? { ...addon, status: 'DELETING' } : addon) }
  }

  #addAddon(cluster: StoredCluster, request: Json): Stored {
    const name = String(request.addonName)
    const arn = this.#arn('addon', cluster.name, name, randomUUID())
    const addon: Stored = { arn, request, createdAt: now(), status: 'CREATING', tags: { ...(request.tags as Tags) } }
    cluster.addons.set(name, addon)
    this.#behind.installAddon(name).then(
      () => (addon.status = ACTIVE),
      () => (addon.status = 'CREATE_FAILED'),
    )
    return addon
  }

  #entries({ method, cluster, id, rest, body }: Call): unknown {
    if (method === 'POST' && id === undefined)
      return { accessEntry: shownEntry(cluster, String(body.principalArn), this.#addEntry(cluster, body)) }
    if (id === undefined) return { accessEntries: [...cluster.entries.keys()] }
    const entry = cluster.entries.get(id)
    if (entry === undefined) throw missing(`access entry found for principal: ${id}`)
    if (rest[0] === 'access-policies') return this.#policies(entry, { method, cluster, id, rest: rest.slice(1), body })
    if (method === 'DELETE') cluster.entries.delete(id)
    if (method === 'POST') entry.request = { ...entry.request, ...body }
    return method === 'DELETE' ? {} : { accessEntry: shownEntry(cluster, id, entry) }
  }

  #addEntry(cluster: StoredCluster, request: Json): StoredEntry {
    const principal = String(request.principalArn)
    if (cluster.entries.has(principal)) throw inUse(`Access entry ${principal}`)
    const arn = this.#arn('access-entry', cluster.name, principal.replace(/^.*:/, ''), randomUUID())
    const entry = { arn, request, createdAt: now(), status: ACTIVE, tags: { ...(request.tags as Tags) }, policies: new Map() }
    cluster.entries.set(principal, entry)
    return entry
  }

  #policies(entry: StoredEntry, { method, cluster, id, rest: [policyArn], body }: Call): unknown {
    const shown = ([arn, policy]: [string, { accessScope: unknown; associatedAt: number }]) => ({
      policyArn: arn,
      accessScope: { namespaces: [], ...(policy.accessScope as Json) },
      associatedAt: policy.associatedAt,
      modifiedAt: policy.associatedAt,
    })
    const named = { clusterName: cluster.name, principalArn: id }
    if (method === 'DELETE') {
      entry.policies.delete(policyArn ?? '')
      return {}
    }
    if (method !== 'POST') return { ...named, associatedAccessPolicies: [...entry.policies].map(shown) }
    const policy = { accessScope: body.accessScope, associatedAt: now() }
    entry.policies.set(String(body.policyArn), policy)
    return { ...named, associatedAccessPolicy: shown([String(body.policyArn), policy]) }
  }

  #associations({ method, cluster, id, body }: Call): unknown {
    const shown = (key: string, { arn, request, createdAt, tags }: Stored) => ({
      clusterName: cluster.name,
      namespace: request.namespace,
      serviceAccount: request.serviceAccount,
      roleArn: request.roleArn,
      associationArn: arn,
      associationId: key,
      tags,
      createdAt,
      modifiedAt: createdAt,
    })
    if (method === 'POST' && id === undefined) {
      const key = `a-${randomUUID().replaceAll('-', '').slice(0, 17)}`
      const arn = this.#arn('podidentityassociation', cluster.name, key)
      const stored: Stored = { arn, request: body, createdAt: now(), status: ACTIVE, tags: { ...(body.tags as Tags) } }
      cluster.associations.set(key, stored)
      return { association: shown(key, stored) }
    }
    if (id === undefined) return { associations: [...cluster.associations].map(([key, stored]) => shown(key, stored)) }
    const stored = cluster.associations.get(id)
    if (stored === undefined) throw missing(`association ${id}`)
    if (method === 'POST') stored.request = { ...stored.request, ...body }
    if (method === 'DELETE') cluster.associations.delete(id)
    return { association: shown(id, stored) }
  }

  // ── Tags ──────────────────────────────────────────────────────────────────────────────────────────────────────────

  #tags(method: string, { arn, query, body }: { arn: string; query: URLSearchParams; body: Json }): unknown {
    const tagged = this.#tagged().find((each) => each.arn === arn)
    if (tagged === undefined) throw missing(`resource ${arn}`)
    if (method === 'POST') Object.assign(tagged.of.tags, body.tags)
    if (method === 'DELETE') for (const key of query.getAll('tagKeys')) delete tagged.of.tags[key]
    return method === 'GET' ? { tags: tagged.of.tags } : {}
  }

  /** All that has tags, by its ARN: also for the tagging API, which moto knows nothing of EKS for. */
  #tagged(): { readonly arn: string; readonly of: { readonly tags: Tags } }[] {
    return [...this.clusters.values()].flatMap((cluster) => [
      { arn: this.#arn('cluster', cluster.name), of: cluster },
      ...[cluster.groups, cluster.addons, cluster.entries, cluster.associations].flatMap((map) =>
        [...map.values()].map((of: Stored) => ({ arn: of.arn, of })),
      ),
    ])
  }
}

interface Call {
  readonly method: string
  readonly cluster: StoredCluster
  readonly id: string | undefined
  readonly rest: readonly string[]
  readonly body: Json
}

const unknown = (method: string, path: readonly string[]) =>
  new Refusal('InvalidRequestException', 501, `The double does not know ${method} /${path.join('/')}`)

function shownAddon({ name: clusterName }: StoredCluster, addonName: string, { arn, request, status, tags, createdAt }: Stored): Json {
  const { addonVersion, configurationValues, serviceAccountRoleArn } = request
  return {
    addonName,
    clusterName,
    status,
    addonVersion,
    health: { issues: [] },
    addonArn: arn,
    createdAt,
    modifiedAt: createdAt,
    tags,
    podIdentityAssociations: [],
    ...(configurationValues === undefined ? {} : { configurationValues }),
    ...(serviceAccountRoleArn === undefined ? {} : { serviceAccountRoleArn }),
  }
}

function shownEntry({ name: clusterName }: StoredCluster, principalArn: string, { arn, request, tags, createdAt }: Stored): Json {
  return {
    clusterName,
    principalArn,
    kubernetesGroups: request.kubernetesGroups ?? [],
    username: request.username ?? principalArn,
    type: request.type ?? 'STANDARD',
    accessEntryArn: arn,
    createdAt,
    modifiedAt: createdAt,
    tags,
  }
}
