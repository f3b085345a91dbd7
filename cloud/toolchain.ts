/** Where Terraform and its only provider are on this machine, so that nothing is fetched that is already there. */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { UserError } from '#kit/errors'
import { exec } from '#kit/exec'
import { cacheDir, ensureDir, root } from '#kit/paths'

const PROVIDER = 'registry.terraform.io/hashicorp/aws'
/** State locking by `use_lockfile` needs 1.10, mocks in tests that override a module's data 1.11. */
const LEAST = [1, 11] as const

export interface Toolchain {
  readonly program: string
  readonly version: string
  /** A folder that holds the pinned provider for this machine; undefined where Terraform has to fetch it. */
  readonly mirror: string | undefined
}

type Env = Readonly<Record<string, string | undefined>>

/** @throws UserError where there is no Terraform, or an old one: its message names Terraform, so `--require terraform` finds it. */
export async function findToolchain(env: Env = process.env): Promise<Toolchain> {
  const { stdout } = await exec('terraform', ['version', '-json'], { env: { ...env, CHECKPOINT_DISABLE: '1' } }).catch((thrown) => {
    throw missing('terraform is not on the PATH', thrown)
  })
  const { terraform_version: version } = JSON.parse(stdout) as { terraform_version: string }
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major < LEAST[0] || (major === LEAST[0] && minor < LEAST[1])) throw missing(`terraform is ${version}`)
  return { program: 'terraform', version, mirror: await findMirror(env) }
}

function missing(why: string, cause?: unknown): UserError {
  return new UserError({ what: 'Cannot use Terraform', why, next: `Install Terraform ${LEAST.join('.')} or later` }, cause)
}

/** The first folder that holds the provider in the version that the lock file pins, packed or not. */
async function findMirror(env: Env): Promise<string | undefined> {
  const lock = await readFile(join(root, 'cloud', 'platform', '.terraform.lock.hcl'), 'utf8')
  const version = /^\s*version\s*=\s*"(.+)"/m.exec(lock)?.[1] ?? ''
  const platform = `${process.platform}_${process.arch === 'x64' ? 'amd64' : process.arch}`
  const holds = (folder: string) =>
    [join(version, platform), `terraform-provider-aws_${version}_${platform}.zip`].some((path) => existsSync(join(folder, PROVIDER, path)))
  return [...(await configuredFolders(env)), ...usualFolders(env)].find(holds)
}

/** Terraform's own implied mirrors, and where images of build machines keep plugins. */
function usualFolders({ TF_PLUGIN_CACHE_DIR }: Env): string[] {
  const given = TF_PLUGIN_CACHE_DIR === undefined ? [] : [TF_PLUGIN_CACHE_DIR]
  const usual = [join(homedir(), '.terraform.d', 'plugins'), '/usr/local/share/terraform/plugins', '/usr/share/terraform/plugins']
  return [...given, ...usual, '/opt/tf-plugins', pluginCache()]
}

/** The mirrors that the user's own settings name. */
async function configuredFolders(env: Env): Promise<string[]> {
  const settings = await readFile(userSettings(env), 'utf8').catch(() => '')
  return [...settings.matchAll(/filesystem_mirror\s*\{[^}]*?path\s*=\s*"([^"]+)"/g)].map((match) => match[1] ?? '')
}

const userSettings = ({ TF_CLI_CONFIG_FILE }: Env) => TF_CLI_CONFIG_FILE ?? join(homedir(), '.terraformrc')

/** What was fetched once, for every clone. */
const pluginCache = () => join(cacheDir, 'terraform')

/**
 * The CLI settings that a run is given. The user's may name a file that is not there, or lack the mirror; where no mirror is found
 * they stay in force, since a company's network mirror stands there.
 */
export async function cliSettings({ mirror }: Toolchain, env: Env = process.env): Promise<string> {
  const install = (body: string) => `disable_checkpoint = true\n${body}\n`
  if (mirror !== undefined) return install(`provider_installation {\n  filesystem_mirror {\n    path = ${JSON.stringify(mirror)}\n  }\n}`)
  if (existsSync(userSettings(env))) return readFile(userSettings(env), 'utf8')
  return install(`plugin_cache_dir = ${JSON.stringify(ensureDir(pluginCache()))}`)
}
