/** The faults of a whole pod: how they are switched on the metrics port, what they do, and that they end. */
import { setTimeout as sleep } from 'node:timers/promises'
import { getHeapStatistics } from 'node:v8'
import { type App, createApp } from '../../service/app.ts'
import type { PodFaultState } from '../../service/pod-faults.ts'
import { assert, suite } from '../suite.ts'
import { countsOf, scrape } from './service-fixture.ts'

const test = suite('service faults')

const OFF = { active: {}, expiresAt: null }
const PRODUCTS = 'http://test.local/api/products'
const MIB = 1024 ** 2

async function faults(app: App, method: string, body?: unknown): Promise<{ status: number; body: PodFaultState }> {
  const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body)
  const response = await app.metrics.fetch(new Request('http://test.local/faults', { method, body: text ?? null }))
  return { status: response.status, body: (await response.json()) as PodFaultState }
}

async function switchOn(app: App, set: Record<string, unknown>): Promise<void> {
  assert.is((await faults(app, 'PUT', { forMs: 60_000, ...set })).status, 200)
}

const statusOf = async (app: App, url = PRODUCTS) => (await app.fetch(new Request(url))).status

async function statusesOf(app: App, count: number): Promise<number[]> {
  const statuses = []
  for (let i = 0; i < count; i++) statuses.push(await statusOf(app))
  return statuses
}

/** This process's CPU time as a share of a time, and how often another event had its turn. */
async function measureCpu(forMs: number): Promise<{ share: number; turns: number }> {
  const [before, startedMs] = [process.cpuUsage(), performance.now()]
  let turns = 0
  for (; performance.now() - startedMs < forMs; turns++) await sleep(5)
  const { user, system } = process.cpuUsage(before)
  return { share: (user + system) / 1000 / (performance.now() - startedMs), turns }
}

const failuresOf = (statuses: readonly number[]) => statuses.filter((status) => status === 500).length

test('without faults there is no switchboard, and no metric of one; the service port never has it', async () => {
  const app = createApp()
  for (const method of ['GET', 'DELETE']) assert.is((await faults(app, method)).status, 404)
  assert.is((await faults(app, 'PUT', { forMs: 1_000, crash: true })).status, 404)
  assert.equal(
    [...(await scrape(app)).keys()].filter((name) => name.startsWith('app_fault')),
    [],
  )
  assert.is(await statusOf(createApp({ faults: true }), 'http://test.local/faults'), 404)
})

test('PUT sets what is on and says when it ends, PUT again replaces it, DELETE ends it; each change is told', async () => {
  const told: PodFaultState[] = []
  const app = createApp({ faults: true, onPodFaults: (state) => told.push(state) })
  assert.equal(await faults(app, 'GET'), { status: 200, body: OFF })
  const set = await faults(app, 'PUT', { forMs: 60_000, errorShare: 1, latencyMs: 1 })
  assert.equal(set.body.active, { errorShare: 1, latencyMs: 1 })
  assert.ok(Math.abs(Date.parse(set.body.expiresAt ?? '') - Date.now() - 60_000) < 5_000, `it ends at ${set.body.expiresAt}`)
  assert.equal(await faults(app, 'GET'), { status: 200, body: set.body })
  assert.is(await statusOf(app), 500)
  const other = await faults(app, 'PUT', { forMs: 30_000, latencyMs: 2 })
  assert.equal(other.body.active, { latencyMs: 2 })
  assert.is(await statusOf(app), 200)
  assert.equal(await faults(app, 'DELETE'), { status: 200, body: OFF })
  assert.equal(await faults(app, 'GET'), { status: 200, body: OFF })
  assert.equal(told, [set.body, other.body, OFF])
})

test('faults end by themselves, also when the one before would have ended later', async () => {
  const told: PodFaultState[] = []
  const app = createApp({ faults: true, onPodFaults: (state) => told.push(state) })
  await switchOn(app, { errorShare: 1 })
  await switchOn(app, { errorShare: 1, forMs: 150 })
  assert.is(await statusOf(app), 500)
  await sleep(200)
  assert.equal(told.at(-1), OFF, 'nobody had to ask')
  assert.is(await statusOf(app), 200)
  assert.equal((await faults(app, 'GET')).body, OFF)
})

test('faults end by the clock, also while the event loop is too busy to be told', async () => {
  const app = createApp({ faults: true })
  await switchOn(app, { errorShare: 1, forMs: 50 })
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60)
  assert.is(await statusOf(app), 200)
})

test('faults that were replaced do not end those that replaced them', async () => {
  const app = createApp({ faults: true })
  await switchOn(app, { errorShare: 1, forMs: 100 })
  await switchOn(app, { errorShare: 1, forMs: 5_000 })
  await sleep(200)
  assert.is(await statusOf(app), 500)
})

