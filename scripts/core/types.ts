/** The language of the house: what a cluster, an image (in a file of its own), a part and a stack are. No behaviour lives here. */
import type { Images } from '#kit/images'
import type { Kube, KubeObject } from '#kit/kube'
import type { Progress } from '#kit/progress'
import type { Signing } from '#kit/signing'
import type { Condition } from '#kit/wait'
import type { Alerting } from './alerting.ts'
import type { PredicateName } from './attestation.ts'
import type { Check } from './doctor.ts'
import type { Environment } from './environments.ts'
import type { Digest, ImageSpec, StoredImage } from './image-types.ts'
import type { LoadGenerator } from './load.ts'
import type { FaultSwitch, NetworkSwitch, Scenario } from './scenario.ts'
import type { Snapshots } from './snapshot-types.ts'

export type * from './image-types.ts'

// ── Clusters ────────────────────────────────────────────────────────────────────────────────────────────────────────

/** One contract for k3s, EKS and, later, any kubeconfig: everything after "there is a cluster" is one code path. */
export interface Cluster {
  readonly name: string
  readonly kind: 'k3s' | 'eks' | 'kubeconfig'
  /** Path of a file of our own, mode 0600; the user's own is never written. */
  readonly kubeconfig: string
  readonly kube: Kube
  readonly can: Readonly<Record<Capability, boolean>>
  /** What it has from the start, so that no part of ours installs it again. */
  readonly brings: Readonly<Record<'metricsServer', boolean>>
  /** Host and port where this machine pushes: the registry that the nodes pull from. */
  readonly registry: string
  /** Where the nodes find an image, by its name, where that is not under the names that manifests have. */
  readonly repositories?: Readonly<Record<string, string>>
  /** What its service is public as, with the certificate of ACM. @default nothing of it is public */
  readonly ingress?: Readonly<Record<'host' | 'certificateArn', string>>
  /** Which durations hold on it. */
  readonly timing: TimingProfile['name']
  /** The environment that it is for. @default all of them, and the first follows the working tree */
  readonly environment?: Environment
  /** What its nodes run on, where that is ours to break. */
  readonly machines?: Machines
  /** The address on this machine of a published service. */
  address(service: ServiceName): string
  fetch(service: ServiceName, path: string, init?: RequestInit): Promise<Response>
}

/**
 * `secondNode`: it has one now. `apiServerProcess`: the API server is a process of its own, which something starts again. `ownSources`: its
 * Git server and its registry are ours to take away.
 */
export type Capability = 'tuneControlPlane' | 'restartNode' | 'secondNode' | 'networkPolicy' | 'apiServerProcess' | 'ownSources'

/** What the nodes of a cluster run on, by the nodes' names. */
export interface Machines {
  /** The one with the API server first. */
  list(): Promise<readonly Machine[]>
  /** Ends it at once and leaves it down, as a cut of its power would. @throws UserError for the one with the API server */
  lose(node: string): Promise<void>
  /** Starts one that is down, and waits until its node is ready; one that is gone for good is left alone. */
  start(node: string): Promise<void>
  /** Stops it in order and starts it again; `downMs` lie between, 0 by default. Its node is not waited for. */
  restart(node: string, options: { readonly downMs?: number; readonly signal: AbortSignal }): Promise<void>
  /** Ends the process of its API server at once (SIGKILL). */
  killApiServer(node: string): Promise<void>
  /** Whatever starts processes again there does nothing for so long, and then goes on by itself. */
  freezeSupervisor(node: string, forMs: number): Promise<void>
  /**
   * Takes a node's machine away and puts one of another version of Kubernetes in its place, with the same data, and waits until the node
   * is ready. It is not emptied before.
   */
  replace(node: string, request: ReplaceRequest): Promise<void>
}

export interface ReplaceRequest extends Run {
  /** The version. */
  readonly kubernetes: string
  readonly images: Images
}

export interface Machine {
  readonly node: string
  readonly hasApiServer: boolean
  readonly running: boolean
  /** Changes with every start. */
  readonly startedAt: string
}

/** Services that are published on this machine, each on a port of its own. The order fixes the ports: append only. */
export const SERVICE_NAMES = ['git', 'service', 'argocd', 'prometheus', 'alertmanager', 'sink'] as const
export type ServiceName = (typeof SERVICE_NAMES)[number]

