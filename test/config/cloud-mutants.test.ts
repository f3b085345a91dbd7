/** The checks of the cloud's Terraform can fail: each change of the table turns the check red that it names, which is green without. */
import { createLimit } from '#kit/limit'
import { assert, suite } from '../suite.ts'
import { BUCKET_CHECKS, CHECKS, GITHUB_CHECKS } from './cloud-checks.ts'
import { CLOUD, changedCopy, type Facts, Tester, type TestFile } from './cloud-fixture.ts'
import { MUTANTS, type Mutant } from './cloud-mutants.ts'
import { TREE_CHECKS } from './cloud-tree.ts'

const test = suite('cloud mutants')
const FACT_CHECKS = { ...CHECKS, ...BUCKET_CHECKS, ...GITHUB_CHECKS }

type OfFacts = Omit<Mutant, 'red'> & { readonly red: Extract<Mutant['red'], { readonly facts: TestFile }> }
const ofFacts = MUTANTS.flatMap(({ red, ...change }): OfFacts[] => ('facts' in red ? [{ ...change, red }] : []))

const tester = await Tester.open()
if (typeof tester === 'string') test.skip(`${ofFacts.length} changes that Terraform's own run shows`, tester)
else await declareFacts(tester)
for (const mutant of MUTANTS) if ('tree' in mutant.red) declareTree(mutant, TREE_CHECKS[mutant.red.tree])

/** A run takes seconds, so changes that different checks must notice share one: what each says tells them apart. */
async function declareFacts(terraform: Tester): Promise<void> {
  const limit = createLimit(2)
  const files = [...new Set(ofFacts.map(({ red }) => red.facts))]
  const before = new Map<TestFile, Facts>()
  const after = new Map<OfFacts, Facts>()
  const look = async (shared: readonly OfFacts[]) => {
    await using copy = await changedCopy(shared)
    const facts = await terraform.facts(fileOf(shared), copy.path)
    for (const mutant of shared) after.set(mutant, facts)
  }
  await Promise.all([
    ...files.map((file) => limit(async () => before.set(file, await terraform.facts(file)))),
    ...share(ofFacts).map((shared) => limit(() => look(shared))),
  ])
  test.after(() => terraform[Symbol.asyncDispose]())
  for (const mutant of ofFacts)
    test(`${mutant.name}: ${nameOf(mutant)} turns red`, () => {
      assert.equal(problems(mutant, before.get(mutant.red.facts)), [], 'it is red without the change')
      assert.match(problems(mutant, after.get(mutant)).join('\n'), mutant.says)
    })
}

/** A group is never empty. */
function fileOf([first]: readonly OfFacts[]): TestFile {
  return first?.red.facts ?? 'platform/prod'
}

function nameOf({ red }: OfFacts): string {
  return `${red.facts} ${'run' in red ? red.run : red.check}`
}

function problems({ red }: OfFacts, facts: Facts | undefined): string[] {
  if (facts === undefined) throw new Error('It was not run')
  if ('run' in red) return facts.runs.flatMap(({ name, status, why }) => (name === red.run && status !== 'pass' ? [why] : []))
  if (facts.resources.length === 0) throw new Error(`Nothing was made: ${facts.runs.map(({ why }) => why).join('\n')}`)
  return FACT_CHECKS[red.check](facts)
}

/** Groups of the same test file, in each of which no check is named twice. A run of Terraform's that fails skips those after it. */
function share(mutants: readonly OfFacts[]): OfFacts[][] {
  const groups: OfFacts[][] = []
  for (const mutant of mutants) {
    const free =
      'run' in mutant.red
        ? undefined
        : groups.find((group) => fileOf(group) === mutant.red.facts && group.every((other) => nameOf(other) !== nameOf(mutant)))
    if (free === undefined) groups.push([mutant])
    else free.push(mutant)
  }
  return groups
}

function declareTree(mutant: Mutant, check: (cloud: string) => Promise<string[]>): void {
  test(`${mutant.name}: the files' own check turns red`, async () => {
    assert.equal(await check(CLOUD), [], 'it is red without the change')
    await using copy = await changedCopy([mutant])
    assert.match((await check(copy.path)).join('\n'), mutant.says)
  })
}

test.run()
