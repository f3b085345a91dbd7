/** Runs what somebody could change in `cloud/`, each only as far as the check that must notice it looks. */
import { BUCKET_CHECKS, CHECKS, GITHUB_CHECKS } from './cloud-checks.ts'
import { changedCopy, type Facts, keepRun, type Tester, type TestFile } from './cloud-fixture.ts'
import type { Mutant } from './cloud-mutants.ts'
import { TREE_CHECKS } from './cloud-tree.ts'

export type OfFacts = Omit<Mutant, 'red'> & { readonly red: Extract<Mutant['red'], { readonly facts: TestFile }> }

export const isOfFacts = (mutant: Mutant): mutant is OfFacts => 'facts' in mutant.red

const FACT_CHECKS = { ...CHECKS, ...BUCKET_CHECKS, ...GITHUB_CHECKS }

/** A run takes seconds, so changes that checks of what is made must notice share one: what each says tells them apart. */
export async function runMutants(
  mutants: readonly OfFacts[],
  { terraform, limit }: { readonly terraform: Tester; readonly limit: <T>(work: () => Promise<T>) => Promise<T> },
): Promise<ReadonlyMap<OfFacts, Facts>> {
  const after = new Map<OfFacts, Facts>()
  const look = async ({ file, run, shared }: Group) => {
    await using copy = await changedCopy(shared)
    if (run !== undefined) await keepRun(file, run, copy.path)
    const facts = await terraform.facts(file, copy.path)
    for (const mutant of shared) after.set(mutant, facts)
  }
  await Promise.all(share(mutants).map((group) => limit(() => look(group))))
  return after
}

interface Group {
  readonly file: TestFile
  /** The one that must notice; undefined: a check of what is made. */
  readonly run: string | undefined
  readonly shared: OfFacts[]
}

/** One for each test file. A run that fails skips those after it, so each that must is alone. */
function share(mutants: readonly OfFacts[]): Group[] {
  const groups: Group[] = []
  for (const mutant of mutants) {
    const { facts: file } = mutant.red
    const run = 'run' in mutant.red ? mutant.red.run : undefined
    const free = run === undefined ? groups.find((group) => group.run === undefined && group.file === file) : undefined
    if (free === undefined) groups.push({ file, run, shared: [mutant] })
    else free.shared.push(mutant)
  }
  return groups
}

export function nameOf({ red }: OfFacts): string {
  return `${red.facts} ${'run' in red ? red.run : red.check}`
}

/** What the named check says of them. @throws where nothing was made: a check over nothing finds nothing */
export function problemsOf({ red }: OfFacts, facts: Facts | undefined): string[] {
  if (facts === undefined) throw new Error('It was not run')
  if ('run' in red) return facts.runs.flatMap(({ name, status, why }) => (name === red.run && status !== 'pass' ? [why] : []))
  if (facts.resources.length === 0) throw new Error(`Nothing was made: ${facts.runs.map(({ why }) => why).join('\n')}`)
  return FACT_CHECKS[red.check](facts)
}

/** What a check of the files says of a copy with the change. */
export async function checkTree(mutant: Mutant, check: keyof typeof TREE_CHECKS): Promise<string[]> {
  await using copy = await changedCopy([mutant])
  return TREE_CHECKS[check](copy.path)
}
