/** The first file of a tar archive, read without unpacking the rest: https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html */
import { open } from 'node:fs/promises'

const BLOCK = 512
/** Records about the next member, or about all of them: GNU tar writes one where a member has more than the header can say. */
const EXTENDED = ['x', 'g']
/** Far beyond what stands first in an archive of ours. */
const MAX_BYTES = 1024 * 1024

/** @returns its text; undefined where the archive begins with another file, or is none. */
export async function readFirstFile(archive: string, name: string): Promise<string | undefined> {
  await using file = await open(archive)
  const read = async (at: number, length: number) => (await file.read(Buffer.alloc(length), 0, length, at)).buffer
  let at = 0
  let header = headerOf(await read(at, BLOCK))
  while (header !== undefined && EXTENDED.includes(header.type)) {
    at += BLOCK + Math.ceil(header.bytes / BLOCK) * BLOCK
    header = headerOf(await read(at, BLOCK))
  }
  return header?.name === name ? (await read(at + BLOCK, header.bytes)).toString() : undefined
}

function headerOf(block: Buffer): { readonly name: string; readonly bytes: number; readonly type: string } | undefined {
  const field = (from: number, length: number) =>
    block
      .subarray(from, from + length)
      .toString('latin1')
      .replace(/\0.*$/s, '')
  const bytes = Number.parseInt(field(124, 12), 8)
  if (field(257, 5) !== 'ustar' || !(bytes <= MAX_BYTES)) return undefined
  return { name: field(0, 100), bytes, type: field(156, 1) }
}
