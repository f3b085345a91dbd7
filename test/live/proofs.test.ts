/** The default set of proofs, through the engine; and three quick mutants, since an engine that cannot go red proves nothing. */

import { checkAnswering, isGood, openRun, type Result, renderTable, runOne, selectScenarios, writeReports } from '#core'
import { createProgress } from '#kit/progress'
import { stack } from '../../holdfast.config.ts'
import { assert, suite } from '../suite.ts'
import { clusterName } from './stack.ts'

const PROOF_TIMEOUT_MS = 360_000
/** Two that are violated, one that is not injected. The others are a series of their own: npm run prove -- --all --mutate. */
const MUTANTS = ['alert-keeps-quiet / without-for', 'manifest-pruned / prune-off', 'object-deleted / act-skipped']
const results: Result[] = []
const test = suite('proofs')

test.after(async () => {
  await writeReports(results)
})

test('each mutant that runs here exists', () => {
  const all = selectScenarios(stack, 'proof').flatMap((scenario) => scenario.mutants.map(({ name }) => `${scenario.name} / ${name}`))
  assert.equal(
    MUTANTS.filter((name) => !all.includes(name)),
    [],
  )
})

for (const scenario of selectScenarios(stack, 'proof')) {
  for (const mutant of [undefined, ...scenario.mutants.filter(({ name }) => MUTANTS.includes(`${scenario.name} / ${name}`))]) {
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
