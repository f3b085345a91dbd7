/** The default set of proofs, through the engine; three quick mutants, since an engine that cannot go red proves nothing; and the evidence. */
import { FIRST_ENVIRONMENT, keepEvidence, openRun, selectScenarios } from '#core'
import { createProgress } from '#kit/progress'
import { stack } from '../../holdfast.config.ts'
import { assert, suite } from '../suite.ts'
import { declareRuns } from './scenarios.ts'
import { clusterName } from './stack.ts'

const test = suite('proofs')

/** Two that are violated, one that is not injected. The others are a series of their own: npm run prove -- --all --mutate. */
const MUTANTS = ['alert-keeps-quiet / without-for', 'manifest-pruned / prune-off', 'object-deleted / act-skipped']

const results = declareRuns(test, selectScenarios(stack, 'proof'), { mutants: MUTANTS })

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
