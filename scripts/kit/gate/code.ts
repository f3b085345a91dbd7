/** The gates over the code itself: Biome with the committed settings, the rules of our own, and the compiler. */
import { join } from 'node:path'
import { exec } from '../exec.ts'
import { root as ownRoot } from '../paths.ts'
import { checkRules } from '../rules.ts'
import { type Gate, type Look, npmVersion, ownVersion } from './gate.ts'
import { goModules } from './go-modules.ts'

const BIOME = join(ownRoot, 'node_modules', '@biomejs', 'biome', 'bin', 'biome')

export const lint: Gate = {
  name: 'lint',
  checks: [
    {
      tool: '@biomejs/biome',
      source: 'npm',
      pin: 'package.json',
      about: 'style, mistakes, complexity, formatting',
      version: () => npmVersion('@biomejs/biome'),
      run: runBiome,
      async fix({ root, signal }) {
        await runTool([BIOME, 'check', '--write', '--colors=off', '.'], root, signal)
      },
    },
    {
      tool: 'rules',
      source: 'ours',
      pin: 'scripts/kit/rules.ts',
      about: 'the import law, exact versions, lengths, test files, names of one machine, executable bits',
      version: ownVersion,
      run: ({ root }) => checkRules(root),
    },
    goModules,
  ],
}

export const types: Gate = {
  name: 'types',
  checks: [
    {
      tool: 'typescript',
      source: 'npm',
      pin: 'package.json',
      about: 'every TypeScript file, strictly',
      version: () => npmVersion('typescript'),
      run: runTsc,
    },
  ],
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

async function runBiome({ root, signal }: Look): Promise<string[]> {
  const args = [BIOME, 'ci', '--colors=off', '--reporter=json', '--max-diagnostics=none', '--error-on-warnings', '.']
  const { stdout, stderr, exitCode } = await runTool(args, root, signal)
  return readBiome(stdout, { exitCode, stderr })
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

async function runTsc({ root, signal }: Look): Promise<string[]> {
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
  return exec(process.execPath, args, { cwd, accept: [0, 1, 2, 101], signal })
}

const lastLine = (text: string) => text.trim().split('\n').at(-1) ?? ''
