/** The service: its routes beside the contract, and how its server treats bodies and stops. */
import { request } from 'node:http'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { createApp } from '../../service/app.ts'
import type { Log } from '../../service/log.ts'
import { serve } from '../../service/server.ts'
import { assert, suite } from '../suite.ts'
import { countsOf, slowRoute, startedApp } from './service-fixture.ts'

const test = suite('service')

const BODY_LIMIT = 1_000

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
  const app = startedApp({ onError: (error) => errors.push(error) })
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

test('a response that breaks off is logged, one that its client gave up is not', async () => {
  const said: string[] = []
  const log: Log = (level, message, { path } = {}) => said.push(`${level}: ${message} ${path}`)
  const chunk = new Uint8Array(65_536)
  const endless = () => new ReadableStream({ pull: (controller) => controller.enqueue(chunk) })
  let left = 3
  const breaking = () =>
    new ReadableStream({ pull: (controller) => (left-- > 0 ? controller.enqueue(chunk) : controller.error(new Error('broken'))) })
  const routes = [
    { method: 'GET', path: '/endless', handle: () => new Response(endless()) },
    { method: 'GET', path: '/breaking', handle: () => new Response(breaking()) },
  ] as const
  const server = await serve(createApp({ routes }), { host: '127.0.0.1', port: 0, log })
  await (await fetch(`${server.url}/endless`)).body?.cancel()
  await assert.rejects(
    fetch(`${server.url}/breaking`).then((response) => response.text()),
    /terminated/,
  )
  assert.is(await server.stop(5_000), 0)
  assert.equal(said, ['error: response cut /breaking'])
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
