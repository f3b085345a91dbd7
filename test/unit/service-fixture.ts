/** What the service's tests share. */
import { type App, type AppOptions, createApp } from '../../service/app.ts'
import { HttpError, json, type Route } from '../../service/http.ts'

/** A route that answers once it is released. */
export function slowRoute() {
  const entered = Promise.withResolvers<void>()
  const released = Promise.withResolvers<void>()
  const handle = async () => {
    entered.resolve()
    await released.promise
    return json({ slow: true })
  }
  const route: Route = { method: 'GET', path: '/slow', handle }
  return { route, entered: entered.promise, release: () => released.resolve() }
}

/** What an app tells Prometheus: each sample by its name and labels. */
export async function scrape(app: App): Promise<Map<string, number>> {
  const text = await (await app.metrics.fetch(new Request('http://test.local/metrics'))).text()
  return new Map([...text.matchAll(/^([^#\s].*) (\S+)$/gm)].map(([, name = '', value]) => [name, Number(value)]))
}

/** What an app has counted by `method endpoint status`, without what it created at 0. */
export async function countsOf(app: App): Promise<Record<string, number>> {
  const counts = [...(await scrape(app))].flatMap(([name, count]) => {
    const [, method, endpoint, status] = /^app_requests_total\{method="(.*?)",endpoint="(.*?)",status="(.*?)"\}$/.exec(name) ?? []
    return status === undefined || count === 0 ? [] : [[`${method} ${endpoint} ${status}`, count] as const]
  })
  return Object.fromEntries(counts.toSorted())
}

const ROUTES: readonly Route[] = [
  { method: 'POST', path: '/echo', handle: async (given) => json({ received: await given.text() }) },
  {
    method: 'GET',
    path: '/conflict',
    handle: () => {
      throw new HttpError(409, 'Conflict')
    },
  },
  {
    method: 'GET',
    path: '/bug',
    handle: () => {
      throw new Error('a secret')
    },
  },
]

/** A ready app with routes that echo, refuse and throw, and with faults. */
export function startedApp(options: AppOptions = {}): App {
  const app = createApp({ environment: 'test', version: 'v1', pod: 'pod-1', faults: true, routes: ROUTES, ...options })
  app.start()
  return app
}
