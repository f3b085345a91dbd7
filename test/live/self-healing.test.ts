/** The default set of experiments, but for those that have run as proofs; with one mutant of each kind. */
import { selectScenarios } from '#core'
import { stack } from '../../holdfast.config.ts'
import { suite } from '../suite.ts'
import { declareRuns } from './scenarios.ts'

const test = suite('self-healing')

/** The others are a series of their own: npm run chaos -- --all --mutate. */
const MUTANTS = ['pod-deleted / no-new-pods', 'pod-killed / fault-skipped']

const experiments = selectScenarios(stack, 'chaos').filter(({ kind }) => kind === 'chaos')
declareRuns(test, experiments, { mutants: MUTANTS })

test.run()