/** What a command needs to get a cluster, whatever stands behind it. */
export interface ClusterProvider {
  readonly kubernetes: KubernetesVersions
  /** What the machine must have for a cluster with these images. */
  checks(place: ClusterPlace, images: readonly ImageSpec[]): readonly Check[]
  /**
   * What is not on this machine of what a cluster with these images needs. The network is not asked; an engine may be started to look.
   */
  lacking(request: UpRequest, specs: readonly ImageSpec[]): Promise<readonly string[]>
  /** Makes the machine ready. @returns where images are pushed, so that they can be made while the cluster starts. */
  prepare(request: UpRequest): Promise<{ readonly registry: string }>
  /** Starts the cluster, or continues with the one that is there. */
  up(request: UpRequest): Promise<Cluster>
  /** The running cluster of that name. */
  find(name: string): Promise<Cluster | undefined>
  /** Whether it is there at all, also stopped. */
  exists(name: string): Promise<boolean>
  /** Stops it, where it runs, until disposal starts it again. */
  pause(name: string): Promise<AsyncDisposable>
  /** Stops it in order; its data stays. @returns whether it ran */
  stop(name: string): Promise<boolean>
  /**
   * Starts what was stopped, as it was made: nothing of the working tree is looked at. Continues with one that runs.
   * @throws UserError where there is no such cluster
   */
  start(request: StartRequest): Promise<Cluster>
  readonly snapshots: Snapshots
  /** Removes all that was made for it. @returns a line for each thing removed. */
  down(request: DownRequest): Promise<string[]>
  /** What is there of one cluster, or of all that was made on this machine: a line for each thing. */
  listLeft(name?: string): Promise<readonly string[]>
  /** Ports on which something on this machine can be reached from elsewhere. */
  portsBeyondLoopback(): Promise<readonly number[]>
  /** Keeps other commands off this cluster. @throws UserError naming who holds it. */
  lock(name: string, command: string): Promise<AsyncDisposable>
}

/** The versions of Kubernetes that a cluster's nodes can be of; all are pinned alike. */
export interface KubernetesVersions {
  /** What a cluster is brought up with. */
  readonly pinned: string
  /** Oldest first. */
  readonly known: readonly string[]
}

/** Clusters that somebody else runs: made and removed by Terraform, found by their names. */
export interface CloudProvider {
  /** The cluster of an environment: `holdfast-dev`. */
  nameOf(environment: Environment): string
  /** The running cluster of that name. @throws UserError where AWS cannot be asked */
  find(name: string): Promise<Cluster | undefined>
  /** An image, by its digest, from the registry of one cluster to that of another. */
  copyImage(
    image: { readonly name: string; readonly digest: Digest },
    to: { readonly from: Cluster; readonly to: Cluster; readonly signal: AbortSignal },
  ): Promise<void>
}

/** What of a machine is a cluster's own. */
export interface ClusterPlace {
  readonly name: string
  /** First port of the cluster's block; undefined keeps the block that it has. */
  readonly portsFrom?: number
}

export interface UpRequest extends Run, ClusterPlace {
  /** How many nodes; undefined keeps those that it has. @default 1 for a new cluster */
  readonly nodes?: number
  /** Version of Kubernetes. @default the one that is pinned */
  readonly kubernetes?: string
  readonly images: Images
  /** Of what is on this machine alone; the process must have been told so: see `forbidNetwork`. @default false */
  readonly offline?: boolean
}

/** `images` for the registry beside it, should that be gone. */
export type StartRequest = Pick<UpRequest, 'name' | 'images' | keyof Run>

/** Without a signal: what is to be removed is removed, also after an interrupt. */
export interface DownRequest {
  readonly progress: Progress
  readonly name: string
  /** Also the image store and what was started on the machine. */
  readonly all: boolean
}

/** What every long piece of work takes. */
export interface Run {
  readonly progress: Progress
  readonly signal: AbortSignal
}

// ── Git ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

/** The names of the two refs: what stands in the working tree, and what runs. */
export interface Refs {
  readonly source: string
  readonly deploy: string
}

