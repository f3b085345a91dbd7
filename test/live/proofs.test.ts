/** The default set of proofs, through the engine; and three quick mutants, since an engine that cannot go red proves nothing. */
import { selectScenarios } from '#core'
import { stack } from '../../holdfast.config.ts'
import { suite } from '../suite.ts'
import { declareRuns } from './scenarios.ts'

const test = suite('proofs')

/** Two that are violated, one that is not injected. The others are a series of their own: npm run prove -- --all --mutate. */
const MUTANTS = ['alert-keeps-quiet / without-for', 'manifest-pruned / prune-off', 'object-deleted / act-skipped']

declareRuns(test, selectScenarios(stack, 'proof'), MUTANTS)

test.run()
