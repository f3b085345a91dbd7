/**
 * The sink's core: a Web-standard `fetch(Request) => Response` without a port. A delivery is answered once it is on the
 * disk, and nothing is deduplicated: what a sender says twice arrived twice.
 */
import { type Heartbeat, readBeat } from './heartbeat.ts'
import type { History } from './history.ts'
import { HttpError, json, jsonStream, type Route, readJson, text, toErrorResponse } from './http.ts'
import type { MessagePage } from './message.ts'
import { createMetrics, type Metrics } from './metrics.ts'
import { readQuery } from './query.ts'
import { readNotification } from './slack.ts'

/** Alertmanager's bodies have some 2 KiB; one with hundreds of alerts still fits. */
export const BODY_LIMIT_BYTES = 262_144

export interface AppOptions {
  readonly history: History
  readonly heartbeat: Heartbeat
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** Told what was kept and what could not be. */
  readonly log: Log
}

export type Log = (level: 'info' | 'error', message: string, fields?: Readonly<Record<string, unknown>>) => void

export interface App {
  readonly fetch: (request: Request) => Promise<Response>
  /** Ends every wait of a client for messages. */
  close(): void
}

export function createApp(options: AppOptions): App {
  const { heartbeat, history, now, log } = options
  const startedAtMs = now()
  const metrics = createMetrics(() => heartbeat.status(now()).ageMs ?? now() - startedAtMs)
  const table = Map.groupBy(routes(options, metrics), (route) => route.path)

  async function fetch(request: Request): Promise<Response> {
    const response = await answer(table, request).catch((thrown: unknown) => {
      if (!(thrown instanceof HttpError)) log('error', 'request failed', { path: new URL(request.url).pathname, ...errorFields(thrown) })
      return toErrorResponse(thrown)
    })
    if (request.method === 'POST' && (response.status === 400 || response.status === 413)) metrics.countMalformed()
    return request.method === 'HEAD' ? withoutBody(response) : response
  }

  return { fetch, close: () => history.close() }
}

/** An error as log fields. */
export function errorFields(thrown: unknown): Readonly<Record<string, unknown>> {
  return thrown instanceof Error ? { error: thrown.message, stack: thrown.stack } : { error: String(thrown) }
}

function routes({ history, heartbeat, now, log }: AppOptions, metrics: Metrics): readonly Route[] {
  return [
    { method: 'POST', path: '/slack', handle: postSlack },
    { method: 'POST', path: '/heartbeat', handle: postHeartbeat },
    { method: 'GET', path: '/heartbeat', handle: () => json(heartbeat.status(now())) },
    { method: 'GET', path: '/messages', handle: getMessages },
    { method: 'GET', path: '/health', handle: () => json({ status: 'healthy' }) },
    { method: 'GET', path: '/metrics', handle: async () => text(await metrics.render(), 200, metrics.contentType) },
  ]

  async function postSlack(request: Request): Promise<Response> {
    const notification = readNotification(await readJson(request, BODY_LIMIT_BYTES))
    if (typeof notification === 'string') return text(notification, 400)
    try {
      const { id, alert, state } = await history.add(notification, now())
      metrics.countMessage(notification)
      log('info', 'message kept', { id, alert, state })
      return text('ok')
    } catch (thrown) {
      return notStored(thrown)
    }
  }

  async function postHeartbeat(request: Request): Promise<Response> {
    const beat = readBeat(await readJson(request, BODY_LIMIT_BYTES))
    if (beat === 'refused')
      throw new HttpError(400, "Expected version 4 of Alertmanager's webhook with the Watchdog: no other alert is kept here")
    if (beat === 'ended') return json({ counted: false })
    try {
      await heartbeat.beat(now())
      return json({ counted: true })
    } catch (thrown) {
      return notStored(thrown)
    }
  }

  async function getMessages(request: Request, url: URL): Promise<Response> {
    const { query, waitMs } = readQuery(url.searchParams)
    return jsonStream(piecesOf(await history.waitFor(query, { waitMs, signal: request.signal })))
  }

  /** A full disk most of all: Alertmanager sends again what is answered with a 5xx. */
  function notStored(thrown: unknown): Response {
    log('error', 'a delivery could not be stored and is refused', errorFields(thrown))
    return text('not_stored', 503)
  }
}

function* piecesOf({ total, messages }: MessagePage): Generator<string> {
  yield `{"total":${total},"messages":[`
  for (const [i, message] of messages.entries()) yield `${i === 0 ? '' : ','}${JSON.stringify(message)}`
  yield ']}'
}

async function withoutBody(response: Response): Promise<Response> {
  await response.body?.cancel()
  return new Response(null, response)
}

async function answer(table: ReadonlyMap<string, readonly Route[]>, request: Request): Promise<Response> {
  const url = new URL(request.url)
  const known = table.get(url.pathname)
  if (known === undefined) throw new HttpError(404, 'Not found')
  const method = request.method === 'HEAD' ? 'GET' : request.method
  const route = known.find((each) => each.method === method)
  if (route !== undefined) return await route.handle(request, url)
  const allow = known.flatMap((each) => (each.method === 'GET' ? ['GET', 'HEAD'] : [each.method])).join(', ')
  throw new HttpError(405, `Method ${request.method} is not allowed: use ${allow}`, { allow })
}
