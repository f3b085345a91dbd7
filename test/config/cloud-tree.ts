/** What must hold of the files of `cloud/` themselves: settings that no plan shows. Read-only functions from a folder to problems. */
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ENVIRONMENTS } from '#core'
import { exec } from '#kit/exec'

type TreeCheck = (cloud: string) => Promise<string[]>

const ROOTS = ['platform', 'bootstrap', 'github']
const BACKENDS = [...ENVIRONMENTS.map((name) => `environments/${name}.s3.tfbackend`), 'github/github.s3.tfbackend']

/** Each environment has a state of its own, encrypted and locked: two writers would lose what one of them made. */
const states: TreeCheck = async (cloud) => {
  const texts = await Promise.all(BACKENDS.map(async (file) => ({ file, text: await readFile(join(cloud, file), 'utf8') })))
  const keys = texts.map(({ text }) => /^key\s*=\s*"(.+)"$/m.exec(text)?.[1])
  return [
    ...texts.flatMap(({ file, text }) => [
      ...(/^use_lockfile\s*=\s*true$/m.test(text) ? [] : [`${file}: nothing keeps a second writer off`]),
      ...(/^encrypt\s*=\s*true$/m.test(text) ? [] : [`${file}: the state is not encrypted`]),
    ]),
    ...(new Set(keys).size === BACKENDS.length && !keys.includes(undefined) ? [] : [`states share a key: ${keys.join(', ')}`]),
  ]
}

/** One provider, in one version, for every root; its sums for every platform that HashiCorp publishes. */
const locks: TreeCheck = async (cloud) => {
  const files = await Promise.all(ROOTS.map((root) => readFile(join(cloud, root, '.terraform.lock.hcl'), 'utf8')))
  const [first = ''] = files
  const providers = [...first.matchAll(/^provider "(.+)"/gm)].map((match) => match[1])
  return [
    ...(files.every((text) => text === first) ? [] : ['the roots are locked to different providers']),
    ...(providers.join() === 'registry.terraform.io/hashicorp/aws' ? [] : [`more is needed than one provider: ${providers.join(', ')}`]),
    ...(/"h1:/.test(first) && (first.match(/"zh:/g)?.length ?? 0) >= 14 ? [] : ['the lock lacks sums of some platforms']),
  ]
}

/** Sizes may differ, and whatever else makes an environment; security may not. */
const DIFFERING = [
  'base_nodes',
  'database',
  'environment',
  'expires_at',
  'log_retention_days',
  'nat_per_zone',
  'spot_nodes',
  'vpc_cidr',
  'zone_count',
]

const tfvars: TreeCheck = async (cloud) => {
  const texts = await Promise.all(ENVIRONMENTS.map((name) => readFile(join(cloud, 'environments', `${name}.tfvars`), 'utf8')))
  const names = new Set(texts.flatMap((text) => [...text.matchAll(/^(\w+)\s*=/gm)].map((match) => match[1] ?? '')))
  const cidrs = texts.map((text) => /^vpc_cidr\s*=\s*"(.+)"/m.exec(text)?.[1])
  return [
    ...[...names].filter((name) => !DIFFERING.includes(name)).map((name) => `environments differ in ${name}, which is not meant to differ`),
    ...(new Set(cidrs).size === ENVIRONMENTS.length ? [] : [`environments share addresses: ${cidrs.join(', ')}`]),
  ]
}

/** Terraform's own style, in every folder. */
const format: TreeCheck = async (cloud) => {
  const { stdout } = await exec('terraform', ['fmt', '-check', '-list', '-recursive', cloud], {
    accept: [0, 3],
    env: { TF_CLI_CONFIG_FILE: '/dev/null' },
  })
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((file) => `${file} is not in Terraform's style: terraform fmt -recursive cloud`)
}

/** No variable, and no environment, may be forgotten; an unused one misleads. */
const variables: TreeCheck = async (cloud) => {
  const folders = [...ROOTS, ...(await readdir(join(cloud, 'modules'))).map((name) => join('modules', name))]
  const problems = await Promise.all(
    folders.map(async (folder) => {
      const files = (await readdir(join(cloud, folder))).filter((name) => name.endsWith('.tf'))
      const text = (await Promise.all(files.map((file) => readFile(join(cloud, folder, file), 'utf8')))).join('\n')
      const names = [...text.matchAll(/^variable "(\w+)"/gm)].map((match) => match[1] ?? '')
      const unused = names.filter((name) => !withoutDeclaration(text, name).includes(`var.${name}`))
      return unused.map((name) => `${folder}: nothing uses var.${name}`)
    }),
  )
  return problems.flat()
}

/** A variable's own validation is no use of it. */
function withoutDeclaration(text: string, name: string): string {
  const begin = text.indexOf(`variable "${name}" {`)
  return text.slice(0, begin) + text.slice(text.indexOf('\n}\n', begin))
}

/** A state or a working folder of Terraform's that was committed holds an environment's insides. */
const leftovers: TreeCheck = async (cloud) => {
  const { stdout } = await exec('git', ['ls-files', '--', '*.tfstate*', '*.tfplan', '*/.terraform/*'], {
    cwd: existsSync(join(cloud, '..', '.git')) ? cloud : process.cwd(),
  })
  return stdout
    .split('\n')
    .filter((file) => file !== '')
    .map((file) => `${file} is committed`)
}

export const TREE_CHECKS = { states, locks, tfvars, format, variables, leftovers } satisfies Record<string, TreeCheck>
