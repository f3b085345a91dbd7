/**
 * An append-only file of lines. A line that was appended is on the disk (fdatasync) before append() returns. A line that
 * could not be written whole is cut off again; what a crash left of one is not read, and is cut off before the next.
 */
import { createReadStream } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { appendSynced, FILE_MODE, replaceFile, syncFolder, type Write } from './files.ts'

export interface JournalOptions {
  readonly path: string
  /** Told every complete line of the file, in order. */
  readonly onLine: (line: string) => void
  /** Writes and syncs. @default append and fdatasync */
  readonly write?: Write
}

const NEWLINE = 0x0a

export class Journal {
  readonly #path: string
  readonly #write: Write
  /** Where the complete lines end, while the file may be longer than they are. */
  #tornAt: number | undefined

  private constructor({ path, write = appendSynced }: JournalOptions) {
    this.#path = path
    this.#write = write
  }

  /** Opens the file or makes it; @throws what the file system says */
  static async open(options: JournalOptions): Promise<Journal> {
    const { path, onLine } = options
    await (await open(path, 'a', FILE_MODE)).close()
    await syncFolder(dirname(path))
    const journal = new Journal(options)
    journal.#tornAt = await readLines(path, onLine)
    return journal
  }

  /** One at a time; `line` has no line break. @throws what the file system says; nothing of the line is kept then */
  async append(line: string): Promise<void> {
    await using file = await open(this.#path, 'a', FILE_MODE)
    await this.#mend(file)
    const { size } = await file.stat()
    this.#tornAt = size
    try {
      await this.#write(file, Buffer.from(`${line}\n`))
    } catch (thrown) {
      await this.#mend(file)
      throw thrown
    }
    this.#tornAt = undefined
  }

  /** Puts these lines in the place of all others, at once; they are asked for one by one. */
  async replace(lines: Iterable<string>): Promise<void> {
    await replaceFile(this.#path, terminated(lines))
  }

  async #mend(file: FileHandle): Promise<void> {
    if (this.#tornAt === undefined) return
    await file.truncate(this.#tornAt)
    await file.datasync()
    this.#tornAt = undefined
  }
}

function* terminated(lines: Iterable<string>): Generator<string> {
  for (const line of lines) yield `${line}\n`
}

/**
 * By bytes: node:readline would also break lines at U+2028, and hides whether the last one is complete.
 * @returns the size in bytes of all complete lines
 */
async function readLines(path: string, onLine: (line: string) => void): Promise<number> {
  let sizeBytes = 0
  let rest = Buffer.alloc(0)
  for await (const chunk of createReadStream(path)) {
    const bytes = Buffer.concat([rest, chunk as Buffer])
    let from = 0
    for (let at = bytes.indexOf(NEWLINE); at !== -1; at = bytes.indexOf(NEWLINE, from)) {
      onLine(bytes.toString('utf8', from, at))
      from = at + 1
    }
    sizeBytes += from
    rest = bytes.subarray(from)
  }
  return sizeBytes
}
