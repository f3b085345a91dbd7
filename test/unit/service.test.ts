/** The service: one table of cases for the bare handler and for Express, then a drain and the process itself. */
import { type ChildProcess, spawn } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { request } from 'node:http'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createApp } from '../../service/app.ts'
import { HttpError, json, type Route } from '../../service/http.ts'
import { run } from '../../service/run.ts'
import { serve } from '../../service/server.ts'
import { readSettings } from '../../service/settings.ts'
import { assert, suite } from '../suite.ts'

const test = suite('service')

interface Case {
  readonly path: string
  /** @default 'GET' */
  readonly method?: string
  readonly body?: string
  readonly status: number
  readonly expected?: unknown
  /** @default '' */
  readonly allow?: string
}

const BODY_LIMIT = 1_000
const LIMIT_ERROR = { error: "Parameter 'limit' must be one whole number from 1 to 100" }
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
]

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
  const app = createApp({ environment: 'test', version: 'v1', pod: 'pod-1', routes: ROUTES, onError })
  app.start()
  return app
}

async function checkCase(each: Case, send: (path: string, init: RequestInit) => Promise<Response>): Promise<void> {
  const { path, method = 'GET', body } = each
  const response = await send(path, body === undefined ? { method } : { method, body })
  const name = `${method} ${path}`
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
})

test('Express answers every case of the contract on a port', async () => {
  const server = await serve(startedApp(), { host: '127.0.0.1', port: 0 })
  for (const each of CONTRACT) await checkCase(each, (path, init) => fetch(`${server.url}${path}`, init))
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

test('the server answers 400 to what has no Web form, and lives on', async () => {
  const server = await serve(startedApp(), { host: '127.0.0.1', port: 0 })
  const statusOf = (method: string, path: string) =>
    new Promise<number | undefined>((resolve, reject) => {
      request(server.url, { method, path }, (res) => resolve(res.resume().statusCode))
        .on('error', reject)
        .end()
    })
  assert.is(await statusOf('OPTIONS', '*'), 400)
  assert.is(await statusOf('TRACE', '/health'), 400)
  assert.is(await statusOf('GET', 'http://elsewhere.test/health'), 200)
  assert.is(await statusOf('GET', '/health'), 200)
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

test('run() drains on SIGTERM: not ready but serving, then the slow request finishes, then 0', async () => {
  const { route, entered, release } = slowRoute()
  const running = startRun({ PORT: '0', DRAIN_MS: '600' }, [route])
  const url = await running.url()
  const slow = fetch(`${url}/slow`)
  await entered
  assert.is((await fetch(`${url}/ready`)).status, 200)
  running.signals.emit('SIGTERM')
  await sleep(50)
  const ready = await fetch(`${url}/ready`)
  assert.is(ready.status, 503)
  assert.is(ready.headers.get('connection'), 'close')
  assert.is((await fetch(`${url}/api/products`)).status, 200)
  await sleep(800)
  await assert.rejects(fetch(`${url}/health`), /fetch failed/)
  running.signals.emit('SIGTERM')
  release()
  assert.is((await slow).status, 200)
  assert.is(await running.code, 0)
  assert.equal(running.messages(), ['listening', 'draining', 'stopped'])
})

test('run() gives 1 and a log line when it has to cut a request', async () => {
  const { route, entered } = slowRoute()
  const running = startRun({ PORT: '0', STOP_MS: '100' }, [route])
  const slow = assert.rejects(fetch(`${await running.url()}/slow`), /fetch failed/)
  await entered
  running.signals.emit('SIGINT')
  assert.is(await running.code, 1)
  assert.is(running.messages().at(-1), 'stopped at the limit: requests in flight were cut')
  await slow
})

test('run() says in one sentence that its port is taken, and gives 1', async () => {
  const server = await serve(startedApp(), { host: '127.0.0.1', port: 0 })
  const { port } = new URL(server.url)
  const running = startRun({ PORT: port }, [])
  assert.is(await running.code, 1)
  assert.equal(running.stderr, [
    `Cannot start the service: listen EADDRINUSE: address already in use 127.0.0.1:${port}. Set PORT to a free port\n`,
  ])
  await server.stop(1_000)
})

test('readSettings() has defaults for a laptop: loopback, 8080, no drain delay', () => {
  const expected = { host: '127.0.0.1', port: 8080, environment: 'development', version: 'unknown', pod: 'local', drainMs: 0, stopMs: 8000 }
  assert.equal(readSettings({}), expected)
  assert.equal(readSettings({ PORT: '', ENV: '' }), expected)
})

test('readSettings() refuses each malformed variable with its name, value and what was expected', () => {
  const cases: [Record<string, string>, string][] = [
    [{ PORT: 'abc' }, 'PORT is "abc", expected a whole number from 0 to 65535'],
    [{ PORT: '65536' }, 'PORT is "65536", expected a whole number from 0 to 65535'],
    [{ PORT: '-1' }, 'PORT is "-1", expected a whole number from 0 to 65535'],
    [{ DRAIN_MS: '1.5' }, 'DRAIN_MS is "1.5", expected a whole number from 0 to 20000'],
    [{ STOP_MS: '9001' }, 'STOP_MS is "9001", expected a whole number from 0 to 9000'],
    [{ VERSION: 'a\nb' }, 'VERSION is "a\\nb", expected 1 to 128 ASCII characters without spaces'],
    [{ HOST: ' ' }, 'HOST is " ", expected 1 to 128 ASCII characters without spaces'],
  ]
  for (const [env, message] of cases) {
    assert.throws(
      () => readSettings(env),
      (error: Error) => error.message === `Cannot start the service: ${message}`,
    )
  }
})

test(
  'main.ts ends with 2 and one sentence on a malformed variable, and with 0 on SIGTERM',
  async () => {
    const bad = startMain({ PORT: 'abc' })
    assert.equal(await bad.ended, [2, null])
    assert.is(bad.output(), 'Cannot start the service: PORT is "abc", expected a whole number from 0 to 65535\n')
    const good = startMain({ PORT: '0' })
    await once(good.child.stdout as NodeJS.EventEmitter, 'data')
    good.child.kill('SIGTERM')
    assert.equal(await good.ended, [0, null])
    const lines = good.output().trim().split('\n')
    assert.equal(
      lines.map((line) => JSON.parse(line).message),
      ['listening', 'draining', 'stopped'],
    )
  },
  { timeoutMs: 60_000 },
)

/** A route that answers once it is released. */
function slowRoute() {
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

function appWithSlowRoute() {
  const { route, entered, release } = slowRoute()
  const app = createApp({ routes: [route] })
  app.start()
  return { app, entered, release }
}

function startRun(env: Record<string, string>, routes: readonly Route[]) {
  const signals = new EventEmitter()
  const lines = new EventEmitter()
  const stdout: { message: string; url?: string }[] = []
  const stderr: string[] = []
  const listening = once(lines, 'line')
  const keep = (line: string) => {
    stdout.push(JSON.parse(line))
    lines.emit('line')
  }
  return {
    signals,
    stderr,
    code: run({ env, signals, routes, stdout: keep, stderr: (line) => stderr.push(line) }),
    messages: () => stdout.map((line) => line.message),
    url: async () => {
      await listening
      return stdout[0]?.url ?? ''
    },
  }
}

function startMain(env: Record<string, string>): { child: ChildProcess; ended: Promise<unknown[]>; output: () => string } {
  const main = fileURLToPath(new URL('../../service/main.ts', import.meta.url))
  const child = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), main], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
  return { child, ended: once(child, 'close'), output: () => output }
}

test.run()
