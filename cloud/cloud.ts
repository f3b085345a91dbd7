/** EKS as the cloud of the stack: what the cloud commands are made of. */
import type { CloudProvider, Cluster, Digest, Environment, GitRemote, Part, Refs, Run, Stack, StoredImage } from '#core'
import { stackOn, storeImages } from '#core'
import { Failure, UserError } from '#kit/errors'
import type { Images } from '#kit/images'
import { type Kube, KubeError } from '#kit/kube'
import { pending, ready, terminal, waitFor } from '#kit/wait'
import { Aws, callerOf } from './aws.ts'
import { copyImages, copyPromoted } from './copy.ts'
import { type Down, mustBeGone, takeDown } from './down.ts'
import { describeCluster, findEks, kubeOf, openEks } from './eks.ts'
import type { PlatformOutputs } from './outputs.ts'
import { readKey, repository } from './part.ts'
import { bucketExists, bucketOf, clusterNameOf, ensureBucket, Place, type PlaceOptions } from './place.ts'
import { checkTools } from './preflight.ts'
import { type CloudFlags, type CloudRequest, parseCloud, regionHere, type Source } from './request.ts'
import { readSettings, type Settings, writeSettings } from './settings.ts'
import { type CloudStatus, readCloudStatus, renderCloudStatus } from './status.ts'
import { renderSwept } from './sweep.ts'
import { freeLock, type PlanRequest, Upbringing } from './up.ts'

export interface CloudOptions {
  /** A remote of the user's own, by the address that Argo CD reads it at. */
  readonly openRemote: (options: { readonly url: string; readonly refs: Refs; readonly signal: AbortSignal }) => GitRemote
  /** Where images are made. @returns host and port of the registry on this machine */
  readonly store: (request: { readonly images: Images } & Run) => Promise<string>
}

const API_TIMEOUT_MS = 120_000
/** An access entry is honoured some seconds after it was made. */
const UNAUTHORIZED = [401, 403]

export class Cloud implements CloudProvider {
  readonly #options: CloudOptions
  /** Argo CD's key to the user's remote. */
  readonly repository: Part

  constructor(options: CloudOptions) {
    this.#options = options
    this.repository = repository(() => new Aws(regionHere()))
  }

  nameOf(environment: Environment): string {
    return clusterNameOf(environment)
  }

  async find(name: string): Promise<Cluster | undefined> {
    await checkTools()
    const aws = new Aws(regionHere())
    await callerOf(aws) // the one error for credentials that are missing
    return findEks(aws, name)
  }

  async copyImage(
    image: { readonly name: string; readonly digest: Digest },
    { from, to, signal }: { readonly from: Cluster; readonly to: Cluster; readonly signal: AbortSignal },
  ): Promise<void> {
    await copyPromoted(image, { from: from.registry, to: to.registry, signal })
  }

  /** The remote that the cluster's Argo CD reads. */
  async openGit(cluster: Cluster, signal: AbortSignal): Promise<GitRemote> {
    const settings = await readSettings(cluster.kube)
    if (settings === undefined)
      throw new Failure({
        what: 'Cannot open the remote',
        why: `'${cluster.name}' does not say which it reads`,
        next: 'Run npm run cloud:up',
      })
    return this.#options.openRemote({ url: settings.repo, refs: settings.refs, signal })
  }

  /** From now on the region that is asked for is this process's, and that of what it starts. @throws UserError for what cannot be meant */
  parse(flags: CloudFlags, what: string): CloudRequest {
    const request = parseCloud(flags, what)
    process.env.AWS_REGION = request.region
    return request
  }

  /** Everything up to an apply. */
  plan(stack: Stack, request: PlanRequest): Promise<Upbringing> {
    return Upbringing.plan(this, stack, request)
  }

  /**
   * Checks credentials and opens the environment's state.
   * @param make whether the bucket of the state is made where it is missing, or also brought to what is wanted; else a missing one is refused
   */
  async open(
    request: CloudRequest,
    { make, what, ...run }: Run & { readonly make: 'never' | 'if-missing' | 'always'; readonly what: string },
  ): Promise<Place> {
    await checkTools()
    const aws = new Aws(request.region)
    const caller = await callerOf(aws)
    const options: PlaceOptions = { ...run, aws, caller, request }
    const bucket = bucketOf(caller, request.region)
    const isThere = make !== 'always' && (await bucketExists(bucket, request.region))
    if (!isThere && make !== 'never') await ensureBucket(options, bucket)
    else if (!isThere)
      throw new UserError({ what, why: `there is no state in ${request.region}: no bucket ${bucket}`, next: 'Run npm run cloud:up' })
    return Place.open(options, bucket)
  }