/** The remote that Argo CD reads, with its two refs: `source`, the working tree, and `deploy`, what runs. */
export interface GitRemote {
  /** As Argo CD sees it. */
  readonly url: string
  readonly refs: Refs
  /**
   * Pushes the working tree as one snapshot commit; the user's branch, index and stash are never written. In a remote of the user's own
   * the branch is theirs to push: it must hold what stands here.
   */
  pushSource(): Promise<Pushed>
  readDeploy(): Promise<DeployTree>
  /** Applies `edit` to the files of `deploy` and commits; on a race it is applied again to the newer tree. */
  updateDeploy(message: string, edit: (files: Map<string, string>) => void): Promise<Pushed>
  /** Keeps the commit that `source` names now, whatever it names later. @returns its id. */
  keepSource(): Promise<string>
  /** The commits of `deploy`, newest first and at most `limit`, each with those of these files that it has. */
  history(request: { readonly paths: readonly string[]; readonly limit: number }): Promise<readonly DeployCommit[]>
}

export interface Pushed {
  readonly sha: string
  readonly changed: boolean
}

export interface DeployTree {
  /** Undefined before the first commit. */
  readonly sha: string | undefined
  readonly files: ReadonlyMap<string, string>
}

export interface DeployCommit extends DeployTree {
  readonly sha: string
  readonly message: string
}

/** The user's own repository. It is only ever read. */
export interface SourceTree {
  /** The commit that the working tree stands on, and whether the tree is exactly it; undefined before the first commit. */
  head(): Promise<SourceHead | undefined>
  /** Full ids of all commits that begin so; at least four letters. */
  find(abbreviation: string): Promise<readonly string[]>
  /** Whether a commit comes before another one in its history; false where Git does not know both here. */
  precedes(sha: string, later: string): Promise<boolean>
  /** The project's files at a commit, in a folder of their own that is gone after disposal. @throws UserError where Git lacks some. */
  checkout(sha: string): Promise<AsyncDisposable & { readonly path: string }>
  /** Watches the files that would be pushed, from now on. @throws Failure where the system cannot watch so many folders */
  watch(): Promise<SourceWatch>
}

/** Nothing is missed between two calls of `next`. */
export interface SourceWatch extends Disposable {
  /** The next change of content, mode or name, once it has been quiet for a moment; undefined when the signal aborts first. */
  next(signal: AbortSignal): Promise<SourceChange | undefined>
}

export interface SourceChange {
  /** Relative to the project's root, sorted; those that went too. */
  readonly paths: readonly string[]
  /** When the first of it was noticed, by `performance.now()`. */
  readonly sinceMs: number
}

export interface SourceHead {
  readonly sha: string
  readonly clean: boolean
}

// ── Parts ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/** What a part is rendered for. */
export interface Target {
  readonly cluster: Cluster
  /** The environment that is rendered. */
  readonly environment: Environment
  readonly timing: TimingProfile
  readonly repoUrl: string
  /** @default `source` and `deploy` */
  readonly refs?: Refs
  /** Where what stands in the working tree is taken from. @default what `source` names, ever anew */
  readonly sourceRevision?: string
  /** Every image of the stack, by its `name`. */
  readonly images: ReadonlyMap<string, StoredImage>
}

/** A piece of the platform: its images, what Git holds for it, and the proofs that it works. */
export interface Part {
  readonly name: string
  /** The one kind of cluster that it is for. @default every kind */
  readonly only?: Cluster['kind']
  readonly namespaces: readonly NamespaceSpec[]
  readonly images: readonly ImageSpec[]
  /**
   * The image whose digest moves by environment, in `environments/<environment>/<part>.yaml` of `deploy`. Such a part has Applications
   * of its own in every environment that has a digest.
   */
  readonly release?: ImageSpec
  /** Objects rendered into `rendered/<part>/` of `deploy`; a part whose manifests stand in the working tree has none. */
  rendered?(target: Target): Promise<readonly KubeObject[]>
  /** Argo CD Applications, and AppProjects of its own; `values` are the part's in the target's environment. */
  applications(target: Target, values: Readonly<Record<string, unknown>>): readonly KubeObject[]
  /** Argo CD needs this part before it can sync anything: it is applied directly first, and adopted by its Application. */
  readonly bootstraps?: boolean
  /** Makes what must not stand in Git: secrets. Its namespaces are there. Safe to run again. */
  prepare?(cluster: Cluster, run: Run): Promise<void>
  /** What else must hold besides Synced and Healthy. Looks once; `terminal` ends the wait for the whole stack. */
  ready?(target: Target): Promise<Condition<void>>
  /** Lines for the person who brought the stack up. */
  hints?(target: Target): readonly string[]
  readonly scenarios: readonly Scenario[]
  /** Absent for a part that has one version alone. */
  readonly upgrades?: Upgrades
}

