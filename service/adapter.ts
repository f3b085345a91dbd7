/** Node's request and response as the Web's, and back. Bodies stream both ways; a request's body is bounded. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { HttpError } from './http.ts'

/** What the core sees as its origin: a client's Host header is not to be trusted with it. */
const ORIGIN = 'http://service.local'

export interface ToRequestOptions {
  readonly bodyLimitBytes: number
  /** Aborts when the client has gone. */
  readonly signal: AbortSignal
}

/** @throws HttpError 400 when the Web has no form for it, such as `OPTIONS *` or TRACE */
export function toRequest(req: IncomingMessage, { bodyLimitBytes, signal }: ToRequestOptions): Request {
  const method = req.method ?? 'GET'
  const target = req.url ?? '/'
  const init = { method, headers: headersOf(req), signal }
  try {
    const url = new URL(target.startsWith('/') ? `${ORIGIN}${target}` : target)
    if (method === 'GET' || method === 'HEAD') return new Request(url, init)
    return new Request(url, { ...init, body: boundedBody(req, bodyLimitBytes), duplex: 'half' })
  } catch (cause) {
    if (cause instanceof TypeError) throw new HttpError(400, 'The request cannot be understood')
    throw cause
  }
}

/** Writes a response; @throws what its body's stream throws, and when the client goes away. */
export async function sendResponse(response: Response, res: ServerResponse): Promise<void> {
  res.statusCode = response.status
  for (const [name, value] of response.headers) res.appendHeader(name, value)
  if (response.body === null) {
    res.end()
    return
  }
  await pipeline(Readable.fromWeb(response.body), res)
}

/** Whether more is still to come of a request's body than is worth reading to keep its connection. */
export function hasLongRest(req: IncomingMessage, limitBytes: number): boolean {
  if (req.complete) return false
  if (req.headers['transfer-encoding'] !== undefined) return true
  return Number(req.headers['content-length'] ?? 0) > limitBytes
}

function headersOf(req: IncomingMessage): Headers {
  const headers = new Headers()
  for (let i = 0; i + 1 < req.rawHeaders.length; i += 2) headers.append(req.rawHeaders[i] ?? '', req.rawHeaders[i + 1] ?? '')
  return headers
}

/** Reads nothing before it is asked to (a body nobody reads is left to Node to skip), and never more than the limit. */
function boundedBody(req: IncomingMessage, limitBytes: number): ReadableStream<Uint8Array> {
  let chunks: AsyncIterator<Buffer> | undefined
  let seenBytes = 0
  return new ReadableStream(
    {
      async pull(controller) {
        chunks ??= req.iterator({ destroyOnReturn: false })
        const { done, value } = await chunks.next()
        if (done === true) return controller.close()
        seenBytes += value.length
        if (seenBytes > limitBytes) throw new HttpError(413, `The body is larger than ${limitBytes} bytes`)
        controller.enqueue(value)
      },
    },
    { highWaterMark: 0 },
  )
}
