/** Markdown pages, as far as they can be wrong: headings, links, code and the commands in it, each with its line. */
import GithubSlugger from 'github-slugger'
import { lexer, type Token } from 'marked'
import { lineAt, type TextFile } from './files.ts'

export interface Page {
  readonly path: string
  /** Its first heading; its path where it has none. */
  readonly title: string
  /** What a link may name after `#`, as GitHub makes it. */
  readonly anchors: readonly string[]
  readonly links: readonly Place[]
  /** Code within a sentence. */
  readonly spans: readonly Place[]
  readonly fences: readonly Fence[]
  /** What is typed into a shell: lines of fences, and spans that begin with npm. */
  readonly commands: readonly Place[]
}

export interface Place {
  readonly text: string
  readonly line: number
}

export interface Fence extends Place {
  /** Empty where it names none. */
  readonly language: string
  /** Its lines that are typed, without prompts and comments. */
  readonly commands: readonly Place[]
  /** The reason why these are not run: that of the comment `<!-- test:docs: … -->` before it. */
  readonly notRun?: string
}

const NOT_RUN = /^<!--\s*test:docs:\s*(.+?)\s*-->\s*$/s

export function readPage({ path, text }: TextFile): Page {
  const found: Found = { headings: [], links: [], spans: [], fences: [] }
  collect(lexer(text), { text, from: 0, path }, found)
  const slugger = new GithubSlugger()
  const typedSpans = found.spans.filter((span) => /^npm (run|test)\b/.test(span.text))
  return {
    path,
    title: found.headings[0] ?? path,
    anchors: found.headings.map((heading) => slugger.slug(heading)),
    links: found.links,
    spans: found.spans,
    fences: found.fences,
    commands: [...found.fences.flatMap(({ commands }) => commands), ...typedSpans],
  }
}

interface Found {
  readonly headings: string[]
  readonly links: Place[]
  readonly spans: Place[]
  readonly fences: Fence[]
}

interface Within {
  readonly path: string
  /** The whole page. */
  readonly text: string
  /** Where the tokens begin in it, or an earlier place: what is indented there has lost its indentation. */
  readonly from: number
}

function collect(tokens: readonly Token[], within: Within, found: Found): void {
  let { from } = within
  const said = tokens.filter(({ type }) => type !== 'space')
  for (const [i, token] of said.entries()) {
    const [head = ''] = token.raw.trimStart().split('\n')
    const start = Math.max(within.text.indexOf(head, from), from)
    take(token, { line: lineAt(within.text, start), before: said[i - 1] }, found)
    for (const inner of childrenOf(token)) collect(inner, { ...within, from: start }, found)
    from = start + token.raw.trimStart().length
  }
}

function childrenOf(token: Token): readonly (readonly Token[])[] {
  if (token.type === 'table') return [...token.header, ...token.rows.flat()].map((cell: { tokens: Token[] }) => cell.tokens)
  if (token.type === 'list') return token.items.map((item: { tokens: Token[] }) => item.tokens)
  return 'tokens' in token && token.tokens !== undefined ? [token.tokens] : []
}

function take(token: Token, { line, before }: { line: number; before: Token | undefined }, found: Found): void {
  if (token.type === 'heading') found.headings.push(token.text.replaceAll(/[`*]/g, ''))
  else if (token.type === 'link' || token.type === 'image') found.links.push({ text: token.href, line })
  else if (token.type === 'codespan') found.spans.push({ text: token.text, line })
  else if (token.type === 'code')
    found.fences.push(fenceOf(token.lang ?? '', { text: token.text, line }, before?.type === 'html' ? before.raw : ''))
}

function fenceOf(info: string, place: Place, comment: string): Fence {
  const [language = ''] = info.split(/\s/)
  const [, notRun] = NOT_RUN.exec(comment) ?? []
  return { ...place, language, commands: commandsOf(language, place), ...(notRun === undefined ? {} : { notRun }) }
}

/** `sh` holds commands only; of `console` those with a prompt are, and the rest is what they answered. */
function commandsOf(language: string, { text, line }: Place): readonly Place[] {
  const lines = joined(text.split('\n').map((each, i) => ({ text: each, line: line + 1 + i })))
  if (language === 'sh') return lines.flatMap(typedIn)
  if (language === 'console') return lines.filter((each) => each.text.startsWith('$ ')).flatMap(typedIn)
  return []
}

/** A line that ends with a backslash goes on with the next. */
function joined(lines: readonly Place[]): readonly Place[] {
  const whole: Place[] = []
  for (const each of lines) {
    const last = whole.at(-1)
    if (last?.text.endsWith('\\')) whole[whole.length - 1] = { ...last, text: `${last.text.slice(0, -1).trimEnd()} ${each.text.trim()}` }
    else whole.push(each)
  }
  return whole
}

function typedIn({ text, line }: Place): Place[] {
  const command = text
    .replace(/^\$ /, '')
    .replace(/(^|\s+)#\s.*$/, '')
    .trim()
  return command === '' ? [] : [{ text: command, line }]
}
