/** A scenario, or a mutant of it, as one test on the running stack. */

import { checkAnswering, type Environment, isGood, type Mutant, openRun, type Result, renderTable, runOne, type Scenario } from '#core'
import { createProgress } from '#kit/progress'
import { stack } from '../../holdfast.config.ts'
import { assert, type Test } from '../suite.ts'
import { clusterName } from './stack.ts'

const TIMEOUT_MS = 360_000

export interface ScenarioTest {
  readonly scenario: Scenario
  readonly mutant?: Mutant
  /** @default the first */
  readonly environment?: Environment
  readonly onResult: (result: Result) => void
}

/** Adds the test to its suite: green where the verdict is the expected one. */
export function testScenario(test: Test, { scenario, mutant, environment, onResult }: ScenarioTest): void {
  const name = mutant === undefined ? `${scenario.name} holds` : `${scenario.name} is ${mutant.expect} with ${mutant.name}`
  test(
    environment === undefined ? name : `${name} in ${environment}`,
    async ({ signal }) => {
      using progress = createProgress()
      await using run = await openRun(stack, { name: clusterName, progress, signal, ...(environment === undefined ? {} : { environment }) })
      await checkAnswering(run.context.cluster, scenario.asks ?? [])
      const result = await runOne(run, scenario, mutant)
      onResult(result)
      progress.say(renderTable([result]))
      assert.ok(isGood(result), result.judgement.reason)
    },
    { timeoutMs: TIMEOUT_MS },
  )
}
