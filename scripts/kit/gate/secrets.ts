/** The secrets gate: gitleaks over every commit of every ref, and over the working tree as Git sees it; trufflehog where it can be pulled. */
import { existsSync } from 'node:fs'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { type ExecResult, exec } from '../exec.ts'
import { projectFiles } from '../files.ts'
import { type TemporaryFolder, temporaryFolder } from '../temporary.ts'
import { oneLine } from '../text.ts'
import { tool } from '../tools.ts'
import { type Gate, goVersionOf, have } from './gate.ts'
import { type PulledTool, pulledVersion, runPulled } from './pulled.ts'

/** As published by others for this tag; UNVERIFIED by a pull. */
const TRUFFLEHOG: PulledTool = {
  ref: 'docker.io/trufflesecurity/trufflehog:3.96.0',
  digest: 'sha256:aa821cf4ace8861c7d096d83818cdf7bb9719028a52d37a52eaad44086a52577',
}

export const secrets: Gate = {
  name: 'secrets',
  checks: [
    {
      tool: 'gitleaks',
      source: 'Go module',
      pin: 'local/tools/gitleaks/go.mod',
      about: 'every commit of every ref, and the working tree, whether a secret is still valid or not',
      version: () => goVersionOf('local/tools/gitleaks', 'github.com/zricethezav/gitleaks/v8'),
      run: ({ root, signal }) => findSecrets(root, signal),
    },
    {
      tool: 'trufflehog',
      source: 'pulled',
      pin: 'scripts/kit/gate/secrets.ts',
      about: 'the same with other detectors; it finds what it cannot verify too',
      version: async () => pulledVersion(TRUFFLEHOG),
      run: async ({ root, signal }) => {
        // No network: nothing that looks like a secret is sent to where it would be valid.
        const args = ['git', 'file:///src', '--json', '--no-update', '--no-verification']
        return readTrufflehog(await runPulled(TRUFFLEHOG, args, { root, signal }))
      },
    },
  ],
}

/**
 * A finding a line; the secret itself is never read. Exported for the tests.
 * @throws Error unless its log says that it came to the end, and of how much
 */
export function readTrufflehog({ stdout, stderr }: Pick<ExecResult, 'stdout' | 'stderr'>): string[] {
  const log = jsonLines<TrufflehogLog>(stderr)
  const { errors } = log.find(({ msg }) => msg === 'encountered errors during scan') ?? {}
  if (errors !== undefined) throw new Error(`trufflehog could not scan all: ${oneLine(errors.join('; '))}`)
  const { chunks = 0 } = log.find(({ msg }) => msg === 'finished scanning') ?? {}
  if (chunks === 0) throw new Error('trufflehog does not say that it has scanned anything')
  const findings = jsonLines<TrufflehogFinding>(stdout).filter(({ DetectorName: name }) => name !== undefined)
  return findings.map(({ DetectorName: name, SourceMetadata: { Data } }) => {
    const { file, line = 1, commit } = Data.Git
    return `${file}:${Math.max(1, line)} — commit ${commit.slice(0, 12)} holds a secret (${name}) — revoke it, then rewrite the history`
  })
}

function jsonLines<T>(text: string): T[] {
  const lines = text.split('\n').filter((line) => line.startsWith('{'))
  return lines.map((line) => JSON.parse(line) as T)
}

interface TrufflehogLog {
  readonly msg: string
  readonly errors?: readonly string[]
  readonly chunks?: number
}

interface TrufflehogFinding {
  readonly DetectorName?: string
  readonly SourceMetadata: { readonly Data: { readonly Git: { readonly file: string; readonly line?: number; readonly commit: string } } }
}

interface Finding {
  readonly RuleID: string
  readonly File: string
  readonly StartLine: number
  readonly Commit: string
}

/** Findings are read from the report, so that its exit code is left for "could not scan"; no secret is ever printed. */
const COMMON = ['--no-banner', '--no-color', '--redact', '--report-format=json', '--report-path=-', '--exit-code=0']
const SETTINGS = '.gitleaks.toml'

/** @param root a Git work tree; without any commit, only the tree is scanned. */
export async function findSecrets(root: string, signal?: AbortSignal): Promise<string[]> {
  const scan = await createScan(root, signal)
  const problems = await selfTest(scan)
  if (problems.length > 0) return problems
  await using copy = await copyTree(root)
  const tree = await scan('dir', { cwd: copy.path })
  return [...tree.findings.map(inTree), ...(await scanHistory(root, scan))]
}

type Scan = (
  mode: 'dir' | 'git' | 'stdin',
  options?: { cwd?: string; input?: string },
) => Promise<{ findings: readonly Finding[]; log: string }>

async function createScan(root: string, signal?: AbortSignal): Promise<Scan> {
  const gitleaks = await have(() => tool('gitleaks', signal), signal)
  // Named, since not every mode of gitleaks looks for it: one project has one setting.
  const settings = existsSync(join(root, SETTINGS)) ? ['--config', join(root, SETTINGS)] : []
  return async (mode, options) => {
    const args = [mode, ...COMMON, ...settings, ...(mode === 'stdin' ? [] : ['.'])]
    const { stdout, stderr } = await exec(gitleaks, args, { cwd: root, ...options, signal })
    const refused = stderr.split('\n').find((line) => / (ERR|FTL) /.test(line))
    if (refused !== undefined) throw new Error(`Cannot scan for secrets: gitleaks said '${refused.trim()}'`)
    return { findings: JSON.parse(stdout) as Finding[], log: stderr }
  }
}

/** gitleaks scans a folder whole, with what Git ignores (a kubeconfig, gigabytes of packages), so it is given a copy without. */
async function copyTree(root: string): Promise<TemporaryFolder> {
  const folder = await temporaryFolder('secrets')
  for (const file of await projectFiles(root)) await cp(join(root, file), join(folder.path, file))
  return folder
}

async function scanHistory(root: string, scan: Scan): Promise<string[]> {
  const commits = Number((await exec('git', ['rev-list', '--all', '--count', '--', '.'], { cwd: root })).stdout)
  if (commits === 0) return []
  const { findings, log } = await scan('git')
  // Where git refuses (a foreign owner, a broken object), gitleaks scans nothing and calls that clean.
  if (/\b0 commits scanned/.test(log)) return [`.git:1 — gitleaks scanned none of ${commits} commits — run 'git log' and mend what it says`]
  return findings.map(inHistory)
}

/** A scanner that finds nothing in a planted secret (a setting that allows all) would call everything clean. */
async function selfTest(scan: Scan): Promise<string[]> {
  const planted = `key = "${['AKIA', 'QYLPMN5HNM4OZDMF'].join('')}"\n`
  const { findings } = await scan('stdin', { input: planted })
  return findings.length > 0 ? [] : [`${SETTINGS}:1 — gitleaks does not find a planted key — mend its settings`]
}

const inTree = ({ File, StartLine, RuleID }: Finding) =>
  `${File}:${StartLine} — holds a secret (${RuleID}) — remove it, and revoke it if it was ever real`

const inHistory = ({ File, StartLine, RuleID, Commit }: Finding) =>
  `${File}:${StartLine} — commit ${Commit.slice(0, 12)} holds a secret (${RuleID}) — revoke it, then rewrite the history`
