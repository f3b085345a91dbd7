import { dirname, join, normalize } from 'node:path/posix'
import { projectFiles, readTexts } from './files.ts'
import { type Page, type Place, readPage } from './markdown.ts'
import { nearest } from './nearest.ts'
import { scriptsIn } from './workflow.ts'

/** What the site is made of. It has nothing else, so no page of it may lead out. */
const SITE = 'docs/'
const EXTERNAL = /^(https?|mailto):/
/** Folders whose files are named by their path from the root. */
const FOLDERS = ['.github', 'admission', 'alerts', 'argocd', 'chart', 'cloud', 'docs', 'load', 'local', 'scripts', 'service', 'test']
const PATH = new RegExp(`^(?:${FOLDERS.map((name) => name.replace('.', '\\.')).join('|')})/[\\w./-]+$`)
const LANGUAGES = ['sh', 'console', 'text', 'ts', 'yaml', 'json', 'hcl', 'promql']

/** All pages of a tree, in the order of their paths. */
export async function readPages(root: string): Promise<readonly Page[]> {
  return (await readTexts(root, (path) => path.endsWith('.md'))).map(readPage)
}

/** Every problem reads `file:line — what — how to mend it`. External links are not asked: see `externalLinks`. */
export async function checkDocs(root: string): Promise<string[]> {
  const [pages, files] = await Promise.all([readPages(root), projectFiles(root)])
  if (pages.length === 0) return [`${root}:1 — holds no page — run this in a clone`]
  const scripts = await scriptsIn(root)
  const tree: Tree = { pages: new Map(pages.map((page) => [page.path, page])), files: new Set(files), scripts }
  return pages.flatMap((page) => [
    ...page.links.flatMap((link) => problemIn(page, link, linkProblem(page, link.text, tree))),
    ...page.spans.flatMap((span) => problemIn(page, span, pathProblem(span.text, tree))),
    ...page.commands.flatMap((command) => problemIn(page, command, scriptProblem(command.text, tree))),
    ...page.fences.flatMap((fence) => problemIn(page, fence, languageProblem(fence.language))),
  ])
}

/** Links that lead out of the repository: counted, never followed, since a check that needs the internet is red without it. */
export function externalLinks(pages: readonly Page[]): readonly string[] {
  return pages.flatMap(({ links }) => links.flatMap(({ text }) => (EXTERNAL.test(text) ? [text] : [])))
}

interface Tree {
  readonly pages: ReadonlyMap<string, Page>
  readonly files: ReadonlySet<string>
  readonly scripts: readonly string[]
}

function problemIn({ path }: Page, { line }: Place, problem: string | undefined): string[] {
  return problem === undefined ? [] : [`${path}:${line} — ${problem}`]
}

function linkProblem(page: Page, href: string, tree: Tree): string | undefined {
  if (EXTERNAL.test(href)) return undefined
  const [path = '', anchor] = href.split('#')
  const target = path === '' ? page.path : normalize(join(dirname(page.path), decodeURI(path))).replace(/\/$/, '')
  if (!isThere(target, tree)) return `links to '${target}', which is not there — mend the link`
  if (page.path.startsWith(SITE) && !target.startsWith(SITE)) return `links to '${target}', which the site lacks — name the path instead`
  if (anchor === undefined) return undefined
  const anchors = tree.pages.get(target)?.anchors ?? []
  if (anchors.includes(anchor)) return undefined
  return `links to '#${anchor}' of ${target}, which has no such heading — did you mean '#${nearest(anchor, anchors)}'?`
}

function pathProblem(span: string, tree: Tree): string | undefined {
  if (!PATH.test(span) || isThere(span.replace(/\/$/, ''), tree)) return undefined
  return `names '${span}', which is not there — mend the path`
}

function scriptProblem(command: string, { scripts }: Tree): string | undefined {
  const [, name] = /\bnpm run (?:--\w+ )*(\w[\w:-]*)/.exec(command) ?? []
  if (name === undefined || scripts.includes(name)) return undefined
  return `shows 'npm run ${name}', which package.json lacks — did you mean '${nearest(name, scripts)}'?`
}

function languageProblem(language: string): string | undefined {
  if (LANGUAGES.includes(language)) return undefined
  return `a block of code names ${language === '' ? 'no language' : `'${language}'`} — use ${LANGUAGES.join(', ')}`
}

function isThere(path: string, { files }: Tree): boolean {
  return files.has(path) || [...files].some((file) => file.startsWith(`${path}/`))
}
