/** `npm run test:kills`: commands of ours are killed at random points; the next run must end Healthy, and nothing may be left. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { drawKills, type KillResult, openKillingPlace, playKill, renderKill } from '#core'
import { type Counts, formatCounts, isGreen } from '#kit/counts'
import { wholeNumber } from '#kit/flags'
import { type Invocation, main } from '#kit/main'
import { reportsDir } from '#kit/paths'
import { stack } from '../holdfast.config.ts'

interface Flags {
  readonly seed: number
  readonly count: number
}

const CLUSTER = 'local'

await main<Flags>({
  name: 'test:kills',
  summary: 'Kills local:up, local:deploy, prove and local:down at random points, on a cluster of their own: the next run must end Healthy',
  example: 'npm run test:kills -- --seed 7 --count 5',
  declare: (command) =>
    command
      .option('--seed <n>', 'the lot; one that was cut short goes on', wholeNumber(0, 2 ** 32 - 1), Date.now() % 2 ** 32)
      .option('--count <n>', 'how many kills', wholeNumber(1, 1000), 20),
  async run(x) {
    const { seed, count } = x.flags
    x.progress.say(`By lot: --seed ${seed} draws the same again, and goes on where it was cut short`)
    await using _lock = await stack.clusters.local.lock(CLUSTER, 'test:kills')
    await using _paused = await stack.clusters.local.pause(CLUSTER)
    const results = await killAll(x, join(reportsDir(), `kills-${seed}-${count}.json`))
    const counts = countOf(results)
    process.stdout.write(`${formatCounts(counts)}\n`)
    return isGreen(counts) ? 0 : 1
  },
})

/** @param file what is done already; one that is complete begins anew. */
async function killAll({ flags: { seed, count }, progress, signal }: Invocation<Flags>, file: string): Promise<readonly KillResult[]> {
  const kept = await readFile(file, 'utf8').then(
    (text) => JSON.parse(text) as KillResult[],
    () => [],
  )
  const results = kept.length < count ? kept : []
  if (results.length > 0) progress.say(`Goes on: ${results.length} of ${count} are recorded`)
  await using place = await openKillingPlace(stack, { progress, signal })
  for (const kill of drawKills(seed, count).slice(results.length)) {
    const result = await playKill(kill, place)
    signal.throwIfAborted()
    results.push(result)
    process.stdout.write(`${renderKill(result, count)}\n`)
    await writeFile(file, JSON.stringify(results, null, 1))
  }
  return results
}

function countOf(results: readonly KillResult[]): Counts {
  const skipped = results.filter(({ atMs }) => atMs === undefined).length
  const failed = results.filter(({ problem }) => problem !== undefined).length
  return { passed: results.length - skipped - failed, failed, skipped }
}
