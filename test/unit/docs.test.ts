/** What is read from pages, what is wrong with them, and which of the commands that they show are run. Nothing runs here. */
import { execFileSync } from 'node:child_process'
import { commandPages, type DescribedCommand } from '#kit/commands'
import { checkDocs, externalLinks, readPages } from '#kit/docs'
import { describeCommand, main } from '#kit/main'
import { readPage } from '#kit/markdown'
import { countShown, jobOf, planShown, renderRan, renderShown, type ShownOptions } from '#kit/shown'
import { rehearsedArgs } from '../rehearsal/shown-args.ts'
import { assert, suite } from '../suite.ts'
import { createRepository } from './tree-fixture.ts'

const test = suite('documentation')

const page = (text: string, path = 'docs/it.md') => readPage({ path, text })
const sh = (...lines: readonly string[]) => `\`\`\`sh\n${lines.join('\n')}\n\`\`\`\n`

// ── Pages ───────────────────────────────────────────────────────────────────────────────────────────────────────────

test('a page tells its title, its anchors as GitHub makes them, and its links with their lines', () => {
  const { title, anchors, links } = page('# The `first` one\n\nA [b](c.md#d).\n\n## Twice\n\n## Twice\n\n| a |\n|---|\n| ![e](f.svg) |\n')
  assert.is(title, 'The first one')
  assert.equal(anchors, ['the-first-one', 'twice', 'twice-1'])
  assert.equal(links, [
    { text: 'c.md#d', line: 3 },
    { text: 'f.svg', line: 11 },
  ])
})

test('commands are the lines of sh, and those of console that have a prompt; comments and answers are none', () => {
  const console = '```console\n$ npm run b   # why\nits answer\n```\n'
  const { commands } = page(`${sh('# a comment', 'npm run a', '', 'c \\', '  d')}\n${console}\n\`\`\`text\nnpm run e\n\`\`\`\n`)
  assert.equal(commands, [
    { text: 'npm run a', line: 3 },
    { text: 'c d', line: 5 },
    { text: 'npm run b', line: 10 },
  ])
})

test('a command in a sentence counts too, and a block in a list has its line', () => {
  const { commands } = page(`Try \`npm run a\`.\n\n1. So:\n\n    ${sh('npm run b').replaceAll('\n', '\n    ')}\n`)
  assert.equal(commands, [
    { text: 'npm run b', line: 6 },
    { text: 'npm run a', line: 1 },
  ])
})

// ── What is wrong with them ─────────────────────────────────────────────────────────────────────────────────────────

const GOOD: Readonly<Record<string, string>> = {
  'package.json': '{ "scripts": { "a:b": "true" } }',
  'README.md': '# It\n\n[page](docs/a.md#there) https://example.org `docs/a.md` `npm run a:b`\n',
  'docs/a.md': `# A\n\n## There\n\n![picture](b.svg) [folder](sub/)\n\n${sh('npm run --silent a:b')}`,
  'docs/b.svg': '<svg/>',
  'docs/sub/c.md': '# C\n\n[up](../a.md) [here](#c)\n',
}

async function problemsOf(changes: Readonly<Record<string, string>>): Promise<string[]> {
  using tree = createRepository({ ...GOOD, ...changes })
  return await checkDocs(tree.path)
}

test('a good tree has no problem, and its external links are counted', async () => {
  using tree = createRepository(GOOD)
  assert.equal(await checkDocs(tree.path), [])
  assert.equal(externalLinks(await readPages(tree.path)), ['https://example.org'])
})

