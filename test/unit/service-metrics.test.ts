/** What the service counts and times, and the faults that requests ask for. */
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import { createApp } from '../../service/app.ts'
import { json, type Route } from '../../service/http.ts'
import { serve } from '../../service/server.ts'
import { assert, suite } from '../suite.ts'
import { countsOf, scrape } from './service-fixture.ts'

const test = suite('service metrics')

const PRODUCTS = '/api/products'

/** Asks for a path with a fault. */
function faulted(fault: string, { path = PRODUCTS, signal }: { path?: string; signal?: AbortSignal } = {}): Request {
  return new Request(`http://test.local${path}`, { headers: { 'x-fault': fault }, ...(signal === undefined ? {} : { signal }) })
}

/** How many requests to an endpoint took at most that long. */
const bucket = (seconds: string, endpoint = PRODUCTS) => `app_request_latency_seconds_bucket{le="${seconds}",endpoint="${endpoint}"}`

test('every series that is likely is there at 0 from the start', async () => {
  const samples = await scrape(createApp())
  const requests = (method: string, endpoint: string, status: number) =>
    samples.get(`app_requests_total{method="${method}",endpoint="${endpoint}",status="${status}"}`)
  for (const status of [200, 400, 500, 503]) assert.is(requests('GET', PRODUCTS, status), 0, `GET ${status}`)
  for (const method of ['POST', 'DELETE', 'other']) assert.is(requests(method, PRODUCTS, 405), 0, `${method} 405`)
  assert.is(requests('GET', 'unknown', 404), 0)
  for (const le of ['0.05', '0.1', '0.25', '0.5', '1', '2.5', '5', '+Inf']) assert.is(samples.get(bucket(le)), 0, le)
  assert.is(samples.get('app_request_latency_seconds_count{endpoint="unknown"}'), 0)
})

test('the metrics have their own handler: nothing else is there, a scrape is not counted, the content type is Prometheus’s', async () => {
  const app = createApp({ pod: 'pod-1', version: 'v1' })
  const ask = (path: string, method = 'GET') => app.metrics.fetch(new Request(`http://test.local${path}`, { method }))
  const response = await ask('/metrics')
  assert.is(response.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8')
  assert.is(response.headers.get('x-pod'), 'pod-1')
  assert.is(response.headers.get('x-version'), 'v1')
  assert.is((await ask('/metrics', 'POST')).status, 405)
  assert.is((await ask(PRODUCTS)).status, 404)
  assert.equal(await countsOf(app), {})
})

test('paths and methods of clients make no series of their own', async () => {
  const app = createApp()
  const before = (await scrape(app)).size
  for (let i = 0; i < 20; i++) await app.fetch(new Request(`http://test.local/nowhere/${i}?x=${i}`, { method: `M${i}` }))
  assert.is((await scrape(app)).size, before)
  assert.equal(await countsOf(app), { 'other unknown 404': 20 })
})

test('two apps in one process share no count', async () => {
  const [one, other] = [createApp(), createApp()]
  await one.fetch(new Request(`http://test.local${PRODUCTS}`))
  assert.equal(await countsOf(one), { 'GET /api/products 200': 1 })
  assert.equal(await countsOf(other), {})
})

test('the process is told by its standard names', async () => {
  const samples = await scrape(createApp())
  const read = (name: string) => samples.get(name) ?? Number.NaN
  const { user, system } = process.cpuUsage()
  assert.ok(Math.abs(read('process_cpu_seconds_total') - (user + system) / 1e6) < 1)
  assert.ok(read('process_resident_memory_bytes') > 10e6)
  assert.ok(Math.abs(read('process_start_time_seconds') - (Date.now() / 1000 - process.uptime())) < 2)
})

test('a request of a known delay lands in its own bucket while others run', async () => {
  const app = createApp({ faults: true })
  const slow = [app.fetch(faulted('delay=1200')), app.fetch(faulted('delay=700'))]
  // Half way: a start that they shared would make the slow ones quick.
  await sleep(400)
  const quick = Array.from({ length: 50 }, () => app.fetch(new Request(`http://test.local${PRODUCTS}`)))
  for (const each of await Promise.all([...slow, ...quick])) assert.is(each.status, 200)
  const samples = await scrape(app)
  assert.is(samples.get(bucket('0.5')), 50)
  assert.is(samples.get(bucket('1')), 51)
  assert.is(samples.get(bucket('2.5')), 52)
  const sumS = samples.get(`app_request_latency_seconds_sum{endpoint="${PRODUCTS}"}`) ?? Number.NaN
  assert.ok(sumS > 1.89 && sumS < 28, `the sum is ${sumS} s`)
})

test('without faults switched on the header is ignored, malformed or not', async () => {
  const app = createApp()
  for (const fault of ['status=503', 'nonsense']) assert.is((await app.fetch(faulted(fault))).status, 200)
  assert.equal(await countsOf(app), { 'GET /api/products 200': 2 })
})

test('a fault of CPU burns that much of it, and is in the measured time', async () => {
  const app = createApp({ faults: true })
  const before = process.cpuUsage()
  await app.fetch(faulted('cpu=300'))
  const { user, system } = process.cpuUsage(before)
  assert.ok((user + system) / 1000 >= 300, 'at least what was asked for')
  assert.ok((user + system) / 1000 < 600, 'and not much more')
  assert.is((await scrape(app)).get(bucket('0.25')), 0)
})

test('while requests burn CPU, every other event has its turn after a slice of one of them', async () => {
  const app = createApp({ faults: true })
  const burning = Promise.all(Array.from({ length: 10 }, () => app.fetch(faulted('cpu=50'))))
  let isBurning = true
  let turns = 0
  const counting = (async () => {
    for (; isBurning; turns++) await turn()
  })()
  await burning
  isBurning = false
  await counting
  // 500 ms in slices of 5 ms, or of 10 ms where the clock is coarse; with a slice of each request at once there are 10 turns.
  assert.ok(turns >= 40, `${turns} turns`)
})

test('a client that has gone ends its faults', async () => {
  const app = createApp({ faults: true })
  const signal = AbortSignal.timeout(50)
  const startedMs = performance.now()
  const faults = ['delay=10000', 'cpu=1000', 'cpu=1000', 'cpu=1000', 'cpu=1000', 'cpu=1000']
  await Promise.all(faults.map((fault) => app.fetch(faulted(fault, { signal }))))
  assert.ok(performance.now() - startedMs < 1_000)
})

test('a server does not wait for a delay that its client gave up', async () => {
  const server = await serve(createApp({ faults: true }), { host: '127.0.0.1', port: 0 })
  const impatient = fetch(`${server.url}${PRODUCTS}`, { headers: { 'x-fault': 'delay=10000' }, signal: AbortSignal.timeout(100) })
  await assert.rejects(impatient, /timeout/)
  assert.is((await fetch(`${server.url}${PRODUCTS}`)).status, 200)
  assert.is(await server.stop(2_000), 0)
})

test('a route that throws under a fault keeps its own status', async () => {
  const broken: Route = {
    method: 'GET',
    path: '/broken',
    handle: () => {
      throw new Error('a bug')
    },
  }
  const fine: Route = { method: 'GET', path: '/fine', handle: () => json({}) }
  const app = createApp({ faults: true, routes: [broken, fine] })
  assert.is((await app.fetch(faulted('delay=1', { path: '/broken' }))).status, 500)
  assert.is((await app.fetch(faulted('status=404', { path: '/fine' }))).status, 404)
  assert.equal(await countsOf(app), { 'GET /broken 500': 1, 'GET /fine 404': 1 })
})

test.run()
