/** Which packages of npm are within a bundle, as the lock file pins them. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { bundle } from './images.ts'

export interface LockedPackage {
  /** https://github.com/package-url/purl-spec */
  readonly purl: string
  /** SHA-512 of what the registry gave, in hex. */
  readonly sha512: string
  /** Expression of SPDX; undefined where the lock file names none. */
  readonly license?: string
}

interface Lock {
  readonly packages: Readonly<Record<string, { readonly version?: string; readonly integrity?: string; readonly license?: string }>>
}

/** Of every file that went in: only what a package gave to the bundle is shipped. */
export async function packagesIn(entry: string, from: string): Promise<LockedPackage[]> {
  const [{ inputs }, lock] = await Promise.all([bundle(entry, from), readFile(join(from, 'package-lock.json'), 'utf8')])
  const { packages } = JSON.parse(lock) as Lock
  const folders = [...new Set(inputs.flatMap((path) => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? []))].toSorted()
  return folders.map((folder) => {
    const { version, integrity = '', license } = packages[folder] ?? {}
    if (version === undefined) throw new TypeError(`${folder} is bundled, and package-lock.json does not know it`)
    const name = folder.slice(folder.lastIndexOf('node_modules/') + 'node_modules/'.length)
    const sha512 = Buffer.from(integrity.replace(/^sha512-/, ''), 'base64').toString('hex')
    return { purl: `pkg:npm/${name.replace('@', '%40')}@${version}`, sha512, ...(license === undefined ? {} : { license }) }
  })
}