test('a malformed set is refused with one sentence, and what is on stays on', async () => {
  const app = createApp({ faults: true })
  await switchOn(app, { errorShare: 1 })
  const names = 'errorShare, latencyMs, cpuShare, leakMiBPerS, hang, crash'
  const cases: [unknown, string][] = [
    ['', 'the body must be one JSON object'],
    ['{', 'the body must be one JSON object'],
    [[], 'the body must be one JSON object'],
    ['null', 'the body must be one JSON object'],
    [{ errorShare: 1 }, "'forMs' must be a whole number from 1 to 600000: current value is missing"],
    [{ forMs: 0, hang: true }, "'forMs' must be a whole number from 1 to 600000: current value is 0"],
    [{ forMs: 600_001, hang: true }, "'forMs' must be a whole number from 1 to 600000: current value is 600001"],
    [{ forMs: '1', hang: true }, `'forMs' must be a whole number from 1 to 600000: current value is "1"`],
    [{ forMs: 1 }, `the body must name one or more of ${names}`],
    [{ forMs: 1, errorShare: 1.1 }, "'errorShare' must be a number from 0 to 1: current value is 1.1"],
    [{ forMs: 1, errorShare: -0.1 }, "'errorShare' must be a number from 0 to 1: current value is -0.1"],
    [{ forMs: 1, cpuShare: true }, "'cpuShare' must be a number from 0 to 1: current value is true"],
    [{ forMs: 1, latencyMs: 10_001 }, "'latencyMs' must be a whole number from 0 to 10000: current value is 10001"],
    [{ forMs: 1, latencyMs: 0.5 }, "'latencyMs' must be a whole number from 0 to 10000: current value is 0.5"],
    [{ forMs: 1, leakMiBPerS: 0 }, "'leakMiBPerS' must be a number above 0 and up to 64: current value is 0"],
    [{ forMs: 1, leakMiBPerS: 65 }, "'leakMiBPerS' must be a number above 0 and up to 64: current value is 65"],
    [{ forMs: 1, hang: 1 }, "'hang' must be true: current value is 1"],
    [{ forMs: 1, crash: false }, "'crash' must be true: current value is false"],
    [{ forMs: 1, crush: true }, `'crush' is not one of forMs, ${names}`],
    ['{"forMs":1,"__proto__":{"hang":true}}', `'__proto__' is not one of forMs, ${names}`],
  ]
  for (const [body, why] of cases) {
    assert.equal(await faults(app, 'PUT', body), { status: 400, body: { error: `Cannot set the faults: ${why}` } })
  }
  assert.is((await faults(app, 'POST', {})).status, 405)
  assert.equal((await faults(app, 'GET')).body.active, { errorShare: 1 })
})

test('each field may have its limits', async () => {
  const app = createApp({ faults: true })
  const limits = [{ errorShare: 0 }, { errorShare: 1 }, { latencyMs: 0 }, { latencyMs: 10_000 }, { leakMiBPerS: 64 }, { cpuShare: 1 }]
  for (const set of limits) {
    for (const forMs of [1, 600_000]) assert.is((await faults(app, 'PUT', { forMs, ...set })).status, 200, JSON.stringify(set))
  }
  assert.equal(await faults(app, 'DELETE'), { status: 200, body: OFF })
})

test('a share of errors is exactly that share, evenly spread, counted as 500, and spares the probes', async () => {
  const app = createApp({ faults: true })
  app.start()
  await switchOn(app, { errorShare: 0.25 })
  const quarter = await statusesOf(app, 40)
  for (let i = 0; i + 4 <= quarter.length; i++) assert.is(failuresOf(quarter.slice(i, i + 4)), 1, `requests ${i} to ${i + 3}`)
  assert.equal(await countsOf(app), { 'GET /api/products 200': 30, 'GET /api/products 500': 10 })
  for (const [errorShare, failures] of [
    [0.29, 29],
    [0.07, 7],
    [0, 0],
    [1, 100],
  ] as const) {
    await switchOn(app, { errorShare })
    assert.is(failuresOf(await statusesOf(app, 100)), failures, `${errorShare}`)
  }
  for (const path of ['/health', '/ready']) assert.is(await statusOf(app, `http://test.local${path}`), 200)
  assert.is(await statusOf(app, 'http://test.local/nowhere'), 404)
})

