/** Checkov, as a second reader of the cloud's Terraform: it knows nothing of ours, and whatever it is told to leave out has a reason. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { messageOf } from '#kit/errors'
import { exec } from '#kit/exec'
import { pythonProgram } from '#kit/python'
import { assert, suite } from '../suite.ts'
import { CLOUD, changedCopy } from './cloud-fixture.ts'
import { MUTANTS } from './cloud-mutants.ts'

const test = suite('checkov')

/** Without values it takes what depends on a variable for unknown, and passes it. */
const VALUES = 'owner = "someone"\nstate_bucket = "b"\nendpoint_public_cidrs = ["203.0.113.7/32"]\ndomain = "example.org"\nzone_id = "Z0"\n'

interface Found {
  readonly check_id: string
  readonly resource: string
  readonly file_path: string
  readonly check_result: { readonly suppress_comment?: string }
}

interface Report {
  readonly results: { readonly failed_checks: readonly Found[]; readonly skipped_checks: readonly Found[] }
  readonly summary: { readonly passed: number; readonly parsing_errors: number }
}

/** Its exit code says only that something was found; a file that it cannot read must not read as clean. */
async function scan(checkov: string, cloud: string): Promise<Report> {
  await using copy = await changedCopy([])
  const values = join(copy.path, 'given.tfvars')
  await writeFile(values, VALUES)
  const files = [join(cloud, 'environments', 'prod.tfvars'), values].flatMap((file) => ['--var-file', file])
  const args = ['--directory', cloud, '--framework', 'terraform', '--skip-download', '--output', 'json', ...files]
  const { stdout } = await exec(checkov, args, { accept: [0, 1] })
  return JSON.parse(stdout) as Report
}

const checkov = await pythonProgram('cloud/tools/checkov.txt', 'checkov').catch((thrown) => new Error(messageOf(thrown)))
if (checkov instanceof Error) test.skip("what Checkov says of the cloud's Terraform", `checkov: ${checkov.message}`)
else await declare(checkov)

async function declare(program: string): Promise<void> {
  const changes = MUTANTS.flatMap(({ red, ...mutant }) => ('checkov' in red ? [{ ...mutant, rule: red.checkov }] : []))
  await using copy = await changedCopy(changes)
  const [tree, changed] = await Promise.all([scan(program, CLOUD), scan(program, copy.path)])

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
      const found = (report: Report) => lines(report.results.failed_checks.filter(({ check_id: id }) => id === rule))
      assert.equal(found(tree), [], 'it is red without the change')
      assert.match(found(changed).join('\n'), says)
    })
}

function lines(found: readonly Found[]): string[] {
  return found.map(({ check_id: id, resource, file_path: file }) => `${id} ${resource} ${file}`)
}

test.run()
