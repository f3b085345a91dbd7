/** Answers: JSON, plain text, and errors that carry a status. Bodies of requests are read within a bound. */
import { parseJson } from './json.ts'

export interface Route {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly handle: (request: Request, url: URL) => Response | Promise<Response>
}

/** Thrown by a route: answered as `{"error": message}` with this status. */
export class HttpError extends Error {
  override readonly name = 'HttpError'
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  constructor(status: number, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message)
    this.status = status
    this.headers = headers
  }
}

const JSON_TYPE = 'application/json; charset=utf-8'

export function json(value: unknown, status = 200, headers: Readonly<Record<string, string>> = {}): Response {
  return sized(JSON.stringify(value), { status, headers: { ...headers, 'content-type': JSON_TYPE } })
}

export function text(body: string, status = 200, contentType = 'text/plain; charset=utf-8'): Response {
  return sized(body, { status, headers: { 'content-type': contentType } })
}

/** JSON in pieces that are made when they are sent: never the whole of it in memory. */
export function jsonStream(pieces: Iterable<string>): Response {
  const body = ReadableStream.from(pieces).pipeThrough(new TextEncoderStream())
  return new Response(body, { headers: { 'content-type': JSON_TYPE, 'cache-control': 'no-store' } })
}

/** With its length, so that HEAD and GET carry the same headers. */
function sized(body: string, { status, headers }: { status: number; headers: Readonly<Record<string, string>> }): Response {
  const bytes = Buffer.from(body)
  return new Response(bytes, { status, headers: { ...headers, 'content-length': String(bytes.length), 'cache-control': 'no-store' } })
}

/** Anything that was thrown, as a response. What is not an HttpError is a bug: its message stays inside. */
export function toErrorResponse(thrown: unknown): Response {
  if (thrown instanceof HttpError) return json({ error: thrown.message }, thrown.status, thrown.headers)
  return json({ error: 'Internal error' }, 500)
}

/** The body as JSON, or undefined where it is none: JSON itself has no such value. @throws HttpError 413 over the limit */
export async function readJson(request: Request, limitBytes: number): Promise<unknown> {
  const bytes = await request.arrayBuffer()
  if (bytes.byteLength > limitBytes) throw new HttpError(413, `The body is larger than ${limitBytes} bytes`)
  return parseJson(bytes)
}
