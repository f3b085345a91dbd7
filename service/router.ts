/** A `fetch` handler over routes: finds the route, turns what it throws into a response, stamps who answered. */
import { HttpError, methodsOf, type Route, toErrorResponse, UNKNOWN_ROUTE } from './http.ts'
import { newTrace, type Trace, traceFrom, traceHeaders } from './trace.ts'

export interface Handler {
  /** Never rejects. */
  readonly fetch: (request: Request) => Promise<Response>
  /** The response to what has no form as a Request. */
  readonly refuse: (thrown: unknown, method: string) => Response
}

/** A request and its answer, for those who count, log and trace. */
export interface Exchange {
  readonly method: string
  /** The path of its route, or `unknown`. */
  readonly route: string
  readonly status: number
  /** In Unix time. */
  readonly startedAtMs: number
  /** From the request to its response, before that is sent. */
  readonly ms: number
  readonly trace: Trace
}

export interface HandlerOptions {
  /** Headers of every response. */
  readonly identity: Readonly<Record<string, string>>
  /** Told about each error that is not an HttpError. */
  readonly onError: (error: unknown, request: Request, trace: Trace) => void
  /** Told about each request but the probes', once its response is there. It must not throw. @default nobody */
  readonly onExchange?: (exchange: Exchange) => void
  /** Whether traces that begin here are recorded. */
  readonly isSampled: boolean
}

export function createHandler(routes: readonly Route[], options: HandlerOptions): Handler {
  const { identity, onError, onExchange = () => {}, isSampled } = options
  const table = Map.groupBy(routes, (route) => route.path)

  /** @returns what tells the status, and stamps the response */
  function begin(trace: Trace, method: string, path?: string): (response: Response, body: Response['body']) => Response {
    const [route] = table.get(path ?? '') ?? []
    const [startedAtMs, startMs] = [Date.now(), performance.now()]
    return (response, body) => {
      const { status } = response
      const ms = performance.now() - startMs
      if (!route?.isProbe) onExchange({ method, route: route?.path ?? UNKNOWN_ROUTE, status, startedAtMs, ms, trace })
      return stamp(response, body, { ...identity, ...traceHeaders(trace) })
    }
  }

  async function fetch(request: Request): Promise<Response> {
    const url = new URL(request.url)
    const trace = traceFrom(request.headers, isSampled)
    const finish = begin(trace, request.method, url.pathname)
    const response = await answer(table, request, url).catch((thrown: unknown) => {
      if (!(thrown instanceof HttpError)) onError(thrown, request, trace)
      return toErrorResponse(thrown)
    })
    return finish(response, request.method === 'HEAD' ? null : response.body)
  }

  function refuse(thrown: unknown, method: string): Response {
    const response = toErrorResponse(thrown)
    return begin(newTrace(isSampled), method)(response, response.body)
  }

  return { fetch, refuse }
}

async function answer(table: ReadonlyMap<string, readonly Route[]>, request: Request, url: URL): Promise<Response> {
  const routes = table.get(url.pathname)
  if (routes === undefined) throw new HttpError(404, 'Not found')
  const method = request.method === 'HEAD' ? 'GET' : request.method
  const route = routes.find((each) => each.method === method)
  if (route !== undefined) {
    const response = await route.handle(request, url)
    if (request.method === 'HEAD') await response.body?.cancel()
    return response
  }
  const allow = methodsOf(routes).join(', ')
  throw new HttpError(405, `Method ${request.method} is not allowed: use ${allow}`, { allow })
}

function stamp(response: Response, body: Response['body'], own: Readonly<Record<string, string>>): Response {
  const headers = new Headers(response.headers)
  for (const [name, value] of Object.entries(own)) headers.set(name, value)
  return new Response(body, { status: response.status, headers })
}