/** The versions that a part can be moved between while the stack runs. */
export interface Upgrades {
  /** What the working tree pins, and `local:up` installs. */
  readonly pinned: string
  /** The part at each of its versions, oldest first: all are pinned as the one that is installed. Images have one name at all of them. */
  readonly versions: ReadonlyMap<string, Part>
  /** Name of the image whose programs are of that version. The workloads that run it are labelled with it: see `VERSION_LABEL`. */
  readonly image: string
  /** Proofs that must hold before a move and after it. Load runs meanwhile: none may take away what it asks for. */
  readonly proofs: readonly string[]
  /** The version that a program of it names in this line of its log; undefined in any other. */
  says(line: string): string | undefined
}

export interface NamespaceSpec {
  readonly name: string
  readonly podSecurity: 'restricted' | 'baseline' | 'privileged'
  /** Hard limits of its ResourceQuota. */
  readonly quota: Readonly<Record<string, string>>
}

/** Durations that bounds are summed from. */
export interface TimingProfile {
  readonly name: 'local' | 'production'
  /** Argo CD: how long a change of a live object may wait to be seen, compared, and synced. */
  readonly selfHeal: Readonly<Record<'noticedMs' | 'comparedMs' | 'syncedMs', number>>
  /** The same for an object that is missing: nothing has to be compared field by field. */
  readonly recreate: TimingProfile['selfHeal']
  /** A commit: its push, Argo CD's look at it once told, the sync of the root and of what it changes. */
  readonly delivery: Readonly<Record<'pushMs' | 'seenMs' | 'syncedMs', number>>
  /** Argo CD compares every Application after this long even if nothing told it to. */
  readonly reconciliationMs: number
  /** Scrapes, windows and waits of monitoring are written for production; here they are this many times as fast. */
  readonly speedup: number
  /**
   * Autoscaling: how often the HPA looks, how often usage is measured, how long it holds before it scales in, how long a pod takes to
   * serve.
   */
  readonly hpa: Readonly<Record<'syncMs' | 'usageMs' | 'scaleInWindowMs' | 'podStartMs', number>>
  /**
   * Nodes: how often one says that it is there, how long it may keep silent, how often that is looked at, and how long its pods stay
   * bound to it once it is given up.
   */
  readonly nodes: Readonly<Record<'heartbeatMs' | 'graceMs' | 'monitorMs' | 'tolerationMs', number>>
}

/** How another version of Kubernetes is proven, on a cluster of its own. */
export interface KubernetesUpgrades {
  /** What is brought up there: as much of the platform as can move from one node to another while it serves. */
  readonly parts: readonly Part[]
  /** Proofs that must hold before the move and after it. */
  readonly proofs: readonly string[]
}

/** The composition root: an adopter edits the one object of this type. */
export interface Stack {
  readonly name: string
  readonly clusters: { readonly local: ClusterProvider; readonly eks: CloudProvider }
  readonly parts: readonly Part[]
  readonly kubernetes: KubernetesUpgrades
  /** Opens the remote that Argo CD reads for a cluster. */
  readonly git: (cluster: Cluster, signal: AbortSignal) => Promise<GitRemote>
  readonly source: SourceTree
  readonly timing: Readonly<Record<TimingProfile['name'], TimingProfile>>
  readonly load: LoadGenerator
  readonly faults: FaultSwitch
  readonly network: NetworkSwitch
  readonly alerting: Alerting
  /** The proofs that must have held for a digest in an environment before it may go on to the next. */
  readonly evidence: Readonly<Record<Environment, readonly string[]>>
  /** What must be attached to a digest, and signed, before it may come into an environment; the test result of the one before always is. */
  readonly attested: Readonly<Record<Environment, readonly PredicateName[]>>
  /** Who signs what is said of images here, and whom to believe. */
  readonly signing: Signing
}
