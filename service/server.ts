/** Express serves the core on a port, and can stop without losing what it has accepted. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import express from 'express'
import { hasLongRest, sendResponse, toRequest } from './adapter.ts'
import type { Phase } from './app.ts'
import { errorFields, type Log } from './log.ts'
import type { Handler } from './router.ts'
import { traceFieldsOf } from './trace.ts'

export interface Served extends Handler {
  /** A draining one tells its clients to connect elsewhere. @default 'ready' */
  readonly phase?: Phase
}

export interface ServeOptions {
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
  /** @default 65536 */
  readonly bodyLimitBytes?: number
  /** @default no log */
  readonly log?: Log
}

export interface RunningServer {
  readonly url: string
  /** Requests that were read and not yet answered. */
  readonly inFlight: number
  /** Accepts no more, and finishes what is in flight. @returns how many requests were cut at the limit, or 0 */
  stop(limitMs: number): Promise<number>
}

const LIMITS = {
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  // Longer than a load balancer's 60 s: else it may send a request into a connection that was just closed here.
  keepAliveTimeout: 75_000,
  connectionsCheckingInterval: 5_000,
}
const STOP_POLL_MS = 25
/** With nothing in flight for that long, the connections that are still open are not waited for. */
const STOP_QUIET_MS = 250

/** @returns once it listens; @throws the listen error, such as EADDRINUSE */
export async function serve(app: Served, options: ServeOptions): Promise<RunningServer> {
  const open = new Set<ServerResponse>()
  const handle = createListener(app, options)
  const server = createServer(LIMITS, express().disable('x-powered-by').disable('etag').use(track(open, handle)))
  await listen(server, options)
  const { port } = server.address() as AddressInfo
  const host = options.host.includes(':') ? `[${options.host}]` : options.host
  return {
    url: `http://${host}:${port}`,
    get inFlight() {
      return open.size
    },
    stop: (limitMs) => stop(server, open, limitMs),
  }
}

type Handle = (req: IncomingMessage, res: ServerResponse) => Promise<void>

function track(open: Set<ServerResponse>, handle: Handle): Handle {
  return (req, res) => {
    open.add(res)
    res.once('close', () => open.delete(res))
    return handle(req, res)
  }
}

function createListener(app: Served, { bodyLimitBytes = 65_536, log }: ServeOptions): Handle {
  return async (req, res) => {
    const gone = new AbortController()
    res.once('close', () => gone.abort())
    const response = await respond()
    // Clients that hold a connection to a draining process must look for another one.
    if (app.phase === 'draining' || hasLongRest(req, bodyLimitBytes)) res.setHeader('connection', 'close')
    await sendResponse(response, res).catch((error: unknown) => {
      if (!isClientGone(error))
        log?.('error', 'response cut', { method: req.method, path: req.url, ...traceFieldsOf(response), ...errorFields(error) })
      res.destroy()
    })

    async function respond(): Promise<Response> {
      try {
        return await app.fetch(toRequest(req, { bodyLimitBytes, signal: gone.signal }))
      } catch (thrown) {
        return app.refuse(thrown, req.method ?? '')
      }
    }
  }
}

/** By its error: whatever cuts a response closes it first, so that its state says nothing. */
function isClientGone(error: unknown): boolean {
  const { code = '' } = error as NodeJS.ErrnoException
  return ['ERR_STREAM_PREMATURE_CLOSE', 'ECONNRESET', 'EPIPE'].includes(code)
}

function listen(server: Server, { host, port }: ServeOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port }, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

async function stop(server: Server, open: ReadonlySet<ServerResponse>, limitMs: number): Promise<number> {
  // close() ends the idle connections too; those that become idle later, or never asked, end with the quiet time.
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  const deadline = Date.now() + limitMs
  let busyAt = Date.now()
  while (Date.now() < deadline && Date.now() - busyAt < STOP_QUIET_MS) {
    if (open.size > 0) busyAt = Date.now()
    if (await Promise.race([closed.then(() => true), sleep(STOP_POLL_MS, false)])) return 0
  }
  const cut = open.size
  server.closeAllConnections()
  await closed
  return cut
}
