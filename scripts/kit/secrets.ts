/** The secrets gate: gitleaks over every commit of every ref, and over the working tree as Git sees it. */

import { existsSync } from 'node:fs'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { exec } from './exec.ts'
import { projectFiles } from './files.ts'
import { type TemporaryFolder, temporaryFolder } from './temporary.ts'
import { tool } from './tools.ts'

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
  const gitleaks = await tool('gitleaks')
  // Named, since not every mode of gitleaks looks for it: one project has one setting.
  const settings = existsSync(join(root, SETTINGS)) ? ['--config', join(root, SETTINGS)] : []
  return async (mode, options) => {
    const args = [mode, ...COMMON, ...settings, ...(mode === 'stdin' ? [] : ['.'])]
    const { stdout, stderr } = await exec(gitleaks, args, { cwd: root, ...options, ...(signal === undefined ? {} : { signal }) })
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
