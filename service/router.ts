/** A `fetch` handler over routes: finds the route, turns what it throws into a response, stamps who answered. */
import { HttpError, methodsOf, type Route, toErrorResponse } from './http.ts'

export interface Handler {
  /** Never rejects. */
  readonly fetch: (request: Request) => Promise<Response>
  /** The response to what has no form as a Request. */
  readonly refuse: (thrown: unknown, method: string) => Response
}

export interface HandlerOptions {
  /** Headers of every response. */
  readonly identity: Readonly<Record<string, string>>
  /** Told about each error that is not an HttpError. */
  readonly onError: (error: unknown, request: Request) => void
  /** Told when a request comes in; it gives what is told its status. @default nobody */
  readonly begin?: (method: string, path: string) => (status: number) => void
}

/** What is not a request has no path. */
const NO_PATH = ''

export function createHandler(routes: readonly Route[], options: HandlerOptions): Handler {
  const { identity, onError, begin = () => () => {} } = options
  const table = Map.groupBy(routes, (route) => route.path)

  async function fetch(request: Request): Promise<Response> {
    const url = new URL(request.url)
    const answered = begin(request.method, url.pathname)
    const response = await answer(table, request, url).catch((thrown: unknown) => {
      if (!(thrown instanceof HttpError)) onError(thrown, request)
      return toErrorResponse(thrown)
    })
    answered(response.status)
    return stamp(response, request.method === 'HEAD' ? null : response.body, identity)
  }

  function refuse(thrown: unknown, method: string): Response {
    const response = toErrorResponse(thrown)
    begin(method, NO_PATH)(response.status)
    return stamp(response, response.body, identity)
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

function stamp(response: Response, body: Response['body'], identity: Readonly<Record<string, string>>): Response {
  const headers = new Headers(response.headers)
  for (const [name, value] of Object.entries(identity)) headers.set(name, value)
  return new Response(body, { status: response.status, headers })
}