const PLANTED: readonly (readonly [string, string, RegExp])[] = [
  ['a page that is not there', '[a](gone.md)', /^docs\/x\.md:1 — links to 'docs\/gone\.md', which is not there/],
  ['a picture that is not there', '\n![a](gone.svg)', /^docs\/x\.md:2 — links to 'docs\/gone\.svg'/],
  ['an anchor that no heading makes', '[a](a.md#ther)', /no such heading — did you mean '#there'\?/],
  ['an anchor of its own that is not there', '# X\n\n[a](#y)', /links to '#y' of docs\/x\.md/],
  ['a link out of the site', '[a](../README.md)', /which the site lacks/],
  ['a path that is not there', '`docs/gone.ts`', /names 'docs\/gone\.ts', which is not there/],
  ['a script that package.json lacks', '`npm run a:c`', /shows 'npm run a:c', which package\.json lacks — did you mean 'a:b'\?/],
  ['the same in a block', sh('npm run a:c -- --flag'), /^docs\/x\.md:2 — shows 'npm run a:c'/],
  ['a block without a language', '```\nx\n```', /^docs\/x\.md:1 — a block of code names no language/],
]
for (const [what, text, says] of PLANTED)
  test(`red: ${what}`, async () => {
    const problems = await problemsOf({ 'docs/x.md': text })
    assert.is(problems.length, 1, problems.join('\n'))
    assert.match(problems[0] ?? '', says)
  })

test('a tree without a page is a wrong root, not a clean one', async () => {
  using tree = createRepository({ 'package.json': '{}' })
  assert.match((await checkDocs(tree.path)).join(), /holds no page/)
})

// ── The plan ────────────────────────────────────────────────────────────────────────────────────────────────────────

const EVERYTHING: ShownOptions = { order: ['docs/b.md', 'docs/a.md'], has: () => true }
const planOf = (text: string, options: Partial<ShownOptions> = {}) => planShown([page(text)], { ...EVERYTHING, ...options })
const fateOf = (command: string) => planOf(sh(command)).map(({ fate, reason }) => (reason === undefined ? fate : `${fate}: ${reason}`))[0]

test('README comes first, then what lies beside it, then the pages in the order of the menu', () => {
  const pages = ['docs/z.md', 'docs/a.md', 'SECURITY.md', 'docs/b.md', 'README.md'].map((path) => page(sh(`npm run ${path}`), path))
  const plan = planShown(pages, EVERYTHING)
  assert.equal(
    plan.map(({ path }) => path),
    ['README.md', 'SECURITY.md', 'docs/b.md', 'docs/a.md', 'docs/z.md'],
  )
})

test('it can go on at a page; what was shown further up as well was run there', () => {
  const pages = ['docs/a.md', 'docs/b.md', 'README.md'].map((path) => page(sh('npm run local:up', `npm run ${path}`), path))
  const plan = planShown(pages, { ...EVERYTHING, from: 'docs/b' })
  assert.equal(
    plan.filter(({ fate }) => fate === 'run').map(({ command }) => command),
    ['npm run docs/b.md', 'npm run docs/a.md'],
  )
})

test('what is not run has a reason', () => {
  assert.is(fateOf('npm run local:up'), 'run')
  assert.is(fateOf('npm run local:status'), 'run')
  assert.is(fateOf('npm test -- unit wait'), 'run')
  assert.is(fateOf('npm run test:live'), 'excepted: it is part of npm test')
  assert.is(fateOf('npm test -- --require terraform'), 'excepted: it is part of npm test')
  assert.is(fateOf('npm run test:series'), 'excepted: it has a run of its own, which takes up to hours')
  assert.is(fateOf('npm run test:kills -- --seed 7 --count 5'), 'excepted: it has a run of its own, which takes up to hours')
  assert.is(fateOf('npm run bench:kind'), 'excepted: it has a run of its own, which takes up to hours')
  assert.is(fateOf('npm run bench -- --only warm,rerun --runs 3'), 'excepted: it has a run of its own, which takes up to hours')
  assert.is(fateOf('npm run bench -- --list'), 'run')
  assert.is(fateOf('npm run image -- --to ghcr'), 'excepted: it needs an account')
  assert.is(fateOf('npm run image'), 'run')
  assert.is(fateOf('npm run move-digest -- --env dev --from ghcr'), 'excepted: it needs an account')
  assert.is(fateOf('npm run test:docs'), 'excepted: it is this command')
  assert.is(fateOf('npm run local:down -- --all'), 'excepted: it would take away more than these lines have made')
  assert.is(fateOf('npm run rollback -- <sha>'), 'excepted: it has a placeholder')
  assert.is(fateOf('apt-get install docker.io'), 'excepted: it installs something, or fetches what is already here')
  for (const endless of ['npm run docs -- --serve', 'npm run local:deploy -- --watch', 'npm run local:deploy -- --sync'])
    assert.is(fateOf(endless), 'excepted: it runs until somebody stops it')
  assert.is(fateOf('npm run --silent cloud:plan -- --env prod'), 'excepted: only dev is rehearsed')
})

