/**
 * The import law: data flows config → plan → cluster → parts → records, so no folder may reach back or sideways. Biome's
 * `noRestrictedImports` says the same by name while one types; this resolves each path, and knows a folder without a law.
 */
import { posix } from 'node:path'
import { lineAt, readTexts, type TextFile } from './files.ts'

interface Law {
  /** Which files it binds; the first law that matches a file counts. */
  readonly files: RegExp
  /** Paths and names that they may import, beside npm and node. `$own` is the folder that `files` captured. */
  readonly may: readonly string[]
  readonly why: string
}

/** What parts and commands share goes by these names only, so that it can move. */
const SHARED = ['#core', '#kit/']
const PARTS = ['local', 'cloud', 'argocd', 'alerts', 'load', 'chart', 'admission']

const LAWS: readonly Law[] = [
  { files: /^(.*\/)[^/]+\.k6\.ts$/, may: ['$own'], why: 'k6 scripts import nothing of ours outside their folder' },
  { files: /^test\//, may: [''], why: 'tests import anything' },
  { files: /^(service\/)/, may: ['$own'], why: 'the service imports nothing of ours' },
  {
    files: /^scripts\/(core|kit)\//,
    may: [...SHARED, 'scripts/core/', 'scripts/kit/'],
    why: 'the core and the kit import each other, npm and node',
  },
  {
    files: /^scripts\/[^/]+\.ts$/,
    may: [...SHARED, 'holdfast.config.ts'],
    why: 'a command imports #core, #kit/* and ../holdfast.config.ts',
  },
  { files: /^scripts\/bootstrap\.mjs$/, may: [], why: 'it runs before anything of ours can' },
  { files: new RegExp(`^((?:${PARTS.join('|')})/)`), may: [...SHARED, '$own'], why: 'a part imports #core, #kit/* and its own folder' },
  {
    files: /^holdfast\.config\.ts$/,
    may: [...SHARED, ...PARTS.map((part) => `${part}/`)],
    why: 'the config imports parts, #core and #kit/*',
  },
]

/** Imports that the law forbids, and files that no law binds. */
export async function importLaw(root: string): Promise<string[]> {
  const files = await readTexts(root, (path) => /\.(ts|mts|mjs|js)$/.test(path))
  return files.flatMap(checkFile)
}

function checkFile({ path, text }: TextFile): string[] {
  const law = LAWS.find(({ files }) => files.test(path))
  if (law === undefined) return [`${path}:1 — no import law binds this folder — give it one in scripts/kit/imports.ts`]
  const own = law.files.exec(path)?.[1] ?? ''
  const may = law.may.map((prefix) => prefix.replace('$own', own))
  return importsOf(text).flatMap(({ specifier, index }) => {
    const target = specifier.startsWith('.') ? posix.join(posix.dirname(path), specifier) : specifier
    const isOurs = /^[.#]/.test(specifier)
    if (!isOurs || may.some((prefix) => isWithin(target, prefix))) return []
    return [`${path}:${lineAt(text, index)} — imports '${specifier}' — ${law.why}`]
  })
}

const isWithin = (target: string, prefix: string) => (/^$|\/$/.test(prefix) ? target.startsWith(prefix) : target === prefix)

const STATIC_IMPORT = /^[ \t]*(?:import|export)\b(?:[^'"`;=()]*?\bfrom)?\s*(['"])([^'"\n]+)\1/gm
const DYNAMIC_IMPORT = /\b(?:import|require)\s*\(\s*(['"`])([^'"`\n]+)\1/g

/** What a source text imports. A pattern is enough: the formatter keeps each import at the start of a line. */
export function importsOf(text: string): { specifier: string; index: number }[] {
  return [STATIC_IMPORT, DYNAMIC_IMPORT]
    .flatMap((pattern) => [...text.matchAll(pattern)])
    .map((match) => ({ specifier: match[2] ?? '', index: match.index + match[0].length - 1 }))
}
