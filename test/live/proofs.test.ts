/** The default set of proofs, through the engine; and two quick mutants, since an engine that cannot go red proves nothing. */

import { checkAnswering, isGood, openRun, type Result, renderTable, runOne, selectScenarios, writeReports } from '#core'
import { createProgress } from '#kit/progress'
import { stack } from '../../holdfast.config.ts'
import { assert, suite } from '../suite.ts'
import { clusterName } from './stack.ts'

const PROOF_TIMEOUT_MS = 300_000
/** One that is violated, one that is not injected. The others are a series of their own: npm run prove -- --all --mutate. */
const MUTANTS = ['without-for', 'act-skipped']
const results: Result[] = []
const test = suite('proofs')

test.after(async () => {
  await writeReports(results)
})

for (const scenario of selectScenarios(stack, 'proof')) {
  for (const mutant of [undefined, ...scenario.mutants.filter(({ name }) => MUTANTS.includes(name))]) {
    const name = mutant === undefined ? `${scenario.name} holds` : `${scenario.name} is ${mutant.expect} with ${mutant.name}`
    test(
      name,
      async ({ signal }) => {
        using progress = createProgress()
        await using run = await openRun(stack, { name: clusterName, progress, signal })
        await checkAnswering(run.context.cluster, scenario.asks ?? [])
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
