/** The cloud's own code around Terraform, without Terraform: what is found where, what its lines mean, what a plan does. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Failure, UserError } from '#kit/errors'
import { type Diagnostic, explain, parseEvent, progressOf, stepsIn, type TerraformEvent } from '../../cloud/events.ts'
import { effectOf, effectsOf, type ResourceChange } from '../../cloud/plan.ts'
import { cliSettings, findToolchain } from '../../cloud/toolchain.ts'
import { assert, suite } from '../suite.ts'

const test = suite('cloud')

let folder = ''
test.before.each(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-cloud-'))
})
test.after.each(() => rm(folder, { recursive: true, force: true }))

/** A PATH on which `terraform` is a program that says it is of that version. */
async function pathWith(version: string): Promise<Record<string, string | undefined>> {
  const text = `#!/bin/sh\necho '{"terraform_version":"${version}"}'\n`
  await writeFile(join(folder, 'terraform'), text, { mode: 0o700 })
  return { ...process.env, PATH: `${folder}:/usr/bin:/bin`, HOME: folder, TF_PLUGIN_CACHE_DIR: undefined, TF_CLI_CONFIG_FILE: undefined }
}

/** The provider unpacked as Terraform lays it. */
async function providerIn(mirror: string): Promise<string> {
  const platform = `${process.platform}_${process.arch === 'x64' ? 'amd64' : process.arch}`
  await mkdir(join(mirror, 'registry.terraform.io', 'hashicorp', 'aws', '5.100.0', platform), { recursive: true })
  return mirror
}

test('where there is no Terraform, or an old one, the sentence names it', async () => {
  await assert.rejects(
    findToolchain({ PATH: folder }),
    /^Cannot use Terraform: terraform is not on the PATH\. Install Terraform 1\.11 or later$/,
  )
  await assert.rejects(findToolchain(await pathWith('1.9.8')), /terraform is 1\.9\.8/)
})

test("the provider is found in the cache that the user names, and in a mirror of the user's settings", async () => {
  const env = await pathWith('1.12.0')
  const cache = await providerIn(join(folder, 'cache'))
  assert.is((await findToolchain({ ...env, TF_PLUGIN_CACHE_DIR: cache })).mirror, cache)
  const mirror = await providerIn(join(folder, 'mirror'))
  const settings = join(folder, 'terraformrc')
  await writeFile(settings, `provider_installation {\n  filesystem_mirror {\n    path = "${mirror}"\n  }\n}\n`)
  assert.is((await findToolchain({ ...env, TF_CLI_CONFIG_FILE: settings })).mirror, mirror)
  assert.match(await cliSettings({ program: 'terraform', version: '1.12.0', mirror }, {}), `path = "${mirror}"`)
})

test("without a mirror the user's own settings stay in force, and where there are none, what is fetched is kept", async () => {
  const toolchain = { program: 'terraform', version: '1.12.0', mirror: undefined }
  const settings = join(folder, 'terraformrc')
  await writeFile(settings, 'provider_installation { network_mirror { url = "https://mirror.example.org/" } }\n')
  assert.match(await cliSettings(toolchain, { TF_CLI_CONFIG_FILE: settings }), 'mirror.example.org')
  assert.match(await cliSettings(toolchain, { TF_CLI_CONFIG_FILE: join(folder, 'none') }), 'plugin_cache_dir')
})

test('a line that is none of Terraform is none of its events', () => {
  for (const line of ['', 'panic: oh', '{', '[]', '{"type":"x"}', '{"@message":"x"}']) assert.is(parseEvent(line), undefined)
  assert.is(parseEvent('{"type":"apply_start","@message":"aws_vpc.this: Creating..."}')?.type, 'apply_start')
})

const refused: Diagnostic = {
  severity: 'error',
  summary: 'Invalid value for variable',
  detail: 'zone_count is 1.\n\nThis was checked by the validation rule at variables.tf:1,2-3.',
  range: { filename: 'variables.tf', start: { line: 7 } },
}

test('a value that a variable refuses is bad input; anything else is a failure', () => {
  const bad = explain('Cannot plan', [refused], '')
  assert.instance(bad, UserError)
  assert.is(bad.message, 'Cannot plan: Invalid value for variable (variables.tf:7): zone_count is 1.')
  assert.instance(explain('Cannot plan', [refused, { severity: 'error', summary: 'Other' }], ''), Failure)
  assert.match(explain('Cannot plan', [], 'a\nb').message, 'without a diagnostic: a\nb')
})

test('a lock that somebody holds is told with the way to break it', () => {
  const held: Diagnostic = {
    severity: 'error',
    summary: 'Error acquiring the state lock',
    detail: `412 PreconditionFailed\nLock Info:\n  ID:        42-7\n  Path:      b/dev/terraform.tfstate\n  Operation: OperationTypeApply
  Who:       a@b\n  Version:   1.11.4\n  Created:   2026-11-26 05:06:07.89 +0000 UTC\n  Info:      `,
  }
  const error = explain('Cannot plan', [held], '')
  assert.instance(error, UserError)
  assert.is(
    error.message,
    'Cannot plan: a@b has the state locked since 2026-11-26 05:06:07 (apply). Wait for them; if that run is gone for good: aws s3 rm s3://b/dev/terraform.tfstate.tflock',
  )
  const denied = { ...held, detail: 'AccessDenied' }
  assert.match(explain('Cannot plan', [denied], '').message, /state lock: AccessDenied$/)
})

test('progress counts what is done and names what is under way', () => {
  const said: string[] = []
  let below: readonly string[] = []
  const tell = progressOf((text, lines) => {
    said.push(text)
    below = lines?.((_, line) => line) ?? []
  }, 3)
  const event = (type: string, addr: string) => tell({ type, '@message': '', hook: { resource: { addr } } } as TerraformEvent)
  event('apply_start', 'aws_vpc.this')
  assert.match(below.join(), /^aws_vpc\.this \d+ ms$/)
  event('apply_complete', 'aws_vpc.this')
  event('apply_start', 'aws_kms_key.this')
  event('apply_errored', 'aws_kms_key.this')
  assert.is(said.at(-1), '1 of 3 resources')
  assert.equal(below, [])
})

test('how much a plan does is told by its summary, and nothing where there is none', () => {
  const summary = (add: number) => ({ type: 'change_summary', '@message': '', changes: { add, change: 2, remove: 1 } }) as TerraformEvent
  assert.is(stepsIn([summary(9), summary(4)]), 7)
  assert.is(stepsIn([]), 0)
})

const change = (...actions: ResourceChange['change']['actions']) =>
  ({ address: 'a', mode: 'managed', type: 't', name: 'n', change: { actions, before: null, after: null } }) as const

test('what a plan does to a resource is told from its actions, whatever their order', () => {
  const effects = [
    change('create'),
    change('update'),
    change('delete'),
    change('delete', 'create'),
    change('create', 'delete'),
    change('no-op'),
  ]
  assert.equal(effects.map(effectOf), ['made', 'changed', 'destroyed', 'replaced', 'replaced', undefined])
  assert.is(effectOf({ ...change('read'), mode: 'data' }), undefined)
  const plan = { format_version: '1.2', resource_changes: effects }
  assert.is(effectsOf(plan).replaced.length, 2)
})

test.run()