test('latency comes before every answer but the probes’, and a client that has gone ends it', async () => {
  const app = createApp({ faults: true })
  await switchOn(app, { latencyMs: 300, errorShare: 0.5 })
  const startedMs = performance.now()
  assert.equal((await Promise.all([statusOf(app), statusOf(app)])).toSorted(), [200, 500])
  const tookMs = performance.now() - startedMs
  assert.ok(tookMs >= 295 && tookMs < 590, `both wait, side by side: ${tookMs} ms`)
  const samples = await scrape(app)
  assert.is(samples.get('app_request_latency_seconds_bucket{le="0.25",endpoint="/api/products"}'), 0)
  await switchOn(app, { latencyMs: 10_000 })
  const probedMs = performance.now()
  await statusOf(app, 'http://test.local/health')
  await app.fetch(new Request(PRODUCTS, { signal: AbortSignal.timeout(50) }))
  assert.ok(performance.now() - probedMs < 1_000)
})

/** The share of a core that a loop gets which never rests, for so long. */
function availableShare(forMs: number): number {
  const [startMs, start] = [performance.now(), process.cpuUsage()]
  while (performance.now() - startMs < forMs);
  const { user, system } = process.cpuUsage(start)
  return (user + system) / 1000 / (performance.now() - startMs)
}

test('a share of CPU is burnt while everything else has its turn, and no more after the end', async () => {
  const app = createApp({ faults: true })
  try {
    await switchOn(app, { cpuShare: 0.5 })
    const half = await measureCpu(600)
    assert.ok(half.share > 0.1 && half.share < 0.75, `a half: ${half.share}`)
    assert.ok(half.turns > 10, `${half.turns} turns`)
    await switchOn(app, { cpuShare: 1 })
    // Of what there is: a busy machine may not have a whole core to give just now.
    let whole = 0
    for (let tries = 0; tries < 8 && whole < 0.76; tries++) whole = (await measureCpu(400)).share / availableShare(100)
    assert.ok(whole >= 0.76, `the whole: ${whole}`)
  } finally {
    await faults(app, 'DELETE')
  }
  const { share } = await measureCpu(300)
  assert.ok(share < 0.25, `none: ${share}`)
})

test('a leak is resident memory outside the heap, at its rate, and given back at the end', async () => {
  const app = createApp({ faults: true })
  const beforeBytes = process.memoryUsage.rss()
  const heapBytes = getHeapStatistics().used_heap_size
  await switchOn(app, { leakMiBPerS: 64 })
  await sleep(1_050)
  const leakedMiB = (process.memoryUsage.rss() - beforeBytes) / MIB
  assert.ok(leakedMiB > 50 && leakedMiB < 100, `leaked ${leakedMiB} MiB`)
  assert.ok(getHeapStatistics().used_heap_size - heapBytes < 10 * MIB)
  await faults(app, 'DELETE')
  const leftMiB = (process.memoryUsage.rss() - beforeBytes) / MIB
  assert.ok(leftMiB < 20, `${leftMiB} MiB are left`)
  await switchOn(app, { leakMiBPerS: 64, forMs: 400 })
  await sleep(700)
  const expiredMiB = (process.memoryUsage.rss() - beforeBytes) / MIB
  assert.ok(expiredMiB < 20, `${expiredMiB} MiB are left after it has expired`)
})

test('the metrics say which fault is on', async () => {
  const app = createApp({ faults: true })
  const active = async () =>
    [...(await scrape(app))].flatMap(([name, value]) => (name.startsWith('app_fault_active') && value === 1 ? [name] : []))
  assert.is((await scrape(app)).get('app_fault_active{fault="errorShare"}'), 0)
  assert.equal(await active(), [])
  await switchOn(app, { errorShare: 0, latencyMs: 1 })
  assert.equal(await active(), ['app_fault_active{fault="errorShare"}', 'app_fault_active{fault="latencyMs"}'])
  await faults(app, 'DELETE')
  assert.equal(await active(), [])
})

test('probes, scrapes and switches are not requests; what is wrong is one, under its status', async () => {
  const app = createApp({ faults: true })
  await switchOn(app, { latencyMs: 0 })
  await faults(app, 'PUT', 'nonsense')
  await faults(app, 'GET')
  await faults(app, 'DELETE')
  await scrape(app)
  for (const path of ['/health', '/ready']) await app.fetch(new Request(`http://test.local${path}`))
  assert.equal(await countsOf(app), {})
  await app.fetch(new Request(PRODUCTS, { method: 'DELETE' }))
  await app.fetch(new Request(`${PRODUCTS}?limit=x`))
  await app.fetch(new Request('http://test.local/faults', { method: 'PUT', body: '{}' }))
  assert.equal(await countsOf(app), { 'DELETE /api/products 405': 1, 'GET /api/products 400': 1, 'PUT unknown 404': 1 })
})

test.run()
