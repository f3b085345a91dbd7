/** The gate over the Terraform code: its form, whether it holds together, and what two readers who know nothing of ours say of it. */
import { existsSync } from 'node:fs'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { messageOf } from '#kit/errors'
import { exec } from '#kit/exec'
import { type Gate, goVersionOf, have, type Look, pypiVersion, Unavailable } from '#kit/gate/gate'
import { root as ownRoot } from '#kit/paths'
import { pythonProgram } from '#kit/python'
import { temporaryFolder } from '#kit/temporary'
import { oneLine } from '#kit/text'
import { tool } from '#kit/tools'
import { Terraform } from './terraform.ts'
import { findToolchain } from './toolchain.ts'

const CHECKOV = 'cloud/tools/checkov.txt'
const TFLINT = 'local/tools/tflint'

export const terraformGate: Gate = {
  name: 'terraform',
  checks: [
    {
      tool: 'terraform',
      source: 'PATH',
      pin: 'cloud/toolchain.ts',
      about: 'fmt, and validate of each root with the pinned provider',
      version: async () => (await findToolchain()).version,
      async run(look) {
        await have(() => findToolchain(), look.signal)
        return [...(await format(['-check'], look)), ...(await validate(look))]
      },
      fix: async (look) => {
        await have(() => findToolchain(), look.signal)
        await format([], look)
      },
    },
    {
      tool: 'tflint',
      source: 'Go module',
      pin: `${TFLINT}/go.mod`,
      about: 'what is declared and not used, deprecated forms, names',
      version: () => goVersionOf(TFLINT, 'github.com/terraform-linters/tflint'),
      run: runTflint,
    },
    {
      tool: 'checkov',
      source: 'PyPI',
      pin: CHECKOV,
      about: 'open security groups, missing encryption, roles that may too much',
      version: () => pypiVersion(CHECKOV, 'checkov'),
      run: runCheckov,
    },
  ],
}

/** @returns a problem for each file that is, or was, formatted in another way; a file that cannot be read is an error. */
async function format(mode: readonly string[], { root, signal }: Look): Promise<string[]> {
  const args = ['fmt', '-recursive', '-list=true', ...mode, 'cloud']
  const { stdout } = await exec('terraform', args, { cwd: root, accept: [0, 3], signal })
  const files = stdout.split('\n').filter((line) => line !== '')
  return files.map((file) => `${file}:1 — is formatted in another way — npm run gate -- --only terraform --fix`)
}

interface Diagnostic {
  readonly severity: string
  readonly summary: string
  readonly detail?: string
  readonly range?: { readonly filename: string; readonly start: { readonly line: number } }
}

async function validate({ root, signal }: Look): Promise<string[]> {
  const names = await readdir(join(root, 'cloud'))
  const roots = names.filter((name) => existsSync(join(root, 'cloud', name, '.terraform.lock.hcl')))
  if (roots.length === 0) return ['cloud:1 — no folder has a .terraform.lock.hcl — run terraform init in each root']
  await using data = await temporaryFolder('terraform')
  const problems = []
  for (const name of roots) {
    await using terraform = await Terraform.open({ folder: join(root, 'cloud', name), dataDir: join(data.path, name), signal })
    const broken = await initialised(terraform)
    if (broken !== undefined) {
      problems.push(`cloud/${name}:1 — ${broken} — mend what it says`)
      continue
    }
    const { stdout } = await terraform.run(['validate', '-json'], { what: `Cannot validate cloud/${name}`, accept: [0, 1] })
    const { diagnostics } = JSON.parse(stdout) as { diagnostics: readonly Diagnostic[] }
    problems.push(...diagnostics.map((diagnostic) => problemOf(name, diagnostic)))
  }
  return problems
}

/** @returns why the code cannot be read; @throws Unavailable where only the provider is missing */
async function initialised(terraform: Terraform): Promise<string | undefined> {
  try {
    await terraform.init('none')
    return undefined
  } catch (thrown) {
    const said = messageOf(thrown)
    if (/Failed to (query available provider packages|install provider)/.test(said)) throw new Unavailable(oneLine(said), { cause: thrown })
    return oneLine(said)
  }
}

