/** The gates: what must be clean before anything is run. Each is a read-only function from a root folder to problems. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { exec } from './exec.ts'
import { root as ownRoot } from './paths.ts'
import { pickNamed } from './pick.ts'
import { checkRules } from './rules.ts'
import { findSecrets } from './secrets.ts'

export interface Gate {
  readonly name: string
  readonly tool: string
  /** Where its version is pinned, and where its program comes from. */
  readonly how: string
  version(): Promise<string>
  /** Each problem reads `file:line — what — how to mend it`. */
  run(root: string, signal?: AbortSignal): Promise<string[]>
}

export const GATES: readonly Gate[] = [
  { name: 'lint', tool: '@biomejs/biome', how: 'npm, package.json', version: () => npmVersion('@biomejs/biome'), run: lint },
  { name: 'types', tool: 'typescript', how: 'npm, package.json', version: () => npmVersion('typescript'), run: types },
  { name: 'secrets', tool: 'gitleaks', how: 'built from local/tools/gitleaks/go.mod', version: gitleaksVersion, run: findSecrets },
]

/** The gates of these names; all where none is named. @throws UserError with the nearest name for one that does not exist. */
export function pickGates(names: readonly string[]): readonly Gate[] {
  return pickNamed(GATES, names, 'run the gate')
}

interface BiomeReport {
  readonly diagnostics: readonly {
    readonly severity: string
    readonly category: string
    readonly message: string
    readonly location?: { readonly path?: string; readonly start?: { readonly line: number } }
  }[]
  readonly summary: { readonly changed: number; readonly unchanged: number }
}

/** Biome with the committed settings, and the rules of our own. */
async function lint(root: string, signal?: AbortSignal): Promise<string[]> {
  const biome = join(ownRoot, 'node_modules', '@biomejs', 'biome', 'bin', 'biome')
  const args = [biome, 'ci', '--colors=off', '--reporter=json', '--max-diagnostics=none', '--error-on-warnings', '.']
  const [{ stdout, stderr, exitCode }, rules] = await Promise.all([runTool(args, root, signal), checkRules(root)])
  return [...readBiome(stdout, { exitCode, stderr }), ...rules]
}

/** Biome's JSON as problems. What it cannot say in JSON (a broken setting) must not read as "clean". Exported for the tests. */
export function readBiome(stdout: string, ended: { exitCode: number; stderr: string }): string[] {
  const json = stdout.split('\n').find((line) => line.startsWith('{'))
  if (json === undefined) return [`biome.json:1 — biome ended with exit code ${ended.exitCode} and no report — ${lastLine(ended.stderr)}`]
  const { diagnostics, summary } = JSON.parse(json) as BiomeReport
  const problems = diagnostics
    .filter(({ severity }) => severity !== 'info' && severity !== 'hint')
    .map(({ category, message, location }) => {
      const place = `${location?.path ?? 'biome.json'}:${Math.max(1, location?.start?.line ?? 1)}`
      return `${place} — ${message} — ${remedy(category)}`
    })
  if (problems.length > 0) return problems
  if (summary.changed + summary.unchanged === 0) return ['biome.json:1 — biome looked at no file — mend files.includes']
  return ended.exitCode === 0 ? [] : [`biome.json:1 — biome ended with exit code ${ended.exitCode} — ${lastLine(ended.stderr)}`]
}

const remedy = (category: string) => (/^(format|assist)/.test(category) ? `npx biome check --write (${category})` : `see ${category}`)

async function types(root: string, signal?: AbortSignal): Promise<string[]> {
  const tsc = join(ownRoot, 'node_modules', 'typescript', 'bin', 'tsc')
  const { stdout, stderr, exitCode } = await runTool([tsc, '--noEmit', '--pretty', 'false', '-p', root], root, signal)
  return readTsc(stdout, { exitCode, stderr })
}

/** The compiler's lines as problems. Exported for the tests. */
export function readTsc(stdout: string, ended: { exitCode: number; stderr: string }): string[] {
  const problems = stdout.split('\n').flatMap((line) => {
    const [, file, at, what] = /^(.+?)\((\d+),\d+\): error (TS\d+: .*)$/.exec(line) ?? []
    if (file !== undefined) return [`${file}:${at} — ${what} — mend the type`]
    return line.startsWith('error ') ? [`tsconfig.json:1 — ${line.slice(6)} — mend the settings`] : []
  })
  if (problems.length > 0 || ended.exitCode === 0) return problems
  return [`tsconfig.json:1 — tsc ended with exit code ${ended.exitCode} — ${lastLine(ended.stderr || stdout)}`]
}

/** Both tools say "problems found" and "cannot run" with the same exit codes, so every code is read together with the output. */
async function runTool(
  args: readonly string[],
  cwd: string,
  signal?: AbortSignal,
): Promise<{ stdout: string; stderr: string; exitCode: number }> {
  return exec(process.execPath, args, { cwd, accept: [0, 1, 2, 101], ...(signal === undefined ? {} : { signal }) })
}

const lastLine = (text: string) => text.trim().split('\n').at(-1) ?? ''

async function npmVersion(name: string): Promise<string> {
  const manifest = JSON.parse(await readFile(join(ownRoot, 'package.json'), 'utf8')) as { devDependencies: Record<string, string> }
  return manifest.devDependencies[name] ?? 'unknown'
}

async function gitleaksVersion(): Promise<string> {
  const goMod = await readFile(join(ownRoot, 'local', 'tools', 'gitleaks', 'go.mod'), 'utf8')
  return /gitleaks\/v8 v(\S+)/.exec(goMod)?.[1] ?? 'unknown'
}
