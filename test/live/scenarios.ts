/** Scenarios as live tests: each runs through the engine, and a red verdict fails its test. */
import { checkAnswering, type Environment, isGood, openRun, type Result, renderTable, runOne, type Scenario, writeReports } from '#core'
import { createProgress } from '#kit/progress'
import { stack } from '../../holdfast.config.ts'
import { assert, type Test } from '../suite.ts'
import { clusterName } from './stack.ts'

const RUN_TIMEOUT_MS = 360_000

export interface Runs {
  /** Of these scenarios, written as `scenario / mutant`. @default none */
  readonly mutants?: readonly string[]
  /** @default the first */
  readonly environment?: Environment
}

/** Declares a test for each scenario, and for each of these mutants. @returns the results, as they come. */
export function declareRuns(test: Test, scenarios: readonly Scenario[], { mutants = [], environment }: Runs = {}): readonly Result[] {
  const results: Result[] = []
  const place = { name: clusterName, ...(environment === undefined ? {} : { environment }) }
  test.after(async () => {
    await writeReports(results)
  })
  test('there are scenarios, and each mutant that runs here exists', () => {
    const all = scenarios.flatMap((scenario) => scenario.mutants.map(({ name }) => `${scenario.name} / ${name}`))
    assert.ok(scenarios.length > 0)
    assert.equal(
      mutants.filter((name) => !all.includes(name)),
      [],
    )
  })
  for (const scenario of scenarios) {
    for (const mutant of [undefined, ...scenario.mutants.filter(({ name }) => mutants.includes(`${scenario.name} / ${name}`))]) {
      const name = mutant === undefined ? `${scenario.name} holds` : `${scenario.name} is ${mutant.expect} with ${mutant.name}`
      test(
        name,
        async ({ signal }) => {
          using progress = createProgress()
          await using run = await openRun(stack, { ...place, progress, signal })
          await checkAnswering(run.context.cluster, scenario.asks ?? [])
          const result = await runOne(run, scenario, mutant)
          results.push(result)
          progress.say(renderTable([result]))
          assert.ok(isGood(result), result.judgement.reason)
        },
        { timeoutMs: RUN_TIMEOUT_MS },
      )
    }
  }
  return results
}
