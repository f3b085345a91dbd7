/** The gates: each red on a planted fault, green without it, and never green because it did not look. */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readBiome, readTsc } from '#kit/gate/code'
import { pickGates } from '#kit/gate/gate'
import { root } from '#kit/paths'
import { gates } from '../../holdfast.config.ts'
import { assert, suite } from '../suite.ts'
import { createRepository, type Tree } from './tree-fixture.ts'

const test = suite('gate')
const LONG = { timeoutMs: 30_000 }

const settings = Object.fromEntries(
  await Promise.all(['biome.json', 'tsconfig.json'].map(async (name) => [name, await readFile(join(root, name), 'utf8')])),
)

function createProject(files: Readonly<Record<string, string>>): Tree {
  return createRepository({ 'package.json': '{\n  "name": "planted"\n}\n', ...settings, ...files })
}

async function problemsOf(name: string, tree: Tree): Promise<string[]> {
  const checks = pickGates(gates, [name]).flatMap((gate) => gate.checks)
  return (await Promise.all(checks.map((check) => check.run({ root: tree.path })))).flat()
}

/** Where, the code, and the rule that must see it. */
const LINT_FAULTS: readonly (readonly [what: string, code: string, says: RegExp])[] = [
  ['any', 'export const a = (x: any) => x\n', /noExplicitAny/],
  ['a promise that nobody awaits', 'async function work() {}\nexport function start() {\n  work()\n}\n', /noFloatingPromises/],
  ['four parameters', 'export const a = (b: 1, c: 1, d: 1, e: 1) => [b, c, d, e]\n', /useMaxParams/],
  ['a long function', `export function a() {\n${'  console.log()\n'.repeat(41)}}\n`, /noExcessiveLinesPerFunction/],
  ['a tangle', `export function a(b: number) {\n${'  if (b) while (b) console.log()\n'.repeat(4)}}\n`, /noExcessiveCognitiveComplexity/],
  ['an import without its extension', "import './b'\n", /useImportExtensions/],
  ['a package that is not declared', "import 'left-pad'\n", /noUndeclaredDependencies/],
  ['a variable that is not used', 'const a = 1\n', /noUnusedVariables/],
  ['double quotes and semicolons', 'export const a = "b";\n', /format/],
]

test(
  'lint finds each planted fault',
  async () => {
    const files = LINT_FAULTS.map(([, code], index) => [`local/fault${index}.ts`, code])
    using tree = createProject({ ...Object.fromEntries(files), 'local/b.ts': "import './c.ts'\n", 'local/c.ts': "import './b.ts'\n" })
    const problems = await problemsOf('lint', tree)
    for (const [index, [what, , says]] of LINT_FAULTS.entries()) {
      const found = problems.filter((problem) => problem.startsWith(`local/fault${index}.ts:`))
      assert.ok(
        found.some((problem) => says.test(problem)),
        `${what}: ${found.join('\n')}`,
      )
    }
    assert.ok(problems.some((problem) => /local\/[bc]\.ts:1 .*noImportCycles/.test(problem)))
  },
  LONG,
)

test(
  'lint reports our own rules too, and is green on clean code',
  async () => {
    using tree = createProject({ 'local/a.ts': "export const a = 'b'\n" })
    assert.equal(await problemsOf('lint', tree), [])
    tree.write('local/a.ts', "export const a = 'b'\n", 0o755)
    assert.equal(await problemsOf('lint', tree), ["local/a.ts:1 — is executable without '#!' — chmod -x local/a.ts"])
  },
  LONG,
)

test('readBiome() does not take a missing report, an empty look or an odd end for clean', () => {
  const ended = { exitCode: 1, stderr: 'first\nbiome.json: unknown key\n' }
  assert.equal(readBiome('', ended), ['biome.json:1 — biome ended with exit code 1 and no report — biome.json: unknown key'])
  const report = (unchanged: number) => JSON.stringify({ diagnostics: [], summary: { changed: 0, unchanged } })
  assert.equal(readBiome(report(0), { exitCode: 0, stderr: '' }), ['biome.json:1 — biome looked at no file — mend files.includes'])
  assert.match(readBiome(report(3), ended).join(), /biome ended with exit code 1/)
  assert.equal(readBiome(report(3), { exitCode: 0, stderr: '' }), [])
})

test(
  'types finds a planted fault, and is green without it',
  async () => {
    using tree = createRepository({
      'tsconfig.json': '{ "compilerOptions": { "strict": true, "types": [] }, "include": ["local"] }',
      'local/a.ts': "export const a: number = 'b'\n",
    })
    assert.equal(await problemsOf('types', tree), [
      "local/a.ts:1 — TS2322: Type 'string' is not assignable to type 'number'. — mend the type",
    ])
    tree.write('local/a.ts', 'export const a: number = 1\n')
    assert.equal(await problemsOf('types', tree), [])
    tree.write('tsconfig.json', '{ "include": ["nowhere"] }')
    assert.match((await problemsOf('types', tree)).join(), /tsconfig\.json:1 — TS18003: No inputs were found/)
  },
  LONG,
)

test('readTsc() does not take an odd end for clean', () => {
  assert.equal(readTsc('', { exitCode: 101, stderr: 'panic: out of memory' }), [
    'tsconfig.json:1 — tsc ended with exit code 101 — panic: out of memory',
  ])
})

test('pickGates() gives all, or those that are named', () => {
  assert.equal(pickGates(gates, []), gates)
  assert.equal(
    pickGates(gates, ['types', 'secrets']).map(({ name }) => name),
    ['secrets', 'types'],
  )
})

test('every tool is pinned by a file that is there', () => {
  for (const { pin, tool } of gates.flatMap(({ checks }) => checks)) assert.ok(existsSync(join(root, pin)), `${tool}: ${pin}`)
})

test(
  '--fix mends the formatting and leaves what only a person can mend',
  async () => {
    using tree = createProject({ 'local/a.ts': 'export const a = "b";\n', 'local/c.ts': 'export const a = (x: any) => x\n' })
    for (const { fix } of pickGates(gates, ['lint']).flatMap(({ checks }) => checks)) await fix?.({ root: tree.path })
    assert.match((await problemsOf('lint', tree)).join('\n'), /^local\/c\.ts:1 — [^\n]*noExplicitAny[^\n]*$/)
  },
  LONG,
)

test.run()
