/** The Terraform of one environment: its state's bucket made or adopted, its variables given, its plan kept and carried out. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Environment, FIRST_ENVIRONMENT, type Run } from '#core'
import { exec } from '#kit/exec'
import { ask } from '#kit/http'
import { clusterDir, ensureDir, root } from '#kit/paths'
import type { Aws, Caller } from './aws.ts'
import { describeCluster } from './eks.ts'
import { OwnLock, readStateLock, type StateLock } from './lock.ts'
import { type PlatformOutputs, parsePlatform, type RawOutputs } from './outputs.ts'
import type { PlanJson } from './plan.ts'
import type { CloudRequest } from './request.ts'
import { type PlanOptions, type SavedPlan, Terraform, type Variable } from './terraform.ts'

export const PROJECT = 'holdfast'
export const clusterNameOf = (environment: Environment) => `${PROJECT}-${environment}`
const folderOf = (name: string) => join(root, 'cloud', name)
const FIRST_TTL_HOURS = 12
const HOUR_MS = 3_600_000
/** Whoever else holds it is at work in CI, which takes minutes. */
const LOCK_TIMEOUT = '60s'

export interface PlaceOptions extends Run {
  readonly aws: Aws
  readonly caller: Caller
  readonly request: CloudRequest
}

export class Place implements AsyncDisposable {
  readonly options: PlaceOptions
  readonly name: string
  readonly bucket: string
  readonly #terraform: Terraform
  readonly #lock: OwnLock

  private constructor(options: PlaceOptions, parts: { readonly bucket: string; readonly terraform: Terraform; readonly lock: OwnLock }) {
    this.options = options
    this.name = clusterNameOf(options.request.environment)
    this.bucket = parts.bucket
    this.#terraform = parts.terraform
    this.#lock = parts.lock
  }

  /** Opens the state in a bucket that is there. @throws UserError where there is no Terraform, Failure where there is no such bucket */
  static async open(options: PlaceOptions, bucket: string): Promise<Place> {
    const { signal, progress, request } = options
    const dataDir = ensureDir(join(clusterDir(clusterNameOf(request.environment)), 'terraform'))
    await using begun = new AsyncDisposableStack()
    const file = join(folderOf('environments'), `${request.environment}.s3.tfbackend`)
    const [, key = ''] = /^key\s*=\s*"(.+)"$/m.exec(await readFile(file, 'utf8')) ?? []
    const lock = new OwnLock(join(dataDir, 'held.json'), () => readStateLock(options.aws, { bucket, key }))
    const terraform = begun.use(await Terraform.open({ folder: folderOf('platform'), dataDir, lock, signal }))
    const values = { bucket, region: request.region }
    await progress.step('Open the state', () => terraform.init({ file, values }))
    begun.move() // it lives on with the place
    return new Place(options, { bucket, terraform, lock })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#terraform[Symbol.asyncDispose]()
  }

