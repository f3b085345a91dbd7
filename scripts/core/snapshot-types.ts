/** Snapshots of whole clusters, as a provider gives them. */
import type { Cluster, StartRequest } from './types.ts'

/** What the cluster and the stack in a snapshot are made of, each by its name: a version, or twelve hex digits of what went into it. */
export type SnapshotKey = Readonly<Record<string, string>>

export interface SnapshotInfo {
  /** Of the snapshots of a cluster. */
  readonly label: string
  readonly cluster: string
  /** ISO 8601. */
  readonly takenAt: string
  readonly key: SnapshotKey
  /** The commit that the working tree stood on. */
  readonly commit?: string
  readonly bytes: number
}

export interface SnapshotRequest extends StartRequest {
  readonly label: string
  readonly key: SnapshotKey
  readonly commit?: string
}

export interface RestoreRequest extends StartRequest {
  /** Its label. */
  readonly from: string
  /** What would be installed now. */
  readonly key: SnapshotKey
}

/** Whole clusters, kept as files of this clone. */
export interface Snapshots {
  /** Newest first. */
  list(cluster: string): Promise<readonly SnapshotInfo[]>
  /** Packs a cluster while it rests, in place of one of the same label. @throws UserError where there is none */
  take(request: SnapshotRequest): Promise<SnapshotInfo>
  /** Puts a snapshot in the cluster's place. @throws UserError where there is none, or it was taken with something else */
  restore(request: RestoreRequest): Promise<Cluster>
  /** @returns whether there was one. */
  remove(cluster: string, label: string): Promise<boolean>
}
