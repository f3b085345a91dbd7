/** What the double of EKS keeps, is asked and answers, and what stands behind it. */
export type Json = Readonly<Record<string, unknown>>
export type Tags = Record<string, string>

/** What stands behind the API: nodes and credentials that are real, as far as a machine has them. */
export interface Behind {
  /** Starts the control plane. @returns where it is. */
  create(cluster: StoredCluster): Promise<Access>
  remove(cluster: StoredCluster): Promise<void>
  addNodes(cluster: StoredCluster, group: StoredGroup): Promise<void>
  /** The name of a launch template, which is asked for by its id and told by both. */
  nameTemplate(id: string): Promise<string>
  removeNodes(cluster: StoredCluster, group: StoredGroup): Promise<void>
  installAddon(name: string): Promise<void>
}

export interface Access {
  readonly endpoint: string
  /** PEM in base64. */
  readonly ca: string
  readonly vpcId: string
  readonly securityGroupId: string
}

export interface StoredCluster {
  readonly name: string
  readonly request: Json
  readonly createdAt: number
  status: 'CREATING' | 'ACTIVE' | 'DELETING' | 'FAILED'
  problem?: string
  access?: Access
  tags: Tags
  readonly groups: Map<string, StoredGroup>
  readonly addons: Map<string, Stored>
  readonly entries: Map<string, StoredEntry>
  readonly associations: Map<string, Stored>
  readonly updates: Map<string, Json>
}

export interface Stored {
  readonly arn: string
  request: Json
  readonly createdAt: number
  status: string
  tags: Tags
}

export interface StoredGroup extends Stored {
  readonly name: string
}

export interface StoredEntry extends Stored {
  readonly policies: Map<string, { readonly accessScope: unknown; readonly associatedAt: number }>
}

export interface Answer {
  readonly status: number
  readonly body: unknown
}

export interface EksRequest {
  readonly method: string
  /** Decoded, one part for each slash. */
  readonly path: readonly string[]
  readonly query: URLSearchParams
  readonly body: Json
}
