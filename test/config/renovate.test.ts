/** Renovate's configuration: as its published schema wants it; each pin of the tree found once, and raised with one group. Renovate is not run. */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import { messageOf } from '#kit/errors'
import { exec } from '#kit/exec'
import { lineAt, readTexts } from '#kit/files'
import { cacheDir, ensureDir, root } from '#kit/paths'
import { stack } from '../../holdfast.config.ts'
import { NODE_IMAGES, versionsOf } from '../../local/node/image.ts'
import { assert, suite } from '../suite.ts'
import { findPins, isNamed, isRaised, type Pin, readRenovate, rulesFor } from './renovate-pins.ts'

const test = suite('renovate')

const MINUTE_MS = 60_000
/** The package that has the schema; 3 MB packed, and its dependencies are not installed. */
const RENOVATE = { version: '44.121.2', sha512: 'gNsY+POw2UN3B4e8x0B5UK3onH1qF7wMirKGaUnJcSx3+xEWH4n35RS4rvVEtTIIV/BoZoFbsIo7njTb9Mydxg==' }

const config = await readRenovate()
const pins = await findPins(config)
const groupsOf = (pin: Pin) => rulesFor(pin, config).flatMap(({ groupName }) => groupName ?? [])
const placeOf = ({ path, name, value }: Pin) => `${path} — ${name} ${value}`

// ── The file ────────────────────────────────────────────────────────────────────────────────────────────────────────

const schema = await publishedSchema().catch((thrown) => messageOf(thrown))
if (typeof schema === 'string') test.skip('the published schema', `npm: ${schema}`)
else
  test('it is as the published schema wants it, which a wrong one is not', () => {
    const validate = new Ajv({ strict: false, logger: false }).compile(schema)
    const problems = (value: unknown) => (validate(value) ? [] : validate.errors)
    assert.equal(problems(config), [])
    assert.is.not(problems({ ...config, prConcurrentLimit: 'four' })?.length, 0)
    const [first] = config.customManagers
    assert.is.not(problems({ ...config, customManagers: [{ ...first, matchStrings: undefined, managerFilePatterns: 7 }] })?.length, 0)
  })

async function publishedSchema(): Promise<object> {
  const file = join(ensureDir(join(cacheDir, 'renovate')), `${RENOVATE.version}.json`)
  if (!existsSync(file)) await obtainSchema(file)
  return JSON.parse(await readFile(file, 'utf8')) as object
}

