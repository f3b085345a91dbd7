/** The documentation: true of the tree, as generated, a site by the strict build, a page for each alert and an entry of the catalogue. */
import { readFileSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import {
  componentEntityV1alpha1Validator,
  type Entity,
  EntityPolicies,
  FieldFormatEntityPolicy,
  NoForeignRootFieldsEntityPolicy,
  SchemaValidEntityPolicy,
} from '@backstage/catalog-model'
import { parse } from 'yaml'
import { describeCommands } from '#kit/commands'
import { checkDocs, externalLinks, readPages } from '#kit/docs'
import { messageOf, UserError } from '#kit/errors'
import { parserOf } from '#kit/main'
import { root } from '#kit/paths'
import { planShown } from '#kit/shown'
import { buildSite, generatedDocs, siteOrder, staleDocs } from '#kit/site'
import { groupsOf } from '../../alerts/retime.ts'
import { readPromql } from '../../alerts/rules/promql.ts'
import { readRules } from '../../alerts/rules.ts'
import { heartbeat } from '../../alerts/scenarios/observers.ts'
import { stack } from '../../holdfast.config.ts'
import { assert, suite } from '../suite.ts'

const test = suite('documentation')

const RUNBOOKS = 'docs/runbooks'
const SECTIONS = ['What it means', 'Look first', 'What to do', 'When it ends', 'How it is proven']
const MINUTE_MS = 60_000

const scenarios = stack.parts.flatMap((part) => part.scenarios)
const rules = readRules()
  .flatMap(groupsOf)
  .flatMap((group) => group.rules)
const alerts = [...new Set(rules.flatMap(({ alert }) => alert ?? []))]
const pages = await readPages(root)
const textOf = (path: string) => readFileSync(join(root, path), 'utf8')

test('links, anchors, paths, scripts and languages of all pages are right', async () => {
  assert.equal(await checkDocs(root), [])
  const external = externalLinks(pages)
  process.stdout.write(`  ${pages.length} pages; ${external.length} external links, which are not followed\n`)
})

test('what is generated is committed as it would be generated now, and names no folder of this machine', async () => {
  const generated = await generatedDocs()
  assert.equal(await staleDocs(generated), [])
  for (const [path, text] of generated) assert.not.ok(text.includes(root), path)
  assert.ok([...generated.keys()].filter((path) => path.endsWith('.svg')).length >= 5)
})

test('every page stands in the menu', async () => {
  const order = await siteOrder()
  assert.equal(order.toSorted(), pages.flatMap(({ path }) => (path.startsWith('docs/') ? [path] : [])).toSorted())
})

test('every command that is shown, in a block or in a sentence, is one that its parser takes', async () => {
  const commands = new Map((await describeCommands()).map(({ spec, shortcuts }) => [spec.name, { spec, shortcuts }]))
  const shown = pages.flatMap(({ path, commands: all }) => all.map(({ text, line }) => ({ text, place: `${path}:${line}` })))
  const wrong = shown.flatMap(({ text, place }) => {
    const [, name = '', rest = ''] = /^npm (?:run (?:--silent )?)?([\w:-]+)(?: -- (.*))?$/.exec(text.replace(/\s*[|>].*$/, '')) ?? []
    const command = commands.get(name)
    if (command === undefined || rest === '' || /<|…|\bn\b/.test(rest)) return [] // a name alone is a mention
    const problem = refusal(() =>
      parserOf(command.spec)
        .configureOutput({ writeErr() {} })
        .parse(words(rest), { from: 'user' }),
    )
    return problem === undefined ? [] : [`${place} — ${text} — ${problem}`]
  })
  assert.equal(wrong, [])
  assert.ok(shown.length > 100, `only ${shown.length} were found`)
})

const words = (text: string) => text.split(/\s+/).filter((word) => word !== '')

function refusal(work: () => unknown): string | undefined {
  try {
    work()
    return undefined
  } catch (thrown) {
    return messageOf(thrown)
  }
}

test('what test:docs runs comes to an end, needs no account, and takes no hours', async () => {
  const options = new Map((await describeCommands()).map(({ spec }) => [spec.name, parserOf(spec).options]))
  const isEndless = (name: string, flags: readonly string[]) =>
    options.get(name)?.some(({ long, description }) => flags.includes(long ?? '') && /until Ctrl-C/.test(description)) === true
  const hasOwnRun = (name: string, flags: readonly string[]) =>
    /^(bench:kind|test:kills|service)$/.test(name) || (name === 'bench' && !flags.some((flag) => /^--(list|table|dry-run)$/.test(flag)))
  const run = planShown(pages, { order: await siteOrder(), has: () => true }).filter(({ fate }) => fate === 'run')
  const wrong = run.filter(({ command }) => {
    const [, name = '', rest = ''] = /^npm (?:run (?:--silent )?)?([\w:-]+)(?: -- (.*))?$/.exec(command) ?? []
    return isEndless(name, words(rest)) || hasOwnRun(name, words(rest)) || /\b(ghcr|ecr)\b/.test(rest) || name === 'move-digest'
  })
  assert.equal(wrong, [])
  assert.ok(run.length > 60, `only ${run.length} are run`)
  assert.ok(isEndless('local:deploy', ['--watch']) && isEndless('local:deploy', ['--sync']) && isEndless('docs', ['--serve']))
})

test('every scenario, alert and load that is shown with a command is there', () => {
  const known: Record<string, readonly string[]> = {
    prove: scenarios.map(({ name }) => name),
    chaos: scenarios.map(({ name }) => name),
    alert: alerts,
  }
  const wrong = pages.flatMap(({ path, commands }) =>
    commands.flatMap(({ text, line }) => {
      const [, name = '', rest = ''] = /^npm run (prove|chaos|alert) -- (.*)$/.exec(text) ?? []
      const [first = ''] = words(rest)
      return name === '' || /^-|<|…/.test(first) || known[name]?.includes(first) ? [] : [`${path}:${line} — '${first}'`]
    }),
  )
  assert.equal(wrong, [])
})

test('every mutant stands on the page of mutants with what became of it, and no other of a scenario', () => {
  const rows = [...textOf('docs/mutants.md').matchAll(/^\| ([^|]+) \| ([^|]+) \| [^|]+ \|$/gm)]
  const listed = rows.flatMap(([, named = '', mutants = '']) =>
    named.split(', ').flatMap((scenario) => mutants.split(', ').map((mutant) => `${scenario} / ${mutant}`)),
  )
  const ofScenarios = listed.filter((each) => scenarios.some(({ name }) => each.startsWith(`${name} / `)))
  assert.equal(
    ofScenarios.toSorted(),
    [...new Set(scenarios.flatMap(({ name, mutants }) => mutants.map((mutant) => `${name} / ${mutant.name}`)))].toSorted(),
  )
})

test('every command that is shown with --json prints nothing but that: npm is silent', () => {
  const loud = pages.flatMap(({ path, commands }) =>
    commands.flatMap(({ text, line }) =>
      / --json\b/.test(text) && !text.startsWith('npm run --silent ') ? [`${path}:${line} — ${text}`] : [],
    ),
  )
  assert.equal(loud, [])
})

test('every query that is shown is PromQL, and a recorded series in it is recorded', () => {
  const chart = textOf('chart/templates/replicas.yaml')
  const queries = pages.flatMap(({ commands }) => commands.flatMap(({ text }) => /'query=(.+)'$/.exec(text)?.[1] ?? []))
  for (const metric of queries.flatMap((query) => readPromql(query).metrics.filter((name) => name.includes(':'))))
    assert.ok(rules.some(({ record }) => record === metric) || chart.includes(`record: ${metric}`), metric)
  assert.ok(queries.length > 20, `only ${queries.length} were found`)
})

test('every alert has its runbook, every runbook its alert, and both stand in the list', () => {
  for (const { alert, annotations } of rules) if (alert !== undefined) assert.is(annotations?.runbook, `${RUNBOOKS}/${alert}.md`)
  const found = pages.flatMap(({ path }) => (path.startsWith(`${RUNBOOKS}/`) ? [basename(path, '.md')] : []))
  assert.equal(found.filter((name) => name !== 'index').toSorted(), alerts.toSorted())
  const listed = pages.find(({ path }) => path === `${RUNBOOKS}/index.md`)?.links.map(({ text }) => basename(text, '.md')) ?? []
  assert.equal([...new Set(listed)].toSorted(), alerts.toSorted())
})

for (const alert of alerts)
  test(`${alert}: its runbook has every section, and names the scenarios that watch it and no other`, () => {
    const text = textOf(`${RUNBOOKS}/${alert}.md`)
    assert.equal(
      SECTIONS.filter((section) => !text.includes(`\n## ${section}\n`)),
      [],
    )
    const [, proven = ''] = text.split('\n## How it is proven\n')
    const named = scenarios.filter(({ name }) => proven.includes(`\`${name}\``)).map(({ name }) => name)
    assert.equal(named.toSorted(), watchersOf(alert).toSorted())
    if (named.length === 0) assert.match(proven, /No scenario fires it on a cluster yet/)
  })

/** By what a scenario observes; Watchdog is observed by its absence. */
function watchersOf(alert: string): string[] {
  const observer = alert === 'Watchdog' ? heartbeat.name : alert
  return scenarios.filter(({ observes = [] }) => observes.some(({ name }) => name === observer)).map(({ name }) => name)
}

test('the catalogue entry is one that Backstage takes, and its documentation is here', async () => {
  const entity = parse(textOf('catalog-info.yaml')) as Entity
  const policy = EntityPolicies.allOf([new SchemaValidEntityPolicy(), new FieldFormatEntityPolicy(), new NoForeignRootFieldsEntityPolicy()])
  assert.ok(await policy.enforce(entity))
  assert.is(await componentEntityV1alpha1Validator.check(entity), true)
  assert.is(entity.metadata.annotations?.['backstage.io/techdocs-ref'], 'dir:.')
  const planted = { ...entity, spec: { type: 'tool', lifecycle: 'experimental' } }
  await assert.rejects(componentEntityV1alpha1Validator.check(planted), /owner/)
})

const site = await mkdtemp(join(tmpdir(), 'holdfast-site-'))
test.after(() => rm(site, { recursive: true, force: true }))
const unbuilt = await buildSite({ to: site }).catch((thrown) => {
  if (thrown instanceof UserError) return thrown // no Python, or no PyPI
  throw thrown
})
if (unbuilt instanceof UserError) test.skip('the site, by the strict build', `mkdocs: ${unbuilt.message}`)
else
  test(
    'the site asks no other host, and shows its pictures',
    async () => {
      const files = (await readdir(site, { recursive: true })).filter((name) => name.endsWith('.html'))
      assert.ok(files.length > 50, `${files.length} pages`)
      for (const file of files) {
        const html = await readFile(join(site, file), 'utf8')
        assert.equal(html.match(/<(?:script|link|img|iframe)[^>]+(?:src|href)="(?:https?:)?\/\/[^"]*"/g) ?? [], [], file)
      }
      assert.match(await readFile(join(site, 'architecture', 'index.html'), 'utf8'), /<img[^>]+diagrams\/platform\.svg/)
    },
    { timeoutMs: 2 * MINUTE_MS },
  )

test.run()
