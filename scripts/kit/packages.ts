/** The packages of npm that a lock file pins, and which of them are within a bundle. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { bundle } from './images.ts'

export interface LockedPackage {
  readonly name: string
  readonly version: string
  /** Where npm puts it, relative to the root. */
  readonly path: string
  /** As https://www.w3.org/TR/SRI/ writes it; undefined for what comes from no registry. */
  readonly integrity?: string
  /** Expression of SPDX; undefined where the lock file names none. */
  readonly license?: string
}

/** The packages of a package-lock.json. */
export function lockedPackages(text: string): LockedPackage[] {
  const { packages = {} } = JSON.parse(text) as { packages?: Record<string, Partial<LockedPackage>> }
  return Object.entries(packages).flatMap(([path, { version, name, integrity, license }]) =>
    path === '' || version === undefined
      ? []
      : [
          {
            path,
            version,
            name: name ?? path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length),
            ...(integrity ? { integrity } : {}),
            ...(license ? { license } : {}),
          },
        ],
  )
}

export interface BundledPackage extends Pick<LockedPackage, 'license'> {
  /** https://github.com/package-url/purl-spec */
  readonly purl: string
  /** SHA-512 of what the registry gave, in hex. */
  readonly sha512: string
}

/** Of every file that went in: only what a package gave to the bundle is shipped. */
export async function packagesIn(entry: string, from: string): Promise<BundledPackage[]> {
  const [{ inputs }, lock] = await Promise.all([bundle(entry, from), readFile(join(from, 'package-lock.json'), 'utf8')])
  const locked = new Map(lockedPackages(lock).map((each) => [each.path, each]))
  const folders = [...new Set(inputs.flatMap((path) => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? []))].toSorted()
  return folders.map((folder) => {
    const found = locked.get(folder)
    if (found === undefined) throw new TypeError(`${folder} is bundled, and package-lock.json does not know it`)
    const { name, version, integrity = '', license } = found
    const sha512 = Buffer.from(integrity.replace(/^sha512-/, ''), 'base64').toString('hex')
    return { purl: `pkg:npm/${name.replace('@', '%40')}@${version}`, sha512, ...(license === undefined ? {} : { license }) }
  })
}
