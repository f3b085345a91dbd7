/** The stack that is broken here, and how its return is timed. The runner brings it up before, on a cluster of its own. */
import { type Cluster, openContext, untilRunsAgain } from '#core'
import { createProgress, formatMs } from '#kit/progress'
import { pending, ready, waitFor } from '#kit/wait'
import { stack } from '../../holdfast.config.ts'
import { ownData } from '../../local/scenarios/restarted.ts'
import { clusterName } from '../live/stack.ts'
import { assert } from '../suite.ts'

/** While pods come up some answer and others do not. */
const STREAK = 10
const SERVED_TIMEOUT_MS = 180_000

export interface Breaking {
  readonly signal: AbortSignal
  /** Whether the service must be away meanwhile, as evidence that it took effect. @default true */
  readonly isAway?: boolean | 'maybe'
}

/** Breaks, and waits until everything runs again by itself, with its data. Prints how long that took from when `breakIt` returned. */
export async function comesBack(what: string, breakIt: () => Promise<void>, { signal, isAway = true }: Breaking): Promise<void> {
  using progress = createProgress()
  const context = await openContext(stack, { name: clusterName, signal })
  const before = await ownData(context)
  using asked = askAlways(context.cluster, signal)
  await breakIt()
  const started = performance.now()
  await waitFor(
    'the service to answer again',
    async () => (asked.streak() >= STREAK ? ready(undefined) : pending(`${asked.streak()} times`)),
    {
      timeoutMs: SERVED_TIMEOUT_MS,
      everyMs: 100,
      signal,
    },
  )
  const servedMs = performance.now() - started
  const cluster = await stack.clusters.local.find(clusterName)
  assert.ok(cluster !== undefined)
  await untilRunsAgain(stack, cluster, { progress, signal })
  const healthyMs = performance.now() - started
  if (isAway !== 'maybe') assert.is(asked.wasAway(), isAway)
  assert.equal(await ownData({ cluster, signal, git: (own = signal) => stack.git(cluster, own) }), before)
  console.log(`  ${what}: the service answers after ${formatMs(servedMs)}, everything is Healthy after ${formatMs(healthyMs)}`)
}

interface Asked extends Disposable {
  /** How many answers in a row were as they should be. */
  streak(): number
  wasAway(): boolean
}

/** From this machine, ten times a second. */
function askAlways(cluster: Cluster, signal: AbortSignal): Asked {
  let [streak, away] = [0, false]
  const ask = async () =>
    (await cluster.fetch('service', '/api/products', { signal: AbortSignal.any([signal, AbortSignal.timeout(1_000)]) })).ok
  const timer = setInterval(() => {
    void ask()
      .catch(() => false)
      .then((ok) => {
        streak = ok ? streak + 1 : 0
        away ||= !ok
      })
  }, 100)
  return { streak: () => streak, wasAway: () => away, [Symbol.dispose]: () => clearInterval(timer) }
}
