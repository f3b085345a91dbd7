/** The secrets gate: gitleaks over every commit of every ref, and over the working tree as Git sees it. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { exec } from './exec.ts'
import { projectFiles } from './files.ts'
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
/** A command line has a length limit. */
const FILES_AT_ONCE = 400

/** @param root a Git work tree; without any commit, only the tree is scanned. */
export async function findSecrets(root: string, signal?: AbortSignal): Promise<string[]> {
  const gitleaks = await tool('gitleaks')
  // Named, since only some of gitleaks' modes find it: one project has one setting.
  const settings = existsSync(join(root, SETTINGS)) ? ['--config', SETTINGS] : []
  const scan: Scan = (mode, paths, input) =>
    runScan(gitleaks, [mode, ...COMMON, ...settings, '--', ...paths], { cwd: root, ...(input === undefined ? {} : { input }), signal })
  const problems = await selfTest(scan)
  if (problems.length > 0) return problems
  const files = await projectFiles(root)
  for (let start = 0; start < files.length; start += FILES_AT_ONCE) {
    const { findings } = await scan('dir', files.slice(start, start + FILES_AT_ONCE))
    problems.push(...findings.map(inTree))
  }
  const commits = Number((await exec('git', ['rev-list', '--all', '--count'], { cwd: root })).stdout)
  if (commits === 0) return problems
  const { findings, log } = await scan('git', ['.'])
  // Where git refuses (a foreign owner, a broken object), gitleaks logs it, scans nothing, and calls that clean.
  if (/\b0 commits scanned/.test(log))
    problems.push(`.git:1 — gitleaks scanned none of ${commits} commits — run 'git log' and mend what it says`)
  return [...problems, ...findings.map(inHistory)]
}

type Scan = (
  mode: 'dir' | 'git' | 'stdin',
  paths: readonly string[],
  input?: string,
) => Promise<{ findings: readonly Finding[]; log: string }>

/** A scanner that finds nothing in a planted secret (a setting that allows all) would call everything clean. */
async function selfTest(scan: Scan): Promise<string[]> {
  const planted = `key = "${['AKIA', 'QYLPMN5HNM4OZDMF'].join('')}"\n`
  const { findings } = await scan('stdin', [], planted)
  return findings.length > 0 ? [] : [`${SETTINGS}:1 — gitleaks does not find a planted key — mend its settings`]
}

interface ScanOptions {
  readonly cwd: string
  readonly input?: string
  readonly signal: AbortSignal | undefined
}

async function runScan(gitleaks: string, args: readonly string[], { signal, ...options }: ScanOptions): ReturnType<Scan> {
  const { stdout, stderr } = await exec(gitleaks, args, { ...options, ...(signal === undefined ? {} : { signal }) })
  const refused = stderr.split('\n').find((line) => / (ERR|FTL) /.test(line))
  if (refused !== undefined) throw new Error(`Cannot scan for secrets: gitleaks said '${refused.trim()}'`)
  return { findings: JSON.parse(stdout) as Finding[], log: stderr }
}

const inTree = ({ File, StartLine, RuleID }: Finding) =>
  `${File}:${StartLine} — holds a secret (${RuleID}) — remove it, and revoke it if it was ever real`

const inHistory = ({ File, StartLine, RuleID, Commit }: Finding) =>
  `${File}:${StartLine} — commit ${Commit.slice(0, 12)} holds a secret (${RuleID}) — revoke it, then rewrite the history`