async function obtainSchema(to: string): Promise<void> {
  const folder = await mkdtemp(`${to}-`)
  try {
    await exec('npm', ['pack', '--silent', '--pack-destination', folder, `renovate@${RENOVATE.version}`], { timeoutMs: MINUTE_MS })
    const packed = join(folder, `renovate-${RENOVATE.version}.tgz`)
    const sha512 = createHash('sha512')
      .update(await readFile(packed))
      .digest('base64')
    if (sha512 !== RENOVATE.sha512) throw new Error(`renovate@${RENOVATE.version} is not what it was: ${sha512}`)
    await exec('tar', ['-xzf', packed, '-C', folder, 'package/renovate-schema.json'])
    await rename(join(folder, 'package', 'renovate-schema.json'), to)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

test('its expressions are of the kind that RE2 takes: it looks neither ahead nor back', () => {
  const all = config.customManagers.flatMap(({ matchStrings }) => matchStrings)
  assert.equal(
    all.filter((each) => /\(\?(?:[=!]|<[=!])|\\k|\\[1-9]/.test(each)),
    [],
  )
})

// ── What it finds ───────────────────────────────────────────────────────────────────────────────────────────────────

test('every manager finds something, and nothing is found twice', () => {
  const managers = [
    ...config.enabledManagers.filter((name) => name !== 'custom.regex'),
    ...config.customManagers.map((each) => each.description),
  ]
  assert.equal(
    managers.filter((name) => !pins.some(({ manager }) => manager === name)),
    [],
  )
  const overlaps = pins.filter((a, i) => pins.some((b, j) => i < j && a.path === b.path && a.span[0] < b.span[1] && b.span[0] < a.span[1]))
  assert.equal(overlaps.map(placeOf), [])
})

test('every image that a part pulls is found where it is pinned, by its tag', () => {
  const found = new Map(
    pins.filter(({ datasource, path }) => datasource === 'docker' && path.endsWith('.ts')).map((pin) => [pin.name, pin.value]),
  )
  const upstreams = stack.parts
    .flatMap(({ images }) => images.flatMap(({ upstream, build }) => [upstream, build?.base?.upstream]))
    .flatMap((each) => each ?? [])
  for (const { ref } of upstreams) {
    const [, name = '', tag = ''] = /^(.+):(.+)$/.exec(ref) ?? []
    if (name.endsWith('argoproj/argocd') || name.endsWith('prometheus-operator/prometheus-operator')) continue // found by another name, below
    assert.is(found.get(name)?.replace(/^v/, ''), tag.replace(/^v/, ''), ref)
  }
  assert.ok(upstreams.length > 12, `${upstreams.length} were looked at`)
})

test('Argo CD, its operator’s neighbour and Kubernetes are found by the names of their releases', () => {
  const versionOf = (name: string) => pins.find((pin) => pin.name === name)?.value
  const argocd = stack.parts.find(({ name }) => name === 'argocd')
  assert.is(versionOf('argoproj/argo-cd'), argocd?.upgrades?.pinned)
  assert.is(versionOf('kubernetes/kubernetes'), versionsOf(NODE_IMAGES).pinned)
  assert.is(
    versionOf('quay.io/prometheus-operator/prometheus-config-reloader'),
    versionOf('github.com/prometheus-operator/prometheus-operator')?.slice(1),
  )
})

test('a tag that is raised has its digest raised with it', async () => {
  const files = new Map((await readTexts(root, (path) => path.endsWith('.ts'))).map(({ path, text }) => [path, text]))
  const raised = pins.filter((pin) => pin.path.endsWith('.ts') && pin.datasource === 'docker' && isRaised(pin, config))
  const wrong = raised.filter(({ path, span: [, to] }) => /^[`']?,\s+digest:/.test(files.get(path)?.slice(to) ?? ''))
  assert.equal(wrong.map(placeOf), [])
  assert.ok(raised.length > 12, `${raised.length} were looked at`)
})

/** Numbers that look like versions and are none that anybody raises, each with its reason. */
const NO_PIN: readonly (readonly [path: RegExp, text: RegExp, reason: string])[] = [
  [/./, /^(?:127|10|172|192|203|198|169|0|255|128|11)\.\d+\.\d+/, 'an address'],
  [/^local\/node\/image\.ts$|^argocd\/versions\.ts$/, /^(?:1\.36\.2|3\.5\.6)$/, 'an older version, kept to come from'],
  [/^scripts\/upgrade\.ts$|^scripts\/kit\/gate\/(?:workflows|report)\.ts$/, /./, 'an example, or the version of a form'],
  [/^local\/registry\/image\.ts$|^scripts\/core\/images\.ts$/, /^(?:3\.1\.[12]|24\.21\.0)$/, 'said of an image that is built'],
  [/^chart\/Chart\.yaml$/, /./, 'its own, and the least Kubernetes'],
  [/\.tf$/, /^1\.11\.0$|^2\.0\.0$|^5\.100\.0$|^6\.0\.0$/, 'a range, read by the manager of Terraform'],
]

test('every number that looks like a version in what runs is one that is found, or is none, with its reason', async () => {
  const isSource = (path: string) =>
    /^(?:alerts|argocd|chart|cloud|load|local|scripts|service)\/.+(?:\.ts|\.tf|\.tfvars|Chart\.yaml|manifest\.yaml)$/.test(path)
  const files = await readTexts(root, (path) => isSource(path) && !/\.test\.ts$|\/tests\//.test(path))
  const seen = files.flatMap(({ path, text }) =>
    [...withoutComments(text).matchAll(/(?<![\w.-])v?(\d+\.\d+\.\d+)(?![\w.]*\/|\d)[\w.-]*/g)].map(({ 0: whole, index }) => ({
      path,
      index,
      whole,
      line: lineAt(text, index),
    })),
  )
  const isFound = (at: (typeof seen)[number]) =>
    pins.some(({ path, span: [from, to] }) => path === at.path && from <= at.index && at.index < to)
  const isNone = ({ path, whole }: (typeof seen)[number]) =>
    NO_PIN.some(([where, what]) => where.test(path) && what.test(whole.replace(/^v/, '')))
  assert.equal(
    seen.filter((each) => !isFound(each) && !isNone(each)).map(({ path, line, whole }) => `${path}:${line} — ${whole}`),
    [],
  )
  assert.ok(seen.filter(isFound).length > 30, `${seen.filter(isFound).length} were found`)
})

/** With blanks in their place: every other character keeps its own. */
function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\/|(?<=^|\s)(?:\/\/|#).*$/gm, (comment) => comment.replaceAll(/[^\n]/g, ' '))
}

// ── What it does with them ──────────────────────────────────────────────────────────────────────────────────────────

test('every pin that is raised is raised with one group, and every group has one', () => {
  const raised = pins.filter((pin) => isRaised(pin, config))
  assert.equal(
    raised.filter((pin) => groupsOf(pin).length !== 1).map((pin) => `${placeOf(pin)}: ${groupsOf(pin).join(', ') || 'no group'}`),
    [],
  )
  const used = new Set(raised.flatMap(groupsOf))
  const groups = config.packageRules.flatMap(({ groupName }) => groupName ?? [])
  assert.equal(groups.toSorted(), [...used].toSorted())
})

test('every name that a rule has is the name of a pin', () => {
  const names = config.packageRules.flatMap(({ matchPackageNames = [] }) => matchPackageNames.map((pattern) => pattern.replace(/^!/, '')))
  const known = (pattern: string) => pins.some(({ name }) => isNamed(name, [pattern]))
  // By a name that the manager of GitHub's workflows gives it, and that stands in no file.
  const elsewhere = ['actions/node-versions', 'node', 'go']
  assert.equal(
    names.filter((pattern) => !known(pattern) && !elsewhere.includes(pattern)),
    [],
  )
})

test('of each go.mod that is built as a program that program is raised, and nothing that it only asks for', async () => {
  const files = await readTexts(root, (path) => path.endsWith('go.mod') && pins.some((pin) => pin.path === path))
  const wrong = files.flatMap(({ path, text }) => {
    const indirect = pins.filter((pin) => pin.path === path && pin.depType === 'indirect')
    const tools = [...text.matchAll(/^(?:tool |\t)(\S+\/\S+)$/gm)].map(([, tool = '']) => tool)
    const programs = new Set(tools.flatMap((tool) => moduleOf(tool, indirect)))
    return indirect.filter((pin) => isRaised(pin, config) !== programs.has(pin.name)).map(placeOf)
  })
  assert.equal(wrong, [])
  assert.ok(files.length > 15, `${files.length} were looked at`)
})

/** The module of a package: the longest name that it begins with. */
function moduleOf(tool: string, required: readonly Pin[]): string[] {
  const names = required.map(({ name }) => name).filter((name) => tool === name || tool.startsWith(`${name}/`))
  return names.toSorted((a, b) => b.length - a.length).slice(0, 1)
}

test('Kubernetes and its libraries are of one minor, and go together', () => {
  const together = pins.filter((pin) => isRaised(pin, config) && groupsOf(pin).some((name) => name.startsWith('Kubernetes minor')))
  const minors = new Set(together.map(({ value }) => value.replace(/^v/, '').split('.')[1]))
  assert.is(minors.size, 1, together.map(placeOf).join('\n'))
  assert.ok(together.length > 8)
})

test.run()
