/** `npm run prove`: records, judges and reports proofs. */

import {
  exitCode,
  FIRST_ENVIRONMENT,
  keepEvidence,
  listScenarios,
  openRun,
  parseEnvironment,
  type Result,
  reporting,
  runAll,
  selectScenarios,
} from '#core'
import { type ClusterFlags, type JsonFlags, wholeNumber, withJson, withName } from '#kit/flags'
import { main } from '#kit/main'
import { stack } from '../holdfast.config.ts'

interface Flags extends ClusterFlags, JsonFlags {
  readonly env: string
  readonly list?: boolean
  readonly all?: boolean
  readonly mutate?: boolean
  readonly repeat: number
}

await main<Flags>({
  name: 'prove',
  summary: 'Proves that the platform does what it promises: each proof acts, watches, and judges by bounds.',
  example: 'npm run prove -- hand-edit --mutate',
  declare: (command) =>
    withJson(withName(command))
      .argument('[names...]', 'which proofs; the default set without')
      .option('--list', 'list the proofs')
      .option('--env <environment>', 'which environment', FIRST_ENVIRONMENT)
      .option('--all', 'also the proofs outside the default set')
      .option('--repeat <n>', 'run each this often and report the spread; a series that was cut short goes on', wholeNumber(1, 1000), 1)
      .option('--mutate', 'break the healer instead: every verdict must go red'),
  async run({ flags, args, progress, signal }) {
    if (flags.list) {
      process.stdout.write(`${listScenarios(stack, 'proof', flags)}\n`)
      return 0
    }
    const environment = parseEnvironment(flags.env, 'Cannot prove')
    const scenarios = selectScenarios(stack, 'proof', { names: args, ...flags, environment })
    await using run = await openRun(stack, { name: flags.name, environment, progress, signal })
    const work = (onResult: (result: Result) => void) => runAll(run, scenarios, { ...flags, onResult })
    const results = await reporting(work, { ...flags, progress })
    const evidence = await keepEvidence(stack, run, results)
    if (evidence !== undefined) progress.say(evidence)
    return exitCode(results)
  },
})