function problemOf(name: string, { summary, detail = '', range }: Diagnostic): string {
  return `${join('cloud', name, range?.filename ?? '.')}:${range?.start.line ?? 1} — ${summary} — ${oneLine(detail)}`
}

interface TflintReport {
  readonly issues: readonly {
    readonly rule: { readonly name: string; readonly link: string }
    readonly message: string
    readonly range: { readonly filename: string; readonly start: { readonly line: number } }
  }[]
  readonly errors: readonly { readonly message: string }[]
}

async function runTflint({ root, signal }: Look): Promise<string[]> {
  const program = await have(() => tool('tflint', signal), signal)
  const args = ['--recursive', '--format=json', '--no-color', `--config=${join(ownRoot, '.tflint.hcl')}`]
  const { stdout } = await exec(program, args, { cwd: join(root, 'cloud'), accept: [0, 1, 2], signal })
  const { issues, errors } = JSON.parse(stdout) as TflintReport
  return [
    ...errors.map(({ message }) => `cloud:1 — ${oneLine(message)} — mend what it says`),
    ...issues.map(({ rule, message, range }) => `cloud/${range.filename}:${range.start.line} — ${message} — see ${rule.link || rule.name}`),
  ]
}

/** Without values it takes what depends on a variable for unknown, and passes it. */
const VALUES = 'owner = "someone"\nstate_bucket = "b"\nendpoint_public_cidrs = ["203.0.113.7/32"]\ndomain = "example.org"\nzone_id = "Z0"\n'

export interface CheckovFinding {
  readonly check_id: string
  readonly check_name: string
  readonly resource: string
  readonly file_path: string
  readonly file_line_range: readonly [from: number, to: number]
  readonly guideline?: string | null
  readonly check_result: { readonly suppress_comment?: string }
}

export interface CheckovReport {
  readonly results: { readonly failed_checks: readonly CheckovFinding[]; readonly skipped_checks: readonly CheckovFinding[] }
  readonly summary: { readonly passed: number; readonly parsing_errors: number }
}

/** Checkov's own report on a folder that looks like `cloud/`, with production's values. @throws Unavailable where it cannot be had */
export async function scanWithCheckov(cloud: string, signal?: AbortSignal): Promise<CheckovReport> {
  const checkov = await have(() => pythonProgram(CHECKOV, 'checkov', signal), signal)
  await using folder = await temporaryFolder('terraform')
  const values = join(folder.path, 'given.tfvars')
  await writeFile(values, VALUES)
  const files = [join(cloud, 'environments', 'prod.tfvars'), values].flatMap((file) => ['--var-file', file])
  const args = ['--directory', cloud, '--framework', 'terraform', '--skip-download', '--output', 'json', ...files]
  // Its exit code says only that something was found.
  const { stdout } = await exec(checkov, args, { accept: [0, 1], signal })
  return JSON.parse(stdout) as CheckovReport
}

async function runCheckov({ root, signal }: Look): Promise<string[]> {
  const { results, summary } = await scanWithCheckov(join(root, 'cloud'), signal)
  const { failed_checks: failed, skipped_checks: skipped } = results
  const unread = summary.parsing_errors > 0 || summary.passed === 0
  const place = ({ file_path: file, file_line_range: [line] }: CheckovFinding) => `cloud${file}:${Math.max(1, line)}`
  const without = skipped.filter(({ check_result: result }) => (result.suppress_comment ?? '').length < 20)
  return [
    ...(unread ? [`cloud:1 — checkov passed ${summary.passed} checks and could not read ${summary.parsing_errors} files — mend them`] : []),
    ...failed.map((each) => `${place(each)} — ${each.check_name} (${each.resource}) — ${each.check_id} ${each.guideline ?? ''}`.trim()),
    ...without.map(
      (each) => `${place(each)} — ${each.check_id} is left out without a reason — write it behind checkov:skip=${each.check_id}:`,
    ),
  ]
}
