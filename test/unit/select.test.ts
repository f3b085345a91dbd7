/** Which proofs run in which environment. */
import { listScenarios, selectScenarios } from '#core'
import { UserError } from '#kit/errors'
import { stack } from '../../holdfast.config.ts'
import { assert, suite } from '../suite.ts'

const test = suite('select')

test('without an environment it is dev, and what is of other environments only is left out', () => {
  const names = selectScenarios(stack, 'proof').map(({ name }) => name)
  assert.ok(names.includes('hand-edit'))
  assert.equal(
    names.filter((name) => /smoke|canary/.test(name)),
    [],
  )
})

test('another environment has its own default set', () => {
  const names = (environment: 'staging' | 'prod', all = false) =>
    selectScenarios(stack, 'proof', { environment, all }).map(({ name }) => name)
  assert.equal(names('staging'), ['bad-canary-aborted', 'good-canary-promoted', 'smoke'])
  assert.equal(names('staging', true), ['bad-canary-aborted', 'good-canary-promoted', 'blind-canary-not-promoted', 'smoke'])
  assert.equal(names('prod'), ['smoke', 'admission'])
})

test('a proof that is named runs where it can, and is refused elsewhere', () => {
  const refused = (names: string[], environment: 'dev' | 'staging') => {
    try {
      selectScenarios(stack, 'proof', { names, environment })
      return 'nothing'
    } catch (thrown) {
      assert.instance(thrown, UserError)
      return (thrown as Error).message
    }
  }
  assert.is(refused(['hand-edit'], 'staging'), "Cannot run 'hand-edit' in staging: it is a proof of dev. Add --env dev")
  assert.is(refused(['smoke'], 'dev'), "Cannot run 'smoke' in dev: it is a proof of staging and prod. Add --env staging")
  assert.is(selectScenarios(stack, 'proof', { names: ['smoke'], environment: 'prod' }).length, 1)
})

test('the menu says where what is not of dev can be run', () => {
  assert.match(listScenarios(stack, 'proof', {}), /^smoke \(in staging and prod\)$/m)
  assert.match(listScenarios(stack, 'proof', {}), /^blind-canary-not-promoted \(only by name or with --all\) \(in staging\)$/m)
  const rows = JSON.parse(listScenarios(stack, 'proof', { json: true })) as { name: string; environments: string[] }[]
  assert.equal(rows.find(({ name }) => name === 'smoke')?.environments, ['staging', 'prod'])
  assert.equal(rows.find(({ name }) => name === 'hand-edit')?.environments, ['dev'])
})

test.run()