test('a comment before a block excepts it, with its reason', () => {
  const plan = planOf(`<!-- test:docs: it shows a failure -->\n\n${sh('npm run a')}\n${sh('npm run b')}`)
  assert.equal(
    plan.map(({ command, fate, reason }) => [command, fate, reason]),
    [
      ['npm run a', 'excepted', 'it shows a failure'],
      ['npm run b', 'run', undefined],
    ],
  )
})

test('a program that this machine lacks is an exception, also within a pipe; what stands in quotes is none', () => {
  const has = (program: string) => program === 'curl'
  const reasons = (command: string) => planOf(sh(command), { has })[0]?.reason
  assert.is(reasons('kubectl get pods'), 'kubectl is not on the PATH')
  assert.is(reasons('curl x | jq .a'), 'jq is not on the PATH')
  assert.is(reasons("curl -G x --data-urlencode 'query=a | b'"), undefined)
})

test('the same line is run once', () => {
  assert.equal(
    planOf(sh('npm run a', 'npm run a')).map(({ fate }) => fate),
    ['run', 'repeated'],
  )
})

test('npm test is run after all other lines, and what takes the stack away after that', () => {
  const lines = ['npm run local:down', 'npm test', 'npm run a', 'npm run cloud:up']
  assert.equal(
    planOf(sh(...lines)).map(({ fate, command }) => `${fate} ${command}`),
    ['run npm run a', 'run npm test', 'run npm run local:down', 'rehearsed npm run cloud:up'],
  )
})

test('npm test can be left out, and a stack that ran before stays', () => {
  const plan = planOf(sh('npm test', 'npm run local:down'), { tests: false, keepsStack: true })
  assert.is(
    countShown(plan),
    '0 run, 0 rehearsed, 0 repeated, 2 excepted\n  1 excepted: --no-tests leaves it out\n  1 excepted: the stack ran before, and stays',
  )
})

test('npm test has a longer time than any other line, and the job has the time of all', () => {
  const { timeoutMs, steps } = jobOf(planOf(sh('npm test', 'npm run a')))
  const minutes = (ms = 0) => ms / 60_000
  assert.equal(
    steps.map((step) => minutes(step.timeoutMs)),
    [0, 30, 90],
  )
  assert.is(minutes(timeoutMs), 30 + 30 + 90)
})

test('what needs a cloud is rehearsed last, in the order in which an environment lives', () => {
  const plan = planOf(
    sh('npm run cloud:down -- --env dev', 'npm run cloud:test', 'npm run prove -- --name holdfast-dev a', 'npm run cloud:up', 'npm run a'),
  )
  assert.equal(
    plan.map(({ fate, command }) => `${fate} ${command}`),
    [
      'run npm run a',
      'rehearsed npm run cloud:up',
      'rehearsed npm run cloud:test',
      'rehearsed npm run prove -- --name holdfast-dev a',
      'rehearsed npm run cloud:down -- --env dev',
    ],
  )
})

test('the plan is printed with every line, its place and its reason, and counted', () => {
  const plan = planOf(sh('npm run a', 'npm run a', 'npm run test:live', 'npm run cloud:up'))
  assert.match(renderShown(plan), /^run +docs\/it\.md:2 {2}npm run a$/m)
  assert.match(renderShown(plan), /^excepted +docs\/it\.md:4 {2}npm run test:live {2}\(it is part of npm test\)$/m)
  assert.is(countShown(plan), '1 run, 1 rehearsed, 1 repeated, 1 excepted\n  1 excepted: it is part of npm test')
})

