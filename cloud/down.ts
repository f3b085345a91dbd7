/** `cloud:down`: the cluster emptied, everything destroyed, what was left swept, and the proof that nothing is. Goes on from anywhere. */
import { Failure, isBug, messageOf } from '#kit/errors'
import { describeCluster, kubeOf } from './eks.ts'
import { emptyCluster } from './empty.ts'
import { type Place, PROJECT } from './place.ts'
import { describe, findHeld, type SweepOf, type Swept, sweep } from './sweep.ts'

/** With a sweep between: what holds a subnet or a group is then gone. */
const DESTROY_TRIES = 3

export interface Down extends Swept {
  readonly destroyed: number
  /** What would not go in time, and was taken by other means. */
  readonly remarks: readonly string[]
}

export async function takeDown(place: Place): Promise<Down> {
  const { aws, request, progress } = place.options
  const of: SweepOf = { name: place.name, project: PROJECT, environment: request.environment }
  const remarks = await progress.step('Empty the cluster', (note) => emptied(place, { of, note }))
  const { destroyed, swept } = await destroyAll(place, () => sweep(aws, of))
  const last = await progress.step('Look for what is left', () => sweep(aws, of))
  return { destroyed, remarks, removed: [...swept, ...last.removed], left: last.left }
}

async function emptied({ options }: Place, { of, note }: { of: SweepOf; note: (text: string) => void }): Promise<readonly string[]> {
  const { aws, signal } = options
  const description = await describeCluster(aws, of.name)
  if (description === undefined) return []
  const inAws = async () => (await findHeld(aws, of)).map(({ id }) => id)
  try {
    return await emptyCluster(await kubeOf(aws, description), { signal, note, inAws })
  } catch (thrown) {
    signal.throwIfAborted()
    if (isBug(thrown)) throw thrown
    // A half-made cluster, or one whose access is gone: what it made in AWS is found by the sweep.
    return [`The cluster could not be emptied: ${messageOf(thrown)}`]
  }
}

/** Everything that the state holds, whatever number of times it takes. Exported for the tests. */
export async function destroyAll(
  place: Pick<Place, 'addresses' | 'planDestroy' | 'apply' | 'options'>,
  sweepNow: () => Promise<Swept>,
): Promise<{ destroyed: number; swept: Swept['removed'] }> {
  const swept: Swept['removed'][number][] = []
  let destroyed: number | undefined
  for (let tries = 1; ; tries += 1) {
    const before = await place.addresses()
    destroyed ??= before.length
    if (before.length === 0) return { destroyed, swept }
    const plan = await place.planDestroy()
    try {
      await place.apply(plan, `Destroy ${before.length} resources`)
      return { destroyed, swept }
    } catch (thrown) {
      place.options.signal.throwIfAborted()
      if (tries === DESTROY_TRIES || isBug(thrown)) throw thrown
      place.options.progress.say(`Not all of it could be destroyed: ${messageOf(thrown)}`)
      swept.push(...(await sweepNow()).removed)
    }
  }
}

/** @throws Failure with each thing that still costs, or may */
export function mustBeGone({ left }: Swept, environment: string): void {
  if (left.length === 0) return
  const why = left.map(({ why: because, ...each }) => `${describe(each)}: ${because}`).join('\n')
  throw new Failure({ what: `${left.length} things of ${environment} are left`, why: `\n${why}`, next: 'Remove them, and run this again' })
}
