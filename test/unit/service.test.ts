/** The service: one table of cases for the bare handler and for Express, then how its server stops. */
import { request } from 'node:http'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { createApp } from '../../service/app.ts'
import { HttpError, json, type Route } from '../../service/http.ts'
import { serve } from '../../service/server.ts'
import { assert, suite } from '../suite.ts'
import { countsOf, slowRoute } from './service-fixture.ts'

const test = suite('service')

interface Case {
  readonly path: string
  /** @default 'GET' */
  readonly method?: string
  readonly body?: string
  /** Its header `x-fault`. */
  readonly fault?: string
  readonly status: number
  readonly expected?: unknown
  /** @default '' */
  readonly allow?: string
}

const BODY_LIMIT = 1_000
const LIMIT_ERROR = { error: "Parameter 'limit' must be one whole number from 1 to 100" }
const FAULT_ERROR = { error: "Header x-fault must be one or more of status=400..599, delay=0..10000, cpu=0..1000, joined by ';'" }
const FIRST = { id: 1, name: 'Anchor', price: 49.99 }

const CONTRACT: readonly Case[] = [
  { path: '/api/products?limit=1', status: 200, expected: [FIRST] },
  { path: '/api/products?limit=100&other=x', status: 200 },
  { path: '/api/products', method: 'HEAD', status: 200 },
  ...['x', '', '0', '01', '-1', '1.5', '1e1', '101', '1000', '1&limit=2'].map((limit) => ({
    path: `/api/products?limit=${limit}`,
    status: 400,
    expected: LIMIT_ERROR,
  })),
  { path: '/health', status: 200, expected: { status: 'healthy', environment: 'test' } },
  { path: '/ready', status: 200, expected: { status: 'ready' } },
  { path: '/', status: 404, expected: { error: 'Not found' } },
  { path: '/health/', status: 404, expected: { error: 'Not found' } },
  { path: '//elsewhere.test/health', status: 404, expected: { error: 'Not found' } },
  { path: '/nowhere', method: 'HEAD', status: 404 },
  { path: '/nowhere', method: 'POST', body: 'x', status: 404, expected: { error: 'Not found' } },
  {
    path: '/health',
    method: 'POST',
    body: '{}',
    status: 405,
    expected: { error: 'Method POST is not allowed: use GET, HEAD' },
    allow: 'GET, HEAD',
  },
  { path: '/health', method: 'OPTIONS', status: 405, allow: 'GET, HEAD' },
  { path: '/echo', status: 405, expected: { error: 'Method GET is not allowed: use POST' }, allow: 'POST' },
  { path: '/echo', method: 'POST', body: 'ahoy', status: 200, expected: { received: 'ahoy' } },
  { path: '/conflict', status: 409, expected: { error: 'Conflict' } },
  { path: '/bug', status: 500, expected: { error: 'Internal error' } },
  { path: '/metrics', status: 404, expected: { error: 'Not found' } },
  { path: '/api/products', fault: 'status=503', status: 503, expected: { error: 'Status 503 was asked for by x-fault' } },
  { path: '/api/products', method: 'HEAD', fault: 'status=500', status: 500 },
  { path: '/api/products?limit=x', fault: 'status=429', status: 429 },
  { path: '/api/products?limit=1', fault: ' cpu=1 ; delay=1', status: 200, expected: [FIRST] },
  { path: '/echo', method: 'POST', body: 'ahoy', fault: 'delay=0', status: 200, expected: { received: 'ahoy' } },
  ...[
    '',
    'x',
    'status',
    'status=200',
    'status=600',
    'status=503;',
    'status=503;status=503',
    'delay=10001',
    'cpu=1001',
    'cpu=-1',
    'cpu=1.5',
  ].map((fault) => ({ path: '/api/products', fault, status: 400, expected: FAULT_ERROR })),
  { path: '/health', fault: 'status=503', status: 200 },
  { path: '/ready', fault: 'nonsense', status: 200 },
  { path: '/nowhere', fault: 'status=503', status: 404 },
  { path: '/api/products', method: 'POST', fault: 'status=503', status: 405, allow: 'GET, HEAD' },
]

