/** Every proof of the stack, and every mutant of it, through the engine. */

import { isGood, openRun, type Result, renderTable, runOne, selectScenarios, writeReports } from '#core'
import { createProgress } from '#kit/progress'
import { stack } from '../../holdfast.config.ts'
import { assert, suite } from '../suite.ts'
import { clusterName } from './stack.ts'

const PROOF_TIMEOUT_MS = 180_000
const results: Result[] = []
const test = suite('proofs')

test.after(async () => {
  await writeReports(results)
})

for (const scenario of selectScenarios(stack, 'proof')) {
  for (const mutant of [undefined, ...scenario.mutants]) {
    const name = mutant === undefined ? `${scenario.name} holds` : `${scenario.name} is ${mutant.expect} with ${mutant.name}`
    test(
      name,
      async ({ signal }) => {
        using progress = createProgress()
        await using run = await openRun(stack, { name: clusterName, progress, signal })
        const result = await runOne(run, scenario, mutant)
        results.push(result)
        progress.say(renderTable([result]))
        assert.ok(isGood(result), result.judgement.reason)
      },
      { timeoutMs: PROOF_TIMEOUT_MS },
    )
  }
}

test.run()
