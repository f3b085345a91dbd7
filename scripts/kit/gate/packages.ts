/** Every package that a file of ours pins: of npm, of PyPI, and modules of Go. */
import { readTexts, type TextFile } from '../files.ts'
import { lockedPackages } from '../packages.ts'

export interface Pinned {
  /** As OSV writes it: https://ossf.github.io/osv-schema/#affectedpackage-field */
  readonly ecosystem: 'npm' | 'PyPI' | 'Go'
  readonly name: string
  readonly version: string
  readonly file: string
}

/** Each once, by the first file that pins it. */
export async function pinnedPackages(root: string): Promise<Pinned[]> {
  const files = await readTexts(root, (path) => /(^|\/)(package-lock\.json|go\.mod|[\w-]+\.txt)$/.test(path))
  const all = files.flatMap(pinnedIn)
  return [...new Map(all.toReversed().map((each) => [`${each.ecosystem} ${each.name} ${each.version}`, each])).values()].toReversed()
}

function pinnedIn({ path: file, text }: TextFile): Pinned[] {
  if (file.endsWith('package-lock.json'))
    return lockedPackages(text).map(({ name, version }) => ({ ecosystem: 'npm', name, version, file }))
  if (file.endsWith('go.mod'))
    return [...text.matchAll(/^\s*(?:require )?([\w./~-]+\.[\w./~-]+) v(\S+)/gm)].map(([, name = '', version = '']) => ({
      ecosystem: 'Go',
      name,
      version,
      file,
    }))
  return [...text.matchAll(/^([\w.-]+)(?:\[.*\])?==(\S+) \\$/gm)].map(([, name = '', version = '']) => ({
    ecosystem: 'PyPI',
    name,
    version,
    file,
  }))
}
