/** Terraform's lock on a state: what was begun on this machine and ended without giving it back may be unlocked, nobody else's. */
import { readFile, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Failure } from '#kit/errors'
import { ensureDir } from '#kit/paths'
import { startTime } from '#kit/process'
import type { Note } from '#kit/progress'
import { pending, ready, waitFor } from '#kit/wait'
import { type Aws, isNotThere } from './aws.ts'
import type { Diagnostic } from './events.ts'

/** As it stands beside the state, and in what Terraform says where it is refused. */
export interface StateLock {
  readonly id: string
  /** `user@host` */
  readonly who: string
  /** `apply`, `plan` … */
  readonly operation: string
  /** As Terraform writes it: a time, but for no program. */
  readonly since: string
}

export interface StateAt {
  readonly bucket: string
  /** Of the state. */
  readonly key: string
}

/** An apply of a hundred resources takes half an hour at most, and a cluster is what takes most of it. */
const WORK_TIMEOUT_MS = 3_600_000

/** Undefined where nobody holds it. */
export async function readStateLock({ s3 }: Pick<Aws, 's3'>, { bucket, key }: StateAt): Promise<StateLock | undefined> {
  try {
    const { Body } = await s3.getObject({ Bucket: bucket, Key: `${key}.tflock` })
    const { ID, Who = '', Operation = '', Created = '' } = JSON.parse((await Body?.transformToString()) ?? '{}')
    return ID === undefined ? undefined : { id: ID, who: Who, operation: operationOf(Operation), since: Created }
  } catch (thrown) {
    if (isNotThere(thrown)) return undefined
    throw thrown
  }
}

/** The lock that Terraform names where it was refused for it; undefined where it was refused for another reason. */
export function lockIn({ summary, detail = '' }: Diagnostic): (StateLock & { readonly path: string }) | undefined {
  if (!/acquiring the state lock/i.test(summary)) return undefined
  const line = (name: string) => new RegExp(`^\\s*${name}:\\s*(\\S.*?)\\s*$`, 'm').exec(detail)?.[1] ?? ''
  const id = line('ID')
  if (id === '') return undefined
  return { id, path: line('Path'), who: line('Who'), operation: operationOf(line('Operation')), since: line('Created') }
}

const operationOf = (text: string) => text.replace(/^OperationType/, '').toLowerCase()

/** What is kept of a run of Terraform's while it holds the lock. */
interface Held {
  readonly id: string
  readonly pid: number
  /** Tells the process from a later one with the same number. */
  readonly started: string
}

/** What a person is told before it is taken away. */
export const renderLock = ({ who, operation, since, id }: StateLock) =>
  `A ${operation} of ours (${who}, since ${since.slice(0, 19)}) has ended and left the state locked (${id})`

/** The lock that this clone's Terraform holds, remembered in a file of ours: whoever is killed leaves it, and the next run reads it. */
export class OwnLock {
  readonly #path: string
  readonly #read: () => Promise<StateLock | undefined>

  /** @param read the lock that is there. */
  constructor(path: string, read: () => Promise<StateLock | undefined>) {
    this.#path = path
    this.#read = read
  }

  /** Terraform has it now, as this process. Where it cannot be read nothing is remembered: a lock that stays is then somebody's. */
  async begun(pid: number): Promise<void> {
    const [lock, started] = await Promise.all([this.#read().catch(() => undefined), startTime(pid)])
    if (lock === undefined) return
    ensureDir(dirname(this.#path))
    await writeFile(this.#path, JSON.stringify({ id: lock.id, pid, started } satisfies Held), { mode: 0o600 })
  }

  /** Terraform has given it back. */
  async ended(): Promise<void> {
    await rm(this.#path, { force: true })
  }

  /** Waits for a run of ours that goes on without us. @returns the lock that one has left that is gone; those of others are not told */
  async abandoned({ signal, note }: { readonly signal: AbortSignal; readonly note: Note }): Promise<StateLock | undefined> {
    const held = await this.#held()
    if (held === undefined) return undefined
    const look = async () =>
      (await startTime(held.pid)) === held.started ? pending(`process ${held.pid} of an earlier run is at work`) : ready(undefined)
    await waitFor('Terraform of an earlier run to end', look, { timeoutMs: WORK_TIMEOUT_MS, everyMs: 500, signal, onSeen: note })
    const lock = await this.#read()
    if (lock?.id === held.id) return lock
    await this.ended()
    return undefined
  }

  async #held(): Promise<Held | undefined> {
    const text = await readFile(this.#path, 'utf8').catch(() => undefined)
    if (text === undefined) return undefined
    try {
      return JSON.parse(text)
    } catch (thrown) {
      throw new Failure({ what: 'Cannot tell whose lock it is', why: `${this.#path} is broken`, next: 'Remove that file' }, thrown)
    }
  }
}
