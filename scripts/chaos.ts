/** `npm run chaos`: breaks the platform on purpose, and judges how it heals. */

import { Option } from 'commander'
import {
  checkBreakable,
  exitCode,
  explain,
  FIRST_ENVIRONMENT,
  listScenarios,
  type OpenChaos,
  openChaos,
  parseEnvironment,
  planChaos,
  playGameDay,
  type Result,
  renderGameDay,
  renderHits,
  renderUndone,
  reporting,
  runAll,
  type Scenario,
  selectScenarios,
  undoLeftovers,
} from '#core'
import { type ClusterFlags, type JsonFlags, wholeNumber, withJson, withName } from '#kit/flags'
import { main, print } from '#kit/main'
import { createRandom, shuffled } from '#kit/random'
import { stack } from '../holdfast.config.ts'

interface Flags extends ClusterFlags, JsonFlags {
  readonly env: string
  readonly list?: boolean
  readonly all?: boolean
  readonly dryRun?: boolean
  readonly undo?: boolean
  readonly mutate?: boolean
  readonly random?: boolean
  readonly minutes?: number
  readonly seed?: number
  readonly repeat: number
}

const A_DAY = new Option('--minutes <n>', 'a game day: experiments by lot for so long, while a soak runs')
  .argParser(wholeNumber(1, 50))
  .conflicts(['mutate', 'repeat', 'dryRun'])

await main<Flags>({
  name: 'chaos',
  summary: 'Breaks the platform on purpose: each experiment acts under load, watches it heal, and judges by bounds.',
  example: 'npm run chaos -- pod-killed --mutate',
  declare: (command) =>
    withJson(withName(command))
      .argument('[names...]', 'which experiments; the default set without')
      .option('--list', 'list the experiments')
      .option('--env <environment>', 'which environment; never prod', FIRST_ENVIRONMENT)
      .option('--all', 'also the experiments outside the default set')
      .option('--dry-run', 'print what would be hit, and hit nothing')
      .option('--undo', 'undo what an interrupted run has left, and nothing else')
      .option('--repeat <n>', 'run each this often and report the spread; a series that was cut short goes on', wholeNumber(1, 1000), 1)
      .option('--mutate', 'break the healer instead: every verdict must go red')
      .option('--random', 'in an order by lot')
      .option('--seed <n>', 'the lot: the same one gives the same order', wholeNumber(0, 2 ** 32 - 1))
      .addOption(A_DAY),
  async run({ flags, args, progress, signal }) {
    if (flags.list) return print(listScenarios(stack, 'chaos', flags))
    const environment = checkBreakable(parseEnvironment(flags.env, 'Cannot begin with chaos'))
    const place = { name: flags.name, environment, progress, signal }
    if (flags.undo) return print(renderUndone(await undoLeftovers(stack, place)))
    const scenarios = selectScenarios(stack, 'chaos', { names: args, ...flags, environment })
    const chosen = { scenarios, isNamed: args.length > 0 }
    if (flags.dryRun) return print(renderHits(await planChaos(stack, place, chosen), flags))
    await using run = await openChaos(stack, place, chosen)
    return experiment(run, flags)
  },
})

async function experiment(run: OpenChaos, flags: Flags): Promise<number> {
  const { progress, scenarios } = run
  const { random = false, minutes, seed = Date.now() % 2 ** 32 } = flags
  const onBegin = (scenario: Scenario) => progress.say(explain(scenario))
  if (random || minutes !== undefined) progress.say(`By lot: --seed ${seed} draws the same again`)
  const work = async (onResult: (result: Result) => void) => {
    if (minutes !== undefined)
      return progress.say(renderGameDay(await playGameDay(stack, run, { scenarios, minutes, seed, onBegin, onResult })))
    const inOrder = random ? shuffled(scenarios, createRandom(seed)) : scenarios
    return runAll(run, inOrder, { ...flags, onBegin, onResult })
  }
  const results = await reporting(work, { ...flags, progress })
  return exitCode(results)
}