test('what is run is a job: a clone with its history, then each line, also after one that failed', () => {
  const { steps } = jobOf(planOf(sh('npm run a', 'npm run test:docs', 'npm run b')))
  assert.equal(
    steps.map((step) => (step.kind === 'script' ? `${step.if} ${step.script}` : step.action)),
    ['actions/checkout', '!cancelled() npm run a', '!cancelled() npm run b'],
  )
})

test('what became of each line is printed, and what failed says how', () => {
  const step = (name: string, ok: boolean) => ({ step: name, outcome: 'ran' as const, ok, detail: 'npm run b: ended with exit code 1' })
  const result = { name: 'docs', workflow: '', steps: [step('docs/it.md:2: npm run a', true), step('docs/it.md:3: npm run b', false)] }
  assert.is(renderRan(result), '✓ docs/it.md:2: npm run a\n✗ docs/it.md:3: npm run b\n    npm run b: ended with exit code 1')
})

test('a cloud command is rehearsed with what the rehearsal has in place of the example', () => {
  const up = ['--repo', 'http://its-own', '--timing', 'local']
  const shown = (line: string) => rehearsedArgs(line, up)
  assert.equal(shown('npm run cloud:up -- --env dev --repo https://github.com/you/platform.git'), {
    file: 'cloud-up',
    args: ['--env', 'dev', ...up, '--yes'],
  })
  assert.equal(shown('npm run --silent cloud:status -- --json'), { file: 'cloud-status', args: ['--json'] })
  assert.equal(shown('npm run cloud:down -- --env dev').args, ['--env', 'dev', '--confirm', 'dev'])
  assert.equal(shown('npm run cloud:down -- --confirm dev').args, ['--confirm', 'dev'])
  assert.equal(shown('npm run prove -- --name holdfast-dev a'), { file: 'prove', args: ['--name', 'holdfast-dev', 'a'] })
  assert.throws(() => shown('terraform apply'), /runs no command of ours/)
})

// ── Pages about commands ────────────────────────────────────────────────────────────────────────────────────────────

const command: DescribedCommand = {
  file: 'a-b',
  spec: { name: 'a:b', summary: 'Does it', example: 'npm run a:b', declare: (parser) => parser.option('--much', 'more of it') },
  shortcuts: [{ script: 'c', args: '--much' }],
}

test('a page about a command has its help, its example, its shortcuts, and the pages that show it', () => {
  const guide = readPage({ path: 'docs/guides/it.md', text: '# A guide\n\n`npm run a:b -- --much`\n' })
  const text = commandPages([command], [guide]).get('docs/commands/a-b.md') ?? ''
  for (const part of [
    '# npm run a:b\n',
    'Does it.\n',
    '```sh\nnpm run a:b\n```',
    '--much      more of it',
    '`npm run c` is `npm run a:b -- --much`',
  ])
    assert.ok(text.includes(part), `${part} in ${text}`)
  assert.match(text, /See also: \[A guide\]\(\.\.\/guides\/it\.md\)/)
})

test('describing a command does not run it, and a file without one is an error', async () => {
  let ran = false
  const run = async () => {
    ran = true
    return 0
  }
  const spec = await describeCommand(async () => main({ name: 'it', summary: 'Try it', example: 'npm run it', run }))
  assert.is(spec.summary, 'Try it')
  assert.is(ran, false)
  await assert.rejects(
    describeCommand(async () => undefined),
    /without calling main/,
  )
})

test('Git is what says which pages belong to a tree', async () => {
  using tree = createRepository({ ...GOOD, '.gitignore': 'ignored/\n', 'ignored/x.md': '[a](gone.md)' })
  execFileSync('git', ['-C', tree.path, 'add', '.'])
  assert.equal(await checkDocs(tree.path), [])
})

test.run()
