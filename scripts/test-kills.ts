/** `npm run test:kills`: commands, containers, the engine and the disk fail; the platform comes back, and nothing is left. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Option } from 'commander'
import { bringUp, drawKills, KILLS_CLUSTER, type KillResult, openKillingPlace, playKill, renderKill } from '#core'
import { type Counts, formatCounts, isGreen, sumCounts } from '#kit/counts'
import { wholeNumber } from '#kit/flags'
import { Images } from '#kit/images'
import { type Invocation, main } from '#kit/main'
import { reportsDir } from '#kit/paths'
import { runTestFolder } from '#kit/test-folder'
import { stack } from '../holdfast.config.ts'

interface Flags {
  readonly seed?: number
  readonly count: number
  readonly only?: 'kills' | 'comeback'
}

const PAUSED = 'local'
const { local } = stack.clusters

await main<Flags>({
  name: 'test:kills',
  summary:
    'Kills our commands at random points, then containers, engine and disk, on a cluster of their own: all must come back, and nothing be left',
  example: 'npm run test:kills -- --seed 7 --count 5',
  declare: (command) =>
    command
      .option('--seed <n>', 'the lot; one that was cut short goes on', wholeNumber(0, 2 ** 32 - 1))
      .option('--count <n>', 'how many commands are killed', wholeNumber(1, 1000), 20)
      .addOption(new Option('--only <part>', 'one of the two parts').choices(['kills', 'comeback'])),
  async run(x) {
    await using _lock = await local.lock(PAUSED, 'test:kills')
    await using _paused = await local.pause(PAUSED)
    const kills = x.flags.only === 'comeback' ? [] : await killAll(x)
    const counts = sumCounts([countOf(kills), ...(x.flags.only === 'kills' ? [] : [await comeBack(x)])])
    process.stdout.write(`${formatCounts(counts)}\n`)
    return isGreen(counts) ? 0 : 1
  },
})

/** What is done already is recorded; a lot that is complete begins anew. */
async function killAll({ flags, progress, signal }: Invocation<Flags>): Promise<readonly KillResult[]> {
  const { seed = Date.now() % 2 ** 32, count } = flags
  progress.say(`By lot: --seed ${seed} draws the same again, and goes on where it was cut short`)
  const file = join(reportsDir(), `kills-${seed}-${count}.json`)
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

async function comeBack({ progress, signal }: Invocation<Flags>): Promise<Counts> {
  try {
    await bringUp(stack, { name: KILLS_CLUSTER, images: new Images({ progress, signal }), progress, signal })
    return await runTestFolder('comeback', { env: { HOLDFAST_CLUSTER: KILLS_CLUSTER }, progress, signal })
  } finally {
    await local.down({ name: KILLS_CLUSTER, all: false, progress })
  }
}
