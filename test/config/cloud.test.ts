/**
 * The cloud's Terraform, mocked: each environment is planned and applied without AWS, and compared with what may be. Then what somebody
 * could change: each change of the table turns the check red that it names, which is green without.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { createLimit } from '#kit/limit'
import { OUTPUT_NAMES, parseBootstrap, parseGithub, parsePlatform } from '../../cloud/outputs.ts'
import { assert, suite } from '../suite.ts'
import { BUCKET_CHECKS, CHECKS, GITHUB_CHECKS, policiesOf } from './cloud-checks.ts'
import { CLOUD, type Facts, ROOTS, TEST_FILES, Tester, type TestFile } from './cloud-fixture.ts'
import { MUTANTS } from './cloud-mutants.ts'
import { checkTree, isOfFacts, nameOf, type OfFacts, problemsOf, runMutants } from './cloud-red.ts'
import { TREE_CHECKS } from './cloud-tree.ts'

const test = suite('cloud')
const UPDATE = 'UPDATE_SNAPSHOTS=1 npm run test:config -- cloud'
const ENVIRONMENTS = ['platform/dev', 'platform/staging', 'platform/prod', 'platform/public'] as const

const tester = await Tester.open()
const facts = new Map<TestFile, Facts>()
const mutants = MUTANTS.filter(isOfFacts)

if (typeof tester === 'string') {
  test.skip("everything about the cloud's Terraform", tester)
  test.skip(`${mutants.length} changes that Terraform's own run shows`, tester)
} else await declare(tester)

async function declare(terraform: Tester): Promise<void> {
  const limit = createLimit(2)
  const files = Object.keys(TEST_FILES) as TestFile[]
  const [changed, diagnostics] = await Promise.all([
    runMutants(mutants, { terraform, limit }),
    Promise.all(ROOTS.map((root) => limit(() => terraform.validate(root)))),
    ...files.map((file) => limit(async () => facts.set(file, await terraform.facts(file)))),
  ])
  declareMutants(changed)
  test.after(() => terraform[Symbol.asyncDispose]())

  for (const [name, check] of Object.entries(TREE_CHECKS))
    test(`the files of cloud/: ${name}`, async () => assert.equal(await check(CLOUD), []))

  for (const [i, root] of ROOTS.entries()) test(`cloud/${root} is valid for the pinned provider`, () => assert.equal(diagnostics[i], []))

  for (const [file, { runs }] of facts)
    for (const { name, status, why } of runs) test(`terraform test ${file}: ${name}`, () => assert.is(status, 'pass', why))

  for (const file of ENVIRONMENTS)
    for (const [name, check] of Object.entries(CHECKS)) test(`${file}: ${name}`, () => assert.equal(check(factsOf(file)), []))

  for (const [name, check] of Object.entries(BUCKET_CHECKS))
    test(`the bucket of the states: ${name}`, () => assert.equal(check(factsOf('bootstrap/bucket')), []))

  for (const [name, check] of Object.entries(GITHUB_CHECKS))
    test(`the roles of workflows: ${name}`, () => assert.equal(check(factsOf('github/roles')), []))
}

/** @param changed what each came to */
function declareMutants(changed: ReadonlyMap<OfFacts, Facts>): void {
  test('what a change of the table makes red is told by no other of them', () => {
    for (const mutant of mutants) {
      const told = problemsOf(mutant, changed.get(mutant))
      const others = mutants.filter((other) => other !== mutant && nameOf(other) === nameOf(mutant))
      const both = told.filter((line) => mutant.says.test(line) && others.some(({ says }) => says.test(line)))
      assert.equal(both, [], mutant.name)
    }
  })
  for (const mutant of mutants)
    test(`${mutant.name}: ${nameOf(mutant)} turns red`, () => {
      assert.equal(problemsOf(mutant, facts.get(mutant.red.facts)), [], 'it is red without the change')
      assert.match(problemsOf(mutant, changed.get(mutant)).join('\n'), mutant.says)
    })
}

for (const mutant of MUTANTS) {
  const { name, red, says } = mutant
  if ('tree' in red)
    test(`${name}: the files' own check turns red`, async () => {
      assert.equal(await TREE_CHECKS[red.tree](CLOUD), [], 'it is red without the change')
      assert.match((await checkTree(mutant, red.tree)).join('\n'), says)
    })
}

/** No facts are no success: a check over nothing finds nothing. */
function factsOf(file: TestFile): Facts {
  const found = facts.get(file)
  assert.ok(found !== undefined && found.resources.length > 0, `${file} made nothing`)
  return found as Facts
}

if (typeof tester !== 'string') {
  test('the three environments in numbers are what their snapshot says', () => {
    const numbers = Object.fromEntries(ENVIRONMENTS.slice(0, 3).map((file) => [file.split('/')[1], countTypes(factsOf(file))]))
    compareWithSnapshot('cloud-plans.json', numbers)
  })

  test('every policy, and who may become which role, is what its snapshot says', () => {
    compareWithSnapshot('cloud-policies.json', { ...policiesOf(factsOf('platform/public')), ...policiesOf(factsOf('github/roles')) })
  })

  test('the outputs are those that the commands read', () => {
    const { outputs } = factsOf('platform/public')
    assert.equal(Object.keys(outputs).sort(), [...OUTPUT_NAMES.platform].sort())
    assert.is(parsePlatform(outputs).database?.port, 5432)
    assert.is(parsePlatform(factsOf('platform/dev').outputs).database, null)
    const { cluster_name: _, ...without } = outputs
    assert.throws(() => parsePlatform(without), /missing or of another kind: cluster_name/)
    assert.is(parseGithub(factsOf('github/roles').outputs).apply_role_arns.prod, 'arn:aws:iam::111122223333:role/mocked')
    assert.throws(() => parseBootstrap({}), /account_id, region, state_bucket/)
  })
}

function countTypes({ resources }: Facts): Record<string, number> {
  const counts: Record<string, number> = { total: resources.length }
  for (const { type } of resources) counts[type] = (counts[type] ?? 0) + 1
  return Object.fromEntries(Object.entries(counts).sort(([a], [b]) => a.localeCompare(b)))
}

function compareWithSnapshot(name: string, value: unknown): void {
  const path = fileURLToPath(new URL(`snapshots/${name}`, import.meta.url))
  const text = `${JSON.stringify(value, undefined, 2)}\n`
  if (process.env.UPDATE_SNAPSHOTS === '1') writeFileSync(path, text)
  assert.ok(existsSync(path), `There is no ${path} yet. To write it: ${UPDATE}`)
  assert.fixture(text, readFileSync(path, 'utf8'), `It differs from its snapshot. When that is meant: ${UPDATE}`)
}

test.run()
