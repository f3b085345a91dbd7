/** The default set of proofs, through the engine; three quick mutants, since an engine that cannot go red proves nothing; and the evidence. */

import { FIRST_ENVIRONMENT, keepEvidence, openRun, type Result, selectScenarios, writeReports } from '#core'
import { createProgress } from '#kit/progress'
import { stack } from '../../holdfast.config.ts'
import { assert, suite } from '../suite.ts'
import { testScenario } from './scenario-test.ts'
import { clusterName } from './stack.ts'

/** Two that are violated, one that is not injected. The others are a series of their own: npm run prove -- --all --mutate. */
const MUTANTS = ['alert-keeps-quiet / without-for', 'manifest-pruned / prune-off', 'object-deleted / act-skipped']
const results: Result[] = []
const onResult = (result: Result) => void results.push(result)
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
  testScenario(test, { scenario, onResult })
  for (const mutant of scenario.mutants.filter(({ name }) => MUTANTS.includes(`${scenario.name} / ${name}`)))
    testScenario(test, { scenario, mutant, onResult })
}

test(
  'what held is kept as the evidence of one digest',
  async ({ signal }) => {
    using progress = createProgress()
    await using run = await openRun(stack, { name: clusterName, progress, signal })
    assert.match((await keepEvidence(stack, run, results)) ?? 'none', new RegExp(`^Evidence for sha256:\\w{12} in ${FIRST_ENVIRONMENT}: `))
  },
  { timeoutMs: 60_000 },
)

test.run()
