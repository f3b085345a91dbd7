/** The words that routes are written in: a route, an error with a status, a JSON response. */

export interface Route {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** The exact path: it is also the route's name wherever routes are counted. */
  readonly path: string
  readonly handle: (request: Request, url: URL) => Response | Promise<Response>
  /** Asked by the cluster, not by users: never counted, never faulted. @default false */
  readonly isProbe?: boolean
}

/** The name of every path without a route: paths are the clients' words. */
export const UNKNOWN_ROUTE = 'unknown'

/** The methods that routes of one path answer: HEAD comes with GET. */
export function methodsOf(routes: readonly Route[]): string[] {
  return routes.flatMap(({ method }) => (method === 'GET' ? ['GET', 'HEAD'] : [method]))
}

/** Thrown by a route: answered as `{"error": message}` with this status. */
export class HttpError extends Error {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  constructor(status: number, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message)
    this.name = 'HttpError'
    this.status = status
    this.headers = headers
  }
}

/** A JSON response that says its length, so that HEAD and GET carry the same headers. */
export function json(value: unknown, status = 200, headers: Readonly<Record<string, string>> = {}): Response {
  const body = new TextEncoder().encode(JSON.stringify(value))
  const own = { 'content-type': 'application/json; charset=utf-8', 'content-length': String(body.length), 'cache-control': 'no-store' }
  return new Response(body, { status, headers: { ...own, ...headers } })
}

/** Anything that was thrown, as a response. What is not an HttpError is a bug: its message stays inside. */
export function toErrorResponse(thrown: unknown): Response {
  if (thrown instanceof HttpError) return json({ error: thrown.message }, thrown.status, thrown.headers)
  return json({ error: 'Internal error' }, 500)
}
