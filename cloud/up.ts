/** `cloud:plan` and `cloud:up` up to the cluster: what would be done, and exactly that done. */
import { type Cluster, type Run, type Stack, stackOn } from '#core'
import type { Cloud } from './cloud.ts'
import { imageNames } from './copy.ts'
import { type Brief, briefOf, refuseLoss, renderBrief } from './gate.ts'
import { renderLock } from './lock.ts'
import type { Place } from './place.ts'
import type { PlanJson } from './plan.ts'
import { callersRange, checkRoom } from './preflight.ts'
import { type CloudRequest, type Source, sourceOf } from './request.ts'
import type { SavedPlan } from './terraform.ts'

export interface PlanRequest extends Run {
  readonly request: CloudRequest
  /** What could not be done, as in `Cannot bring dev up`. */
  readonly what: string
  /** A look, all that Terraform makes, or that and the stack in it. */
  readonly purpose: 'look' | 'infrastructure' | 'stack'
  /** Asked before a lock is taken away that an earlier run has left; throws where it is to stay. @default all locks stay */
  readonly allowUnlock?: AllowUnlock
}

/** @param left what was left, for a person */
export type AllowUnlock = (left: string) => Promise<void>

/** Known before anything is made where somebody was named, or is to come in from here. */
const isNamed = ({ request, purpose }: PlanRequest) => purpose === 'stack' || request.allowCidrs.length > 0

/** Else whoever reaches the cluster goes on to, and with no cluster this machine would. */
async function rangesNow(place: Place, { what }: PlanRequest): Promise<readonly string[]> {
  const now = await place.allowedNow()
  return now.length > 0 ? now : callersRange([], what)
}

/** What was begun here and is gone holds nobody up; a lock of anybody else's does. */
export async function freeLock(place: Place, allow: AllowUnlock): Promise<void> {
  const left = await place.abandonedLock()
  if (left === undefined) return
  await allow(renderLock(left))
  await place.unlock(left)
}

/** It is paid for, so whoever reads the plan hears that nothing uses it. */
function databaseFact({ resource_changes = [] }: PlanJson): string[] {
  const isThere = resource_changes.some(({ type, change }) => type === 'aws_db_instance' && change.after !== null)
  return isThere ? ['The database of AWS is made, and the service does not use it yet: docs/guides/cloud.md, "The service and RDS"'] : []
}

/** An environment that is about to be brought up; disposing closes its state. */
export class Upbringing implements AsyncDisposable {
  readonly place: Place
  readonly plan: SavedPlan
  readonly brief: Brief
  /** What was looked at, for a person. */
  readonly facts: readonly string[]
  readonly #source: Source | undefined

  private constructor(parts: { place: Place; plan: SavedPlan; json: PlanJson; facts: readonly string[]; source: Source | undefined }) {
    const { place, plan, json } = parts
    this.place = place
    this.plan = plan
    this.facts = parts.facts
    this.#source = parts.source
    this.brief = briefOf(json, place.options.request.region)
  }

  /**
   * Looks at everything first, also at the remote that Argo CD reads where the stack is to follow; only the bucket of the state is made.
   * @throws UserError for what is not so
   */
  static async plan(cloud: Cloud, stack: Stack, asked: PlanRequest): Promise<Upbringing> {
    const { request, what, purpose, progress, signal } = asked
    const named = isNamed(asked) ? await callersRange(request.allowCidrs, what) : undefined
    const source = purpose === 'stack' ? await sourceOf(request, what) : undefined
    if (source !== undefined)
      await progress.step(`Look at ${source.branch} of the remote`, () => cloud.checkSource(request, source, signal))
    const readsOnly = purpose === 'look'
    // A machine that has no state of the bucket would set all of it again: a workflow that applies leaves it to who brings the stack up.
    const place = await cloud.open(request, { make: purpose === 'stack' ? 'always' : 'if-missing', what, progress, signal })
    try {
      if (asked.allowUnlock !== undefined) await freeLock(place, asked.allowUnlock)
      const allowCidrs = named ?? (await rangesNow(place, asked))
      const plan = await place.plan({ allowCidrs, images: imageNames(stackOn(stack, 'eks')), readsOnly })
      const json = await place.show(plan)
      const { caller, aws } = place.options
      const facts = [
        `${caller.arn} in account ${caller.account}, ${request.region}`,
        `The Kubernetes API is reached from ${allowCidrs.join(', ')}`,
        ...(await checkRoom(aws, json, what)),
        ...databaseFact(json),
      ]
      return new Upbringing({ place, plan, json, facts, source })
    } catch (thrown) {
      await place[Symbol.asyncDispose]()
      throw thrown
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.place[Symbol.asyncDispose]()
  }

  get isEmpty(): boolean {
    return this.plan.isEmpty
  }

  /** The facts and the plan, for a person. */
  lines(): readonly string[] {
    return [...this.facts, renderBrief(this.brief)]
  }

  /** @throws UserError where the plan would take the cluster or the database away */
  refuse(): void {
    refuseLoss(this.brief)
  }

  /** Exactly what was planned. @throws UserError as `refuse` does */
  async apply(): Promise<void> {
    this.refuse()
    if (!this.isEmpty) await this.place.apply(this.plan, 'Make it')
  }

  /** The cluster that was made. */
  connect(cloud: Cloud): Promise<Cluster> {
    if (this.#source === undefined) throw new TypeError('It was planned without the stack')
    return cloud.connect(this.place, this.#source)
  }
}
