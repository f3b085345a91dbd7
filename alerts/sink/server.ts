/** The core on a port, by node:http alone. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { type App, BODY_LIMIT_BYTES } from './app.ts'
import { HttpError, toErrorResponse } from './http.ts'

export interface RunningServer {
  readonly url: string
  /** Accepts no more, and finishes what is in flight. @returns how many requests were cut at the limit */
  stop(limitMs: number): Promise<number>
}

/** What the core sees as its origin: a client's Host header is not to be trusted with it. */
const ORIGIN = 'http://sink.local'
const LIMITS = { headersTimeout: 10_000, requestTimeout: 10_000, keepAliveTimeout: 75_000, connectionsCheckingInterval: 5_000 }
/** Each may hold a body and two copies of it: together 48 MiB. */
const MAX_CONNECTIONS = 64
const STOP_POLL_MS = 10

/** @returns once it listens; port 0 takes a free one. @throws the listen error, such as EADDRINUSE */
export async function serve(app: App, { host, port }: { host: string; port: number }): Promise<RunningServer> {
  const open = new Set<ServerResponse>()
  const server = createServer(LIMITS, (req, res) => {
    open.add(res)
    res.once('close', () => open.delete(res))
    void answer(req, res).catch(() => res.destroy())
  })
  server.maxConnections = MAX_CONNECTIONS
  await listen(server, host, port)
  const { port: taken } = server.address() as AddressInfo
  return { url: `http://${host.includes(':') ? `[${host}]` : host}:${taken}`, stop: (limitMs) => stop(server, open, limitMs) }

  async function answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const gone = new AbortController()
    res.once('close', () => gone.abort())
    const response = await respond(app, req, gone.signal)
    // A client that keeps its connection to a stopping process would lose its next request.
    if (!server.listening) res.setHeader('connection', 'close')
    res.statusCode = response.status
    for (const [name, value] of response.headers) res.setHeader(name, value)
    if (response.body === null) res.end()
    else await pipeline(Readable.fromWeb(response.body), res)
  }
}

/** @throws what the connection says when it breaks */
async function respond(app: App, req: IncomingMessage, signal: AbortSignal): Promise<Response> {
  const body = await readBody(req)
  try {
    return await app.fetch(toRequest(req, body, signal))
  } catch (thrown) {
    return toErrorResponse(thrown)
  }
}

/** @throws HttpError 400 when the Web has no form for it, such as `OPTIONS *` or TRACE */
function toRequest(req: IncomingMessage, body: Buffer<ArrayBuffer>, signal: AbortSignal): Request {
  const { method = 'GET', url = '/' } = req
  const hasBody = method !== 'GET' && method !== 'HEAD'
  try {
    return new Request(new URL(url.startsWith('/') ? `${ORIGIN}${url}` : url), { method, signal, ...(hasBody ? { body } : {}) })
  } catch (thrown) {
    if (thrown instanceof TypeError) throw new HttpError(400, 'The request cannot be understood')
    throw thrown
  }
}

/**
 * Up to one byte more than the core takes, so that it can tell; what comes then is read and forgotten, so that the client
 * gets its answer instead of a reset. The server's own time limit ends a body without end.
 */
async function readBody(req: IncomingMessage): Promise<Buffer<ArrayBuffer>> {
  const chunks: Buffer[] = []
  let keptBytes = 0
  for await (const chunk of req as AsyncIterable<Buffer>) {
    const part = chunk.subarray(0, BODY_LIMIT_BYTES + 1 - keptBytes)
    if (part.length > 0) chunks.push(part)
    keptBytes += part.length
  }
  return Buffer.concat(chunks)
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port }, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

async function stop(server: Server, open: ReadonlySet<ServerResponse>, limitMs: number): Promise<number> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  const deadline = performance.now() + limitMs
  while (open.size > 0 && performance.now() < deadline) await sleep(STOP_POLL_MS)
  const cut = open.size
  // What is left open now was answered and kept for another request, or never asked.
  server.closeAllConnections()
  await closed
  return cut
}
