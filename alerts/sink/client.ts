/** What arrived at a cluster's alert sink, asked from this machine. */
import type { Cluster } from '#core'
import { Failure, messageOf } from '#kit/errors'
import { formatMs } from '#kit/progress'
import { isRecord, parseJson } from './json.ts'
import type { HeartbeatStatus, MessagePage, MessageQuery } from './message.ts'

export type { HeartbeatStatus, Message, MessagePage, MessageQuery, State } from './message.ts'

export interface SinkQuery extends MessageQuery {
  /** With `afterId`: waits up to so long, at most 20 s, for a message. @default 0 */
  readonly waitMs?: number
  readonly signal?: AbortSignal
}

/** Beyond the wait that was asked for. */
const ANSWER_TIMEOUT_MS = 10_000

/**
 * The messages that match. A wait that ends without one gives a page without messages.
 * @throws Failure with one sentence when the sink does not answer or refuses the query; what `signal` says when it aborts
 */
export async function sinkMessages(cluster: Cluster, { signal, ...query }: SinkQuery = {}): Promise<MessagePage> {
  const given = Object.entries(query).flatMap(([name, value]): [string, string][] => (value === undefined ? [] : [[name, String(value)]]))
  const timeoutMs = (query.waitMs ?? 0) + ANSWER_TIMEOUT_MS
  return ask(cluster, `/messages?${new URLSearchParams(given)}`, { timeoutMs, signal, is: isPage })
}

/** The Watchdog's life signs. @throws as sinkMessages() does */
export async function sinkHeartbeat(cluster: Cluster, { signal }: { readonly signal?: AbortSignal } = {}): Promise<HeartbeatStatus> {
  return ask(cluster, '/heartbeat', { timeoutMs: ANSWER_TIMEOUT_MS, signal, is: isHeartbeat })
}

interface Question<T> {
  readonly timeoutMs: number
  readonly signal: AbortSignal | undefined
  /** Something else may listen where the sink should. */
  readonly is: (body: unknown) => body is T
}

async function ask<T>(cluster: Cluster, path: string, { timeoutMs, signal, is }: Question<T>): Promise<T> {
  const limit = AbortSignal.timeout(timeoutMs)
  try {
    const response = await cluster.fetch('sink', path, { signal: signal === undefined ? limit : AbortSignal.any([limit, signal]) })
    const content = await response.text()
    const body = parseJson(content)
    if (response.status === 200 && is(body)) return body
    throw new Error(`it answered ${response.status}: ${oneLine(isRecord(body) && typeof body.error === 'string' ? body.error : content)}`)
  } catch (thrown) {
    signal?.throwIfAborted()
    const why = limit.aborted ? `it did not answer within ${formatMs(timeoutMs)}` : reasonOf(thrown)
    throw new Failure({ what: 'Cannot ask the alert sink', why, next: 'Look at it with npm run local:status' }, thrown)
  }
}

function isPage(body: unknown): body is MessagePage {
  return isRecord(body) && typeof body.total === 'number' && Array.isArray(body.messages)
}

function isHeartbeat(body: unknown): body is HeartbeatStatus {
  return isRecord(body) && typeof body.count === 'number' && 'ageMs' in body
}

const oneLine = (content: string) => content.replaceAll(/\s+/g, ' ').slice(0, 200)

/** `fetch` says only that it failed; why is in its cause. */
function reasonOf(thrown: unknown): string {
  const cause = thrown instanceof Error ? thrown.cause : undefined
  if (cause instanceof Error) return cause.message || String((cause as NodeJS.ErrnoException).code)
  return messageOf(thrown)
}
