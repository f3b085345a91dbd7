/** The documentation as a site: what is generated for it, and its build by the programs that Backstage's TechDocs uses. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parse } from 'yaml'
import { commandPages, describeCommands } from './commands.ts'
import { drawDiagrams } from './diagrams.ts'
import { readPages } from './docs.ts'
import { exec } from './exec.ts'
import { root } from './paths.ts'
import { pythonProgram } from './python.ts'

const REQUIREMENTS = 'local/tools/mkdocs/requirements.txt'
/** mkdocs-material asks everybody to move to its successor, with every build. */
const QUIET = { NO_MKDOCS_2_WARNING: 'true' }

/** The pages about commands and the pictures, by path. They are committed: a reader of the repository and TechDocs' builder run no Node. */
export async function generatedDocs(): Promise<ReadonlyMap<string, string>> {
  const [commands, pages, pictures] = await Promise.all([describeCommands(), readPages(root), drawDiagrams(root)])
  return new Map([...commandPages(commands, pages), ...pictures])
}

/** What is committed and not what would be generated now. Each problem reads `file:line — what — how to mend it`. */
export async function staleDocs(generated: ReadonlyMap<string, string>): Promise<string[]> {
  const stale = await Promise.all(
    [...generated].map(async ([path, text]) => ((await readFile(join(root, path), 'utf8').catch(() => undefined)) === text ? [] : [path])),
  )
  return stale.flat().map((path) => `${path}:1 — is not what would be generated now — npm run docs -- --write`)
}

/** The pages of the site in the order of its menu, by their paths in the project. */
export async function siteOrder(): Promise<readonly string[]> {
  const { nav } = parse(await readFile(join(root, 'mkdocs.yml'), 'utf8')) as { nav: NavEntry[] }
  return nav.flatMap(pagesOf).map((page) => `docs/${page}`)
}

type NavEntry = Readonly<Record<string, string | readonly NavEntry[]>>

function pagesOf(entry: NavEntry): string[] {
  return Object.values(entry).flatMap((value) => (typeof value === 'string' ? [value] : value.flatMap(pagesOf)))
}

export interface SiteOptions {
  /** Where the site is written. */
  readonly to: string
  readonly signal?: AbortSignal | undefined
}

/** Builds the site; a link or an anchor that leads nowhere, or a page outside of its menu, fails. @throws ExecError, UserError */
export async function buildSite({ to, ...options }: SiteOptions): Promise<void> {
  const mkdocs = await pythonProgram(REQUIREMENTS, 'mkdocs', options.signal)
  await exec(mkdocs, ['build', '--strict', '--quiet', '--site-dir', to], { cwd: root, env: QUIET, ...options })
}

/** Shows the site, and builds it anew with every change, until `signal` aborts. @param onLine what it says */
export async function serveSite(
  address: string,
  { signal, onLine }: { signal: AbortSignal; onLine: (line: string) => void },
): Promise<void> {
  const mkdocs = await pythonProgram(REQUIREMENTS, 'mkdocs', signal)
  await exec(mkdocs, ['serve', '--strict', '--dev-addr', address], { cwd: root, env: QUIET, signal, onLine })
}
