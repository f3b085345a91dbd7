/** Checkov, as a second reader of the cloud's Terraform: it knows nothing of ours, and whatever it is told to leave out has a reason. */
import { Unavailable } from '#kit/gate/gate'
import { type CheckovFinding, type CheckovReport, scanWithCheckov } from '../../cloud/check.ts'
import { assert, suite } from '../suite.ts'
import { CLOUD, changedCopy } from './cloud-fixture.ts'
import { MUTANTS } from './cloud-mutants.ts'

const test = suite('checkov')

const tree = await scanWithCheckov(CLOUD).catch((thrown) => {
  if (thrown instanceof Unavailable) return thrown
  throw thrown
})
if (tree instanceof Unavailable) test.skip("what Checkov says of the cloud's Terraform", `checkov: ${tree.message}`)
else await declare(tree)

async function declare(tree: CheckovReport): Promise<void> {
  const changes = MUTANTS.flatMap(({ red, ...mutant }) => ('checkov' in red ? [{ ...mutant, rule: red.checkov }] : []))
  await using copy = await changedCopy(changes)
  const changed = await scanWithCheckov(copy.path)

  test('Checkov finds nothing', () => {
    assert.is(tree.summary.parsing_errors, 0)
    assert.ok(tree.summary.passed > 150, `only ${tree.summary.passed} checks were passed: it looked at too little`)
    assert.equal(lines(tree.results.failed_checks), [])
  })

  test('whatever it is told to leave out has a reason', () => {
    const without = tree.results.skipped_checks.filter(({ check_result: result }) => (result.suppress_comment ?? '').length < 20)
    assert.equal(lines(without), [])
  })

  for (const { name, rule, says } of changes)
    test(`${name}: ${rule} turns red`, () => {
      const found = (report: CheckovReport) => lines(report.results.failed_checks.filter(({ check_id: id }) => id === rule))
      assert.equal(found(tree), [], 'it is red without the change')
      assert.match(found(changed).join('\n'), says)
    })
}

function lines(found: readonly CheckovFinding[]): string[] {
  return found.map(({ check_id: id, resource, file_path: file }) => `${id} ${resource} ${file}`)
}

test.run()
