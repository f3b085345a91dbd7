/**
 * One table of cases for the bare handler, for Express on a port, and for Elysia, where `.mount()` takes the handler as it
 * is. Elysia strips a mount's prefix, also one that `new Elysia({ prefix })` adds; inside `.group()` it does not (1.4).
 */
import { Elysia } from 'elysia'
import { serve } from '../../service/server.ts'
import { assert, suite } from '../suite.ts'
import { countsOf, startedApp } from './service-fixture.ts'

const test = suite('service contract')

interface Case {
  readonly path: string
  /** @default 'GET' */
  readonly method?: string
  readonly body?: string
  /** Its header `x-fault`. */
  readonly fault?: string
  /** Its header `traceparent`. */
  readonly traceparent?: string
  readonly status: number
  readonly expected?: unknown
  /** @default '' */
  readonly allow?: string
  /** The trace that is continued. @default a new one */
  readonly traceId?: string
}

const LIMIT_ERROR = { error: "Parameter 'limit' must be one whole number from 1 to 100" }
const FAULT_ERROR = { error: "Header x-fault must be one or more of status=400..599, delay=0..10000, cpu=0..1000, joined by ';'" }
const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736'
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
  // A query is decoded; a path is not, so that one route has one name.
  { path: '/api/products?limit=%31', status: 200, expected: [FIRST] },
  { path: '/%61pi/products', status: 404, expected: { error: 'Not found' } },
  { path: '/api%2Fproducts', status: 404, expected: { error: 'Not found' } },
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
  { path: '/echo', method: 'POST', body: '', status: 200, expected: { received: '' } },
  { path: '/echo', method: 'POST', body: 'ä€', status: 200, expected: { received: 'ä€' } },
  { path: '/echo', method: 'PUT', body: 'x', status: 405, expected: { error: 'Method PUT is not allowed: use POST' }, allow: 'POST' },
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
  { path: '/health', traceparent: `00-${TRACE_ID}-00f067aa0ba902b7-01`, status: 200, traceId: TRACE_ID },
  { path: '/nowhere', traceparent: `00-${TRACE_ID}-00f067aa0ba902b7-00`, status: 404, traceId: TRACE_ID },
  { path: '/bug', traceparent: `00-${TRACE_ID}-00f067aa0ba902b7-01`, status: 500, traceId: TRACE_ID },
  { path: '/api/products', traceparent: `00-${TRACE_ID}-0000000000000000-01`, status: 200 },
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

type Send = (path: string, init: RequestInit) => Promise<Response>

async function checkCase(each: Case, send: Send): Promise<Record<string, unknown>> {
  const { path, method = 'GET', body = null } = each
  const response = await send(path, { method, body, headers: headersOf(each) })
  const name = `${method} ${path} ${each.fault ?? each.traceparent ?? ''}`
  const text = await response.text()
  assert.is(response.status, each.status, `${name}: status`)
  assert.is(response.headers.get('allow') ?? '', each.allow ?? '', `${name}: allow`)
  assert.is(response.headers.get('x-pod'), 'pod-1', `${name}: x-pod`)
  assert.is(response.headers.get('x-version'), 'v1', `${name}: x-version`)
  assert.is(response.headers.get('content-type'), 'application/json; charset=utf-8', `${name}: content-type`)
  assert.ok(Number(response.headers.get('content-length')) > 0, `${name}: content-length`)
  if (method === 'HEAD') assert.is(text, '', `${name}: body`)
  else if (each.expected !== undefined) assert.equal(JSON.parse(text), each.expected, `${name}: body`)
  checkTrace(name, each, response.headers.get('traceparent'))
  return { name, status: response.status, text, ...comparable(response.headers) }
}

function headersOf({ fault, traceparent }: Case): Record<string, string> {
  return { ...(fault === undefined ? {} : { 'x-fault': fault }), ...(traceparent === undefined ? {} : { traceparent }) }
}

function checkTrace(name: string, { traceId, traceparent = '' }: Case, answered: string | null): void {
  const [, ownTraceId = '', spanId = ''] = /^00-([0-9a-f]{32})-([0-9a-f]{16})-0[01]$/.exec(answered ?? '') ?? []
  assert.is(ownTraceId === TRACE_ID, traceId !== undefined, `${name}: trace ${answered}`)
  assert.is.not(spanId, '', `${name}: span ${answered}`)
  assert.not.ok(traceparent.includes(spanId), `${name}: a span of its own`)
}

/** What must not depend on who serves the handler. */
function comparable(headers: Headers): Record<string, string> {
  const own = ['allow', 'cache-control', 'content-length', 'content-type', 'x-pod', 'x-version']
  return Object.fromEntries([...headers].filter(([name]) => own.includes(name)))
}

async function checkAll(send: Send): Promise<Record<string, unknown>[]> {
  const answers = []
  for (const each of CONTRACT) answers.push(await checkCase(each, send))
  return answers
}

/** What the bare handler answers, which every other way of serving it must answer too. */
const bare = startedApp()
const expectedAnswers = await checkAll((path, init) => bare.fetch(new Request(`http://test.local${path}`, init)))

test('app.fetch() answers every case of the contract', async () => {
  assert.is(expectedAnswers.length, CONTRACT.length)
  assert.equal(await countsOf(bare), COUNTED)
})

test('Express answers every case of the contract on a port', async () => {
  const app = startedApp()
  const server = await serve(app, { host: '127.0.0.1', port: 0 })
  assert.equal(await checkAll((path, init) => fetch(`${server.url}${path}`, init)), expectedAnswers)
  assert.equal(await countsOf(app), COUNTED)
  assert.is(await server.stop(5_000), 0)
})

test('Elysia answers every case of the contract, mounted with app.fetch as it is', async () => {
  const app = startedApp()
  const elysia = new Elysia().mount(app.fetch)
  assert.equal(await checkAll((path, init) => elysia.handle(new Request(`http://test.local${path}`, init))), expectedAnswers)
  assert.equal(await countsOf(app), COUNTED)
})

test('Elysia answers every case of the contract below a prefix, and its own routes beside it', async () => {
  const app = startedApp()
  const elysia = new Elysia({ prefix: '/v1' }).get('/home', () => 'home').mount('/shop', app.fetch)
  const send = (path: string, init?: RequestInit) => elysia.handle(new Request(`http://test.local${path}`, init))
  assert.equal(await checkAll((path, init) => send(`/v1/shop${path}`, init)), expectedAnswers)
  assert.is(await (await send('/v1/home')).text(), 'home')
  assert.is((await send('/health')).headers.get('x-pod'), null)
  assert.equal(await countsOf(app), COUNTED)
})

test.run()