  /** Waits for what an earlier run of ours still does. @returns the lock that one has left */
  abandonedLock(): Promise<StateLock | undefined> {
    const { progress, signal } = this.options
    return progress.step('Look for an earlier run', (note) => this.#lock.abandoned({ signal, note }))
  }

  /** Takes exactly that lock away. */
  async unlock({ id }: StateLock): Promise<void> {
    await this.options.progress.step(`Take the lock ${id} away`, () => this.#terraform.unlock(id))
    await this.#lock.ended()
  }

  /** Who reaches the cluster's API now; none where there is no cluster. */
  async allowedNow(): Promise<readonly string[]> {
    const cluster = await describeCluster(this.options.aws, this.name)
    return cluster?.resourcesVpcConfig?.publicAccessCidrs ?? []
  }

  /** What applying would do. Nothing is changed. @param images a repository each. @param readsOnly takes no lock: nothing will be applied */
  async plan(given: {
    readonly allowCidrs: readonly string[]
    readonly images: readonly string[]
    readonly readsOnly: boolean
  }): Promise<SavedPlan> {
    const { allowCidrs, images, readsOnly } = given
    const variables = { ...(await this.#variables()), endpoint_public_cidrs: allowCidrs, images }
    return this.#planned('Plan', { variables, destroy: false, lockTimeout: readsOnly ? 'none' : LOCK_TIMEOUT })
  }

  /** What destroying would do. */
  async planDestroy(): Promise<SavedPlan> {
    // Checked, and of no effect: what is destroyed lets nobody in.
    const variables = { ...(await this.#variables()), endpoint_public_cidrs: ['192.0.2.1/32'] }
    return this.#planned('Plan the destruction', { variables, destroy: true, lockTimeout: LOCK_TIMEOUT })
  }

  async #planned(title: string, given: Pick<PlanOptions, 'variables' | 'destroy' | 'lockTimeout'>): Promise<SavedPlan> {
    const varFiles = [join(folderOf('environments'), `${this.options.request.environment}.tfvars`)]
    return this.options.progress.step(title, (note) => this.#terraform.plan({ ...given, varFiles, note }))
  }

  /** What a plan would do, in full. */
  show(plan: SavedPlan): Promise<PlanJson> {
    return this.options.progress.step('Read the plan', () => this.#terraform.show(plan))
  }

  /** Exactly that plan. */
  async apply(plan: SavedPlan, title: string): Promise<void> {
    await this.options.progress.step(title, (note) => this.#terraform.apply(plan, note))
  }

  rawOutputs(): Promise<RawOutputs> {
    return this.#terraform.output()
  }

  async outputs(): Promise<PlatformOutputs> {
    return parsePlatform(await this.rawOutputs())
  }

  /** The addresses of the resources that the state holds. */
  async addresses(): Promise<readonly string[]> {
    return (await this.#terraform.stateList()).filter((address) => !/(^|\.)data\./.test(address))
  }

  /** The same with their values, which takes seconds. */
  async resources(): Promise<readonly StateResource[]> {
    const { stdout } = await this.#terraform.run(['show', '-json'], { what: 'Cannot read the state' })
    const { values } = JSON.parse(stdout) as { values?: { root_module: StateModule } }
    return values === undefined ? [] : resourcesOf(values.root_module)
  }

  async #variables(): Promise<Readonly<Record<string, Variable>>> {
    const { request, caller } = this.options
    const { environment, region, owner, domain, zoneId } = request
    const commit = (await exec('git', ['-C', root, 'log', '-1', '--format=%H', '--', 'cloud'], { accept: [0, 128] })).stdout.trim()
    return {
      environment,
      region,
      account_id: caller.account,
      state_bucket: this.bucket,
      owner: owner ?? caller.arn,
      ...(commit === '' ? {} : { commit }),
      ...(environment === FIRST_ENVIRONMENT ? { expires_at: await this.#expiry() } : {}),
      ...(domain === undefined ? {} : { domain, zone_id: zoneId ?? '' }),
    }
  }

  /** A time once given stays, unless another one is asked for: each change of it would change every resource. */
  async #expiry(): Promise<string> {
    const { ttlHours } = this.options.request
    const known = (await this.rawOutputs()).expires_at?.value
    if (ttlHours === undefined && typeof known === 'string') return known
    const at = new Date(Date.now() + (ttlHours ?? FIRST_TTL_HOURS) * HOUR_MS)
    return `${at.toISOString().slice(0, 16)}:00Z`
  }
}

export interface StateResource {
  readonly address: string
  readonly mode: 'managed' | 'data'
  readonly type: string
  readonly values: Readonly<Record<string, unknown>>
}

interface StateModule {
  readonly resources?: readonly StateResource[]
  readonly child_modules?: readonly StateModule[]
}

const resourcesOf = ({ resources = [], child_modules = [] }: StateModule): StateResource[] => [
  ...resources.filter(({ mode }) => mode === 'managed'),
  ...child_modules.flatMap(resourcesOf),
]

// ── The state's bucket ──────────────────────────────────────────────────────────────────────────────────────────────

export const bucketOf = ({ account }: Caller, region: string) => `${PROJECT}-state-${account}-${region}`

/** Makes the bucket, or brings one that is there to what is wanted; safe to run again. */
export async function ensureBucket(options: PlaceOptions, bucket: string): Promise<void> {
  const { request, caller, progress, signal } = options
  const dataDir = ensureDir(join(clusterDir(`${PROJECT}-state`), 'terraform'))
  await using terraform = await Terraform.open({ folder: folderOf('bootstrap'), dataDir, signal })
  await progress.step('Make sure of the state’s bucket', async (note) => {
    await terraform.init({ values: { path: join(clusterDir(`${PROJECT}-state`), `${bucket}.tfstate`) } })
    const known = (await terraform.stateList()).length > 0
    const adopt = !known && (await bucketExists(bucket, request.region))
    const { region, owner } = request
    const plan = await terraform.plan({
      variables: { bucket, region, account_id: caller.account, owner: owner ?? caller.arn, adopt },
      note,
    })
    if (!plan.isEmpty) await terraform.apply(plan, note)
  })
}

/** A bucket that is in another region, or not to be looked into, is there as well. */
const TAKEN_OR_NOT = [301, 307, 400, 403, 404]

/** Anybody may ask S3 whether a name is taken; only its owner goes on from there. */
export async function bucketExists(bucket: string, region: string): Promise<boolean> {
  const endpoint = process.env.AWS_ENDPOINT_URL_S3 ?? process.env.AWS_ENDPOINT_URL
  const url = endpoint === undefined ? `https://${bucket}.s3.${region}.amazonaws.com/` : `${endpoint}/${bucket}`
  const { status } = await ask(`Cannot see whether there is a bucket '${bucket}'`, url, {
    method: 'HEAD',
    redirect: 'manual',
    accept: TAKEN_OR_NOT,
  })
  return status !== 404
}
