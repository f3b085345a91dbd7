/** Every package that a file of ours pins: of npm, of PyPI, and modules of Go. */
import { readTexts, type TextFile } from '../files.ts'

export interface Pinned {
  /** As OSV writes it: https://ossf.github.io/osv-schema/#affectedpackage-field */
  readonly ecosystem: 'npm' | 'PyPI' | 'Go'
  readonly name: string
  readonly version: string
  readonly file: string
}

export interface LockedPackage {
  readonly name: string
  readonly version: string
  readonly license?: string
  /** Where npm puts it, relative to the root. */
  readonly path: string
}

/** The packages of a package-lock.json. */
export function lockedPackages(text: string): LockedPackage[] {
  const { packages = {} } = JSON.parse(text) as { packages?: Record<string, { version?: string; name?: string; license?: string }> }
  return Object.entries(packages).flatMap(([path, { version, name, license }]) =>
    path === '' || version === undefined
      ? []
      : [
          {
            path,
            version,
            name: name ?? path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length),
            ...(license ? { license } : {}),
          },
        ],
  )
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