/** What the contract must have counted, by `method endpoint status`. */
const COUNTED = Object.fromEntries(
  [...Map.groupBy(CONTRACT.filter(isCounted), ({ method = 'GET', path, status }) => `${method} ${endpointOf(path)} ${status}`)]
    .map(([key, cases]) => [key, cases.length] as const)
    .toSorted(),
)

function endpointOf(path: string): string {
  const [plain = ''] = path.split('?')
  return ['/api/products', '/echo', '/conflict', '/bug'].includes(plain) ? plain : 'unknown'
}

function isCounted({ path }: Case): boolean {
  return path !== '/health' && path !== '/ready'
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

function startedApp(onError: (error: unknown) => void = () => {}) {
  const app = createApp({ environment: 'test', version: 'v1', pod: 'pod-1', faults: true, routes: ROUTES, onError })
  app.start()
  return app
}

async function checkCase(each: Case, send: (path: string, init: RequestInit) => Promise<Response>): Promise<void> {
  const { path, method = 'GET', body = null, fault } = each
  const response = await send(path, { method, body, headers: fault === undefined ? {} : { 'x-fault': fault } })
  const name = `${method} ${path} ${fault ?? ''}`
  const text = await response.text()
  assert.is(response.status, each.status, `${name}: status`)
  assert.is(response.headers.get('allow') ?? '', each.allow ?? '', `${name}: allow`)
  assert.is(response.headers.get('x-pod'), 'pod-1', `${name}: x-pod`)
  assert.is(response.headers.get('x-version'), 'v1', `${name}: x-version`)
  assert.is(response.headers.get('content-type'), 'application/json; charset=utf-8', `${name}: content-type`)
  assert.ok(Number(response.headers.get('content-length')) > 0, `${name}: content-length`)
  if (method === 'HEAD') assert.is(text, '', `${name}: body`)
  else if (each.expected !== undefined) assert.equal(JSON.parse(text), each.expected, `${name}: body`)
}

test('app.fetch() answers every case of the contract', async () => {
  const app = startedApp()
  for (const each of CONTRACT) await checkCase(each, (path, init) => app.fetch(new Request(`http://test.local${path}`, init)))
  assert.equal(await countsOf(app), COUNTED)
})

test('Express answers every case of the contract on a port', async () => {
  const app = startedApp()
  const server = await serve(app, { host: '127.0.0.1', port: 0 })
  for (const each of CONTRACT) await checkCase(each, (path, init) => fetch(`${server.url}${path}`, init))
  assert.equal(await countsOf(app), COUNTED)
  assert.is(await server.stop(5_000), 0)
})

test('GET /api/products gives three items with id, name and price', async () => {
  const response = await startedApp().fetch(new Request('http://test.local/api/products'))
  const products = (await response.json()) as Record<string, unknown>[]
  assert.equal(products.length, 3)
  for (const product of products) {
    assert.equal(
      Object.entries(product).map(([key, value]) => `${key}:${typeof value}`),
      ['id:number', 'name:string', 'price:number'],
    )
  }
})

test('app.fetch() tells onError about a bug, and not about an HttpError', async () => {
  const errors: unknown[] = []
  const app = startedApp((error) => errors.push(error))
  await app.fetch(new Request('http://test.local/conflict'))
  assert.is(errors.length, 0)
  await app.fetch(new Request('http://test.local/bug'))
  assert.match(String(errors[0]), 'a secret')
})

test('/ready follows start() and drain(), while /health stays healthy', async () => {
  const app = createApp()
  const status = async (path: string) => {
    const response = await app.fetch(new Request(`http://test.local${path}`))
    return [response.status, ((await response.json()) as { status: string }).status]
  }
  assert.equal(await status('/ready'), [503, 'starting'])
  app.start()
  assert.equal(await status('/ready'), [200, 'ready'])
  app.drain()
  assert.equal(await status('/ready'), [503, 'draining'])
  app.start()
  assert.equal(await status('/ready'), [503, 'draining'])
  assert.equal(await status('/health'), [200, 'healthy'])
})

test('the server refuses a body over its bound with 413, declared or streamed', async () => {
  const server = await serve(startedApp(), { host: '127.0.0.1', port: 0, bodyLimitBytes: BODY_LIMIT })
  const post = (body: string | ReadableStream) => fetch(`${server.url}/echo`, { method: 'POST', body, duplex: 'half' } as RequestInit)
  const fits = await post('x'.repeat(BODY_LIMIT))
  assert.is(fits.status, 200)
  assert.is(((await fits.json()) as { received: string }).received.length, BODY_LIMIT)
  for (const body of ['x'.repeat(BODY_LIMIT + 1), new Blob(['x'.repeat(BODY_LIMIT + 1)]).stream()]) {
    const refused = await post(body)
    assert.is(refused.status, 413)
    assert.equal(await refused.json(), { error: 'The body is larger than 1000 bytes' })
  }
  await server.stop(5_000)
})

test('the server answers 400 to what has no Web form, stamped and counted, and lives on', async () => {
  const app = startedApp()
  const server = await serve(app, { host: '127.0.0.1', port: 0 })
  const statusOf = (method: string, path: string) =>
    new Promise<number | undefined>((resolve, reject) => {
      request(server.url, { method, path }, (res) => {
        assert.is(res.headers['x-pod'], 'pod-1')
        resolve(res.resume().statusCode)
      })
        .on('error', reject)
        .end()
    })
  assert.is(await statusOf('OPTIONS', '*'), 400)
  assert.is(await statusOf('TRACE', '/health'), 400)
  assert.is(await statusOf('GET', 'http://elsewhere.test/health'), 200)
  assert.is(await statusOf('GET', '/health'), 200)
  assert.equal(await countsOf(app), { 'OPTIONS unknown 400': 1, 'other unknown 400': 1 })
  await server.stop(5_000)
})

test('a body that nobody reads leaves its connection usable', async () => {
  const server = await serve(startedApp(), { host: '127.0.0.1', port: 0 })
  const socket = connect(new URL(server.url).port as unknown as number, '127.0.0.1')
  const post = `POST /health HTTP/1.1\r\nhost: x\r\ncontent-length: 30000\r\n\r\n${'x'.repeat(30_000)}`
  socket.write(`${post}GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`)
  let received = ''
  for await (const chunk of socket.setEncoding('utf8')) received += chunk
  assert.equal(received.match(/HTTP\/1\.1 \d+/g), ['HTTP/1.1 405', 'HTTP/1.1 200'])
  await server.stop(5_000)
})

test('stop() finishes what is in flight, refuses what is new, and waits for no idle or silent connection', async () => {
  const { app, entered, release } = appWithSlowRoute()
  const server = await serve(app, { host: '127.0.0.1', port: 0 })
  const silent = connect(Number(new URL(server.url).port), '127.0.0.1').on('error', () => {})
  await (await fetch(`${server.url}/health`)).text()
  const slow = fetch(`${server.url}/slow`)
  await entered
  const stopped = server.stop(5_000)
  await sleep(300)
  await assert.rejects(fetch(`${server.url}/health`), /fetch failed/)
  assert.is(server.inFlight, 1)
  release()
  assert.equal(await (await slow).json(), { slow: true })
  const started = Date.now()
  assert.is(await stopped, 0)
  assert.ok(Date.now() - started < 2_000, 'stop() ends soon after the last response')
  silent.destroy()
})

test('stop() cuts what is still in flight at its limit, and says how many', async () => {
  const { app, entered } = appWithSlowRoute()
  const server = await serve(app, { host: '127.0.0.1', port: 0 })
  const slow = assert.rejects(fetch(`${server.url}/slow`), /fetch failed/)
  await entered
  assert.is(await server.stop(100), 1)
  await slow
})

function appWithSlowRoute() {
  const { route, entered, release } = slowRoute()
  const app = createApp({ routes: [route] })
  app.start()
  return { app, entered, release }
}

test.run()