  /** Whether anything was ever made there: a bucket of states. @throws UserError for credentials that are missing */
  async hasState({ region }: CloudRequest): Promise<boolean> {
    return bucketExists(bucketOf(await callerOf(new Aws(region)), region), region)
  }

  /** Also where an earlier run has left the state locked. */
  async takeDown(place: Place): Promise<Down> {
    await freeLock(place, async (left) => place.options.progress.say(left))
    return takeDown(place)
  }

  renderDown({ destroyed, remarks, ...swept }: Down): readonly string[] {
    const end = swept.left.length === 0 ? ['Nothing is left'] : []
    return [...remarks, `Destroyed ${destroyed} resources`, ...renderSwept(swept), ...end]
  }

  /** @throws Failure naming each thing that is left */
  mustBeGone(down: Down, environment: Environment): void {
    mustBeGone(down, environment)
  }

  status(place: Place): Promise<CloudStatus> {
    return readCloudStatus(place)
  }

  renderStatus(status: CloudStatus): string {
    return renderCloudStatus(status)
  }

  /** What Argo CD will read is there, is what stands here, and can be read by its key. @throws UserError where not */
  async checkSource(request: CloudRequest, source: Source, signal: AbortSignal): Promise<void> {
    if (request.repoSecret !== undefined) await readKey(new Aws(request.region), request.repoSecret)
    await this.#options.openRemote({ url: source.repo, refs: refsOf(source, request.environment), signal }).pushSource()
  }

  /** The cluster that was made, once its API takes us, with our settings in it. */
  async connect(place: Place, source: Source): Promise<Cluster> {
    const { request, aws, progress, signal } = place.options
    const outputs = await place.outputs()
    const name = outputs.cluster_name
    const kube = await progress.step('Wait for the API server', async (note) => {
      const description = await describeCluster(aws, name)
      if (description === undefined) throw new Failure({ what: 'Cannot connect', why: `AWS has no cluster '${name}'` })
      const opened = await kubeOf(aws, description)
      await untilAllowed(opened, { signal, note })
      return opened
    })
    const settings = settingsOf(request, source, outputs)
    await writeSettings(kube, settings)
    const cluster = await openEks(aws, { name, kube, settings })
    if (settings.domain !== undefined && cluster.ingress === undefined)
      progress.say(
        `${settings.domain.host} is not served yet: install the AWS Load Balancer Controller (docs/guides/cloud.md), and run this again`,
      )
    return cluster
  }

  /** Every image of the stack in ECR, by the digest that it has here. */
  async storeImages(
    whole: Stack,
    cluster: Cluster,
    { images, ...run }: { readonly images: Images } & Run,
  ): Promise<ReadonlyMap<string, StoredImage>> {
    const from = await this.#options.store({ images, ...run })
    const stored = await storeImages(stackOn(whole, 'eks'), { images, registry: from })
    await run.progress.step('Copy the images to ECR', async (note) => {
      const copied = await copyImages(stored.values(), { from, to: cluster.registry, signal: run.signal })
      note(`${copied} of ${stored.size}`)
    })
    return stored
  }
}

/** @param options what other parts bring: the config puts them together. */
export const createCloud = (options: CloudOptions): Cloud => new Cloud(options)

/** One branch of theirs, and one for each environment: what a cluster runs is rendered for that cluster. */
const refsOf = ({ branch }: Source, environment: Environment): Refs => ({ source: branch, deploy: `deploy-${environment}` })

function settingsOf({ environment, timing, repoSecret, domain: host }: CloudRequest, source: Source, outputs: PlatformOutputs): Settings {
  const { repositories, certificate_arn: certificateArn } = outputs
  const refs = refsOf(source, environment)
  return {
    environment,
    timing,
    repositories,
    repo: source.repo,
    refs,
    ...(repoSecret === undefined ? {} : { repoSecret }),
    ...(host === undefined || certificateArn === null ? {} : { domain: { host, certificateArn } }),
  }
}

async function untilAllowed(
  kube: Kube,
  { signal, note }: { readonly signal: AbortSignal; readonly note: (text: string) => void },
): Promise<void> {
  const look = async () => {
    try {
      const review = { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectAccessReview', metadata: { name: '' } }
      const answer = await kube.create({ ...review, spec: { resourceAttributes: { verb: '*', resource: '*', group: '*' } } })
      return answer.status?.allowed === true ? ready(undefined) : pending('its access entry gives no rights yet')
    } catch (thrown) {
      if (thrown instanceof KubeError && !UNAUTHORIZED.includes(thrown.status)) return terminal(thrown.message)
      throw thrown
    }
  }
  await waitFor('the API server to take us', look, { timeoutMs: API_TIMEOUT_MS, everyMs: 1_000, signal, onSeen: note })
}
