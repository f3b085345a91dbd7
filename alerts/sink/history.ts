/** The messages that arrived: the newest in memory, and in a journal that is compacted now and then. */
import { createQueue, type Write } from './files.ts'
import { Journal } from './journal.ts'
import { isRecord, parseJson } from './json.ts'
import type { Message, MessageFilter, MessagePage, MessageQuery, Notification } from './message.ts'

export interface HistoryOptions {
  readonly path: string
  /** How many messages are kept; the file holds less than twice as many. */
  readonly limit: number
  /** Told what went wrong without harm to a new message: a compaction that failed, a line that is none of ours. */
  readonly onTrouble: (what: string, thrown?: unknown) => void
  /** Writes and syncs a line. @default append and fdatasync */
  readonly write?: Write
}

export class History {
  readonly #options: HistoryOptions
  readonly #kept: Kept
  readonly #journal: Journal
  readonly #serially = createQueue()
  readonly #listeners = new Set<() => void>()
  #closed = false

  private constructor(options: HistoryOptions, kept: Kept, journal: Journal) {
    this.#options = options
    this.#kept = kept
    this.#journal = journal
  }

  /** Reads what is there. @throws what the file system says */
  static async open(options: HistoryOptions): Promise<History> {
    const kept = new Kept(options.limit)
    const onLine = (line: string) => {
      const message = readMessage(line, kept.lastId)
      if (message === undefined) options.onTrouble(`line ${kept.lines + 1} of the history is not a message and is left out`)
      kept.add(message)
    }
    return new History(options, kept, await Journal.open({ ...options, onLine }))
  }

  /** @returns once the message is on the disk; until then nobody sees it. @throws what the file system says; it is not kept then */
  add(notification: Notification, receivedAtMs: number): Promise<Message> {
    return this.#serially(async () => {
      const message = { id: this.#kept.lastId + 1, receivedAtMs, ...notification }
      await this.#journal.append(JSON.stringify(message))
      this.#kept.add(message)
      this.#tell()
      await this.#compact()
      return message
    })
  }

  find({ afterId, limit, ...filter }: MessageQuery): MessagePage {
    const matching = this.#kept.messages.filter((message) => matches(message, filter))
    const total = matching.length
    if (afterId !== undefined) return { total, messages: matching.filter(({ id }) => id > afterId).slice(0, limit) }
    return { total, messages: limit === undefined ? matching : matching.slice(-limit) }
  }

  /** The same, as soon as there is a message, or when the time is over, the signal aborts or the history is closed. */
  async waitFor(query: MessageQuery, { waitMs, signal }: { waitMs: number; signal: AbortSignal }): Promise<MessagePage> {
    const deadline = performance.now() + waitMs
    while (true) {
      const page = this.find(query)
      const leftMs = deadline - performance.now()
      if (page.messages.length > 0 || leftMs <= 0 || signal.aborted || this.#closed) return page
      await this.#change(leftMs, signal)
    }
  }

  /** Ends every wait; messages are still taken. */
  close(): void {
    this.#closed = true
    this.#tell()
  }

  /** A message that is on the disk has arrived, whatever becomes of this: it is tried again with the next one. */
  async #compact(): Promise<void> {
    if (this.#kept.lines < 2 * this.#options.limit) return
    try {
      await this.#journal.replace(linesOf(this.#kept.messages))
      this.#kept.lines = this.#kept.messages.length
    } catch (thrown) {
      this.#options.onTrouble('the history could not be compacted', thrown)
    }
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener()
  }

  #change(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer)
        this.#listeners.delete(done)
        signal.removeEventListener('abort', done)
        resolve()
      }
      const timer = setTimeout(done, ms)
      this.#listeners.add(done)
      signal.addEventListener('abort', done)
    })
  }
}

/** The newest messages, and what must be known of the file. */
class Kept {
  readonly #limit: number
  readonly messages: Message[] = []
  lastId = 0
  lines = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  /** A line of the file, with its message if it holds one. */
  add(message: Message | undefined): void {
    this.lines++
    if (message === undefined) return
    this.lastId = message.id
    this.messages.push(message)
    if (this.messages.length > this.#limit) this.messages.shift()
  }
}

function* linesOf(messages: readonly Message[]): Generator<string> {
  for (const message of messages) yield JSON.stringify(message)
}

function matches(message: Message, { since, alert, state }: MessageFilter): boolean {
  return (
    (since === undefined || message.receivedAtMs >= since) &&
    (alert === undefined || message.alert === alert) &&
    (state === undefined || message.state === state)
  )
}

function readMessage(line: string, lastId: number): Message | undefined {
  const value = parseJson(line)
  const isOurs = isRecord(value) && Number.isSafeInteger(value.id) && Number.isSafeInteger(value.receivedAtMs)
  const message = isOurs ? (value as unknown as Message) : undefined
  return message !== undefined && message.id > lastId ? message : undefined
}
