/** `npm run cloud:test`: the proofs and the experiments of this machine, on an environment in the cloud. */

import { exitCode, fittingScenarios, keepEvidence, openRun, type Result, reporting, runAll, type Scenario, selectScenarios } from '#core'
import { type CloudPlaceFlags, withCloud } from '#kit/flags'
import { main } from '#kit/main'
import { cloud, stack } from '../holdfast.config.ts'

interface Flags extends CloudPlaceFlags {
  readonly all?: boolean
}

await main<Flags>({
  name: 'cloud:test',
  summary: 'Runs the default proofs, and outside prod the default experiments, by the same engine on EKS; load is a Job in the cluster.',
  example: 'npm run cloud:test -- --env dev hand-edit hpa-scales',
  declare: (command) =>
    withCloud(command)
      .argument('[names...]', 'which of them; the default sets without')
      .option('--all', 'also those outside the default sets'),
  async run({ flags, args, progress, signal }) {
    const { environment } = cloud.parse(flags, `Cannot test ${flags.env}`)
    const scenarios = chosen(args, { environment, all: flags.all ?? false })
    await using run = await openRun(stack, { name: cloud.nameOf(environment), environment, progress, signal })
    const { fitting, leftOut } = fittingScenarios(run.context.cluster, scenarios)
    for (const line of leftOut) progress.say(line)
    const results = await reporting((onResult: (result: Result) => void) => runAll(run, fitting, { onResult }), { ...flags, progress })
    const evidence = await keepEvidence(stack, run, results)
    if (evidence !== undefined) progress.say(evidence)
    return exitCode(results)
  },
})

type Chosen = Parameters<typeof selectScenarios>[2] & object

/** The named ones, whichever menu they are on; else the default sets, each scenario once. */
function chosen(names: readonly string[], selection: Chosen): readonly Scenario[] {
  if (names.length > 0) return names.flatMap((name) => named(name, selection))
  const menus = selection.environment === 'prod' ? (['proof'] as const) : (['proof', 'chaos'] as const)
  const all = menus.flatMap((menu) => selectScenarios(stack, menu, selection))
  return [...new Map(all.map((scenario) => [scenario.name, scenario])).values()]
}

function named(name: string, selection: Chosen): readonly Scenario[] {
  const experiments = selectScenarios(stack, 'chaos', { ...selection, all: true }).filter((each) => each.name === name)
  return experiments.length > 0 ? experiments : selectScenarios(stack, 'proof', { ...selection, names: [name] })
}
