/** Each rule of the repository against a tree with one planted violation, and against one without. */
import { symlinkSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { lint } from '#kit/gate/code'
import { importLaw, importsOf } from '#kit/imports'
import { root } from '#kit/paths'
import { checkRules, exactVersions, executableBits, fileLength, machineNames, type Rule, testFiles } from '#kit/rules'
import { assert, suite } from '../suite.ts'
import { createRepository } from './tree-fixture.ts'

const test = suite('rules')

const MANIFEST = JSON.stringify({ type: 'module' })

async function problemsOf(rule: Rule, files: Readonly<Record<string, string>>): Promise<string[]> {
  using tree = createRepository({ 'package.json': MANIFEST, ...files })
  return await rule(tree.path)
}

/** File, what it imports, and whether that is allowed. */
const IMPORTS: readonly (readonly [file: string, specifier: string, allowed: boolean])[] = [
  ['scripts/core/judge.ts', './types.ts', true],
  ['scripts/core/judge.ts', '#kit/wait', true],
  ['scripts/kit/go.ts', '../core/types.ts', true],
  ['scripts/kit/go.ts', 'zx', true],
  ['scripts/core/judge.ts', '../../local/k3s.ts', false],
  ['scripts/kit/go.ts', '../../holdfast.config.ts', false],
  ['scripts/kit/go.ts', '../local-up.ts', false],
  ['scripts/kit/go.ts', '../../test/suite.ts', false],
  ['scripts/local-up.ts', '#core', true],
  ['scripts/local-up.ts', '#kit/main', true],
  ['scripts/local-up.ts', '../holdfast.config.ts', true],
  ['scripts/local-up.ts', '../local/k3s.ts', false],
  ['scripts/local-up.ts', './gate.ts', false],
  ['scripts/local-up.ts', '../test/run.ts', false],
  ['local/k3s.ts', '#core', true],
  ['local/k3s.ts', './node/image.ts', true],
  ['local/node/image.ts', '../ports.ts', true],
  ['local/k3s.ts', '../argocd/part.ts', false],
  ['argocd/deep/part.ts', '../../local/k3s.ts', false],
  ['cloud/eks.ts', '../scripts/kit/exec.ts', false],
  ['alerts/part.ts', '../service/app.ts', false],
  ['load/part.ts', '../holdfast.config.ts', false],
  ['chart/part.ts', '../test/suite.ts', false],
  ['holdfast.config.ts', './local/k3s.ts', true],
  ['holdfast.config.ts', '#core', true],
  ['holdfast.config.ts', './scripts/gate.ts', false],
  ['holdfast.config.ts', './service/app.ts', false],
  ['service/app.ts', './http.ts', true],
  ['service/app.ts', 'express', true],
  ['service/app.ts', '#kit/exec', false],
  ['service/app.ts', '../load/part.ts', false],
  ['load/steady.k6.ts', './shapes.k6.ts', true],
  ['load/steady.k6.ts', 'k6/http', true],
  ['load/steady.k6.ts', '#core', false],
  ['load/profiles/steady.k6.ts', '../part.ts', false],
  ['test/unit/a.test.ts', '../../local/k3s.ts', true],
]

/** Only a resolved path shows these: Biome goes by names. */
const BEYOND_BIOME: typeof IMPORTS = [
  ['local/k3s.ts', '#other', false],
  ['cloud/eks.ts', '../scripts/core/judge.ts', false],
  ['local/k3s.ts', '../package.json', false],
  ['newpart/part.ts', 'zx', false],
  ['scripts/bootstrap.mjs', './kit/exec.ts', false],
]

for (const [file, specifier, allowed] of [...IMPORTS, ...BEYOND_BIOME]) {
  test(`the import law ${allowed ? 'allows' : 'forbids'} '${specifier}' in ${file}`, async () => {
    const problems = await problemsOf(importLaw, { [file]: `import { a } from '${specifier}'\n` })
    assert.is(problems.length, allowed ? 0 : 1, problems.join('\n'))
    if (!allowed) assert.match(problems[0] ?? '', `${file}:1 — `)
  })
}

test("Biome's settings say the same while one types", async () => {
  const files = Object.fromEntries(IMPORTS.map(([file]) => [file, '']))
  for (const [file, specifier] of IMPORTS) files[file] += `import '${specifier}'\n`
  using tree = createRepository({ ...files, 'biome.json': await readFile(join(root, 'biome.json'), 'utf8'), 'package.json': MANIFEST })
  const problems = (await lint.checks[0]?.run({ root: tree.path })) ?? []
  const found = problems.filter((problem) => problem.includes('noRestrictedImports')).map((problem) => problem.split(' — ')[0])
  const lineOf = (file: string, index: number) => IMPORTS.slice(0, index + 1).filter(([other]) => other === file).length
  const forbidden = IMPORTS.flatMap(([file, , allowed], index) => (allowed ? [] : [`${file}:${lineOf(file, index)}`]))
  assert.equal(found.sort(), forbidden.sort())
})

test('importsOf() finds every form of import, and no text that resembles one', () => {
  const text = [
    "import a, { type B } from './1.ts'",
    "import type { C } from './2.ts'",
    "import './3.ts'",
    "export * from './4.ts'",
    'export {',
    '  d,',
    "} from './5.ts'",
    "const e = await import('./6.ts')",
    'const f = await import(`./7.ts`)',
    "export const g = { from: 'no' }",
    "// import 'no'",
    "export function h() { return 'taken from' + 'no' }",
  ].join('\n')
  assert.equal(
    importsOf(text).map(({ specifier }) => specifier),
    [1, 2, 3, 4, 5, 6, 7].map((n) => `./${n}.ts`),
  )
})

test('the import law names the line', async () => {
  const problems = await problemsOf(importLaw, { 'local/a.ts': "// two\nimport {\n  b,\n} from '../cloud/b.ts'\n" })
  assert.equal(problems, ["local/a.ts:4 — imports '../cloud/b.ts' — a part imports #core, #kit/* and its own folder"])
})

test('versions are exact in every package.json', async () => {
  const bad = JSON.stringify({ dependencies: { zx: '8.8.5', yaml: '^2.9.1' }, devDependencies: { uvu: 'latest' } }, undefined, 2)
  const problems = await problemsOf(exactVersions, { 'service/package.json': bad })
  assert.equal(problems, [
    "service/package.json:4 — 'yaml' is '^2.9.1' — pin one exact version",
    "service/package.json:7 — 'uvu' is 'latest' — pin one exact version",
  ])
})

test('a file of more than 400 lines is split', async () => {
  const problems = await problemsOf(fileLength, {
    'local/long.ts': 'x\n'.repeat(401),
    'local/fits.ts': 'x\n'.repeat(400),
    'notes.md': 'x\n'.repeat(999),
  })
  assert.equal(problems, ['local/long.ts:401 — has 401 lines — split it, the limit is 400'])
})

test('a test file imports the guarded suite, runs, and stands where a runner looks', async () => {
  const good = "import { suite } from '../suite.ts'\nconst test = suite('x')\ntest.run()\n"
  const problems = await problemsOf(testFiles, {
    'test/unit/good.test.ts': good,
    'test/unit/silent.test.ts': good.replace('test.run()', ''),
    'test/unit/bare.test.ts': good.replace('../suite.ts', 'uvu'),
    'test/lost.test.ts': good,
    'local/helper.ts': "import { ok } from 'uvu/assert'\n",
  })
  assert.equal(problems, [
    'local/helper.ts:1 — imports uvu — import test/suite.ts, which guards it',
    'test/lost.test.ts:1 — no runner looks here — move it to test/{unit,config,gates,contract,live,series,rehearsal,parity,comeback,offline}/',
    'test/unit/bare.test.ts:1 — imports uvu — import test/suite.ts, which guards it',
    "test/unit/bare.test.ts:1 — does not import '../suite.ts' — its failures would not count",
    'test/unit/silent.test.ts:1 — never calls .run() — its tests would not run',
  ])
})

test('no path or host of one machine is named', async () => {
  const path = ['', 'home', 'ada', 'holdfast'].join('/')
  const problems = await problemsOf(machineNames, {
    'a.ts': `const a = 1\nconst b = '${path}/b'\n`,
    'b.yaml': `url: http://${['nas', 'lan'].join('.')}:80/\n`,
    'fine.ts': "const c = '/homepage/x' + '/workload/y' + 'https://github.com/home/lan.ts'\n",
  })
  assert.equal(problems, [
    `a.ts:2 — names '${path.slice(0, 9)}' of one machine — use what every clone has`,
    `b.yaml:1 — names '${['nas', 'lan'].join('.')}' of one machine — use what every clone has`,
  ])
})

test('what starts with #! can be run, and nothing else', async () => {
  using tree = createRepository({ 'package.json': MANIFEST, 'run.sh': '#!/bin/sh\n' })
  tree.write('data.json', '{}', 0o755)
  tree.write('good.sh', '#!/bin/sh\n', 0o755)
  assert.equal(await executableBits(tree.path), [
    "data.json:1 — is executable without '#!' — chmod -x data.json",
    'run.sh:1 — is not executable — chmod +x run.sh',
  ])
})

test('files that Git ignores are nobody’s business, and a tree without files is not clean', async () => {
  using tree = createRepository({ '.gitignore': 'build/\n', 'package.json': MANIFEST, 'build/a.test.ts': '' })
  assert.equal(await checkRules(tree.path), [])
  symlinkSync('build', join(tree.path, 'link.ts'))
  assert.equal(await checkRules(tree.path), [], 'a link is not a file')
  using empty = createRepository()
  assert.match((await checkRules(empty.path)).join(), /holds no file that Git knows/)
})

test.run()
