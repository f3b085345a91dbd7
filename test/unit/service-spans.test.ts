/** Spans over OTLP, to a real receiver on this machine; and that nothing of the SDK is there without one. */
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import { registerHooks } from 'node:module'
import type { AddressInfo } from 'node:net'
import { json as readJson } from 'node:stream/consumers'
import { assert, suite } from '../suite.ts'
import { slowRoute } from './service-fixture.ts'
import { startMain, startRun } from './service-process.ts'

const test = suite('service spans')

interface Attribute {
  readonly key: string
  readonly value: { readonly stringValue?: string; readonly intValue?: number }
}

interface OtlpSpan {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly traceState?: string
  readonly name: string
  readonly kind: number
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly attributes: readonly Attribute[]
  readonly status: { readonly code: number }
}

interface Batch {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly Attribute[] }
    readonly scopeSpans: readonly { readonly spans: readonly OtlpSpan[] }[]
  }[]
}

const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736'
const PARENT_ID = '00f067aa0ba902b7'
const SERVER_KIND = 2
const ERROR_STATUS = 2

/** Keeps what comes; answers with `status`, or never. */
async function startReceiver(status?: number) {
  const batches: { path: string | undefined; headers: IncomingMessage['headers']; batch: Batch }[] = []
  const server = createServer(async (req, res) => {
    batches.push({ path: req.url, headers: req.headers, batch: (await readJson(req)) as Batch })
    if (status !== undefined) res.writeHead(status, { 'content-type': 'application/json' }).end('{}')
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    batches,
    spans: () => batches.flatMap(({ batch }) => batch.resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans))),
    resource: () => valuesOf(batches[0]?.batch.resourceSpans[0]?.resource.attributes ?? []),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((done) => server.close(done))
    },
  }
}

function valuesOf(attributes: readonly Attribute[]): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, value.stringValue ?? value.intValue]))
}

// How long the exporter tries, which is longer than a process waits for it at its end.
process.env.OTEL_EXPORTER_OTLP_TIMEOUT = '1000'

const loaded: string[] = []
registerHooks({
  load(url, context, next) {
    loaded.push(url)
    return next(url, context)
  },
})
const isSdkLoaded = () => loaded.some((url) => url.includes('@opentelemetry/sdk-trace'))

test('without an address nothing of the SDK is loaded; with one it is', async () => {
  for (const [env, isLoaded] of [
    [{}, false],
    [{ OTEL_SERVICE_NAME: 'shop' }, false],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' }, true],
  ] as const) {
    const running = startRun(env)
    await running.url()
    running.signals.emit('SIGTERM')
    assert.is(await running.code, 0)
    assert.is(isSdkLoaded(), isLoaded, JSON.stringify(env))
  }
})

test('a span of each request but the probes’ arrives by the end of the drain, under the trace that it was told', async () => {
  await using receiver = await startReceiver(200)
  const { route, entered, release } = slowRoute()
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, ENV: 'test', VERSION: 'v1', HOSTNAME: 'pod-1', FAULTS: 'on' }
  const running = startRun(env, [route])
  const url = await running.url()
  const traceparent = `00-${TRACE_ID}-${PARENT_ID}-01`
  const slow = fetch(`${url}/slow`)
  await entered
  const continued = await fetch(`${url}/api/products?limit=1`, { headers: { traceparent, tracestate: 'rojo=1', 'x-fault': 'delay=50' } })
  const begun = await fetch(`${url}/api/products`, { headers: { 'x-fault': 'status=503' } })
  assert.match(begun.headers.get('traceparent') ?? '', /-01$/)
  await fetch(`${url}/a/secret`)
  await fetch(`${url}/health`)
  await fetch(`${url}/api/products`, { headers: { traceparent: `00-${TRACE_ID}-${PARENT_ID}-00` } })
  running.signals.emit('SIGTERM')
  release()
  await slow
  assert.is(await running.code, 0)

  assert.equal(
    receiver.batches.map(({ path, headers }) => [path, headers['content-type']]),
    [['/v1/traces', 'application/json']],
  )
  const about = { 'service.name': 'service', 'service.version': 'v1', 'service.instance.id': 'pod-1' }
  assert.equal(receiver.resource(), { ...about, 'deployment.environment.name': 'test' })
  const spans = receiver.spans()
  // Without the one that its caller does not record.
  assert.equal(
    spans.map(({ name, status }) => [name, status.code === ERROR_STATUS]),
    [
      ['GET /api/products', false],
      ['GET /api/products', true],
      ['GET', false],
      ['GET /slow', false],
    ],
  )
  checkSpans(spans, continued.headers.get('traceparent'))
})

function checkSpans([first, second, third]: readonly OtlpSpan[], traceparent: string | null): void {
  assert.is(`00-${first?.traceId}-${first?.spanId}-01`, traceparent)
  assert.equal([first?.traceId, first?.parentSpanId, first?.traceState, first?.kind], [TRACE_ID, PARENT_ID, 'rojo=1', SERVER_KIND])
  assert.is(second?.parentSpanId, undefined)
  const tookMs = Number(BigInt(first?.endTimeUnixNano ?? 0) - BigInt(first?.startTimeUnixNano ?? 0)) / 1e6
  assert.ok(tookMs >= 45 && tookMs < 2_000, `${tookMs} ms`)
  assert.ok(Math.abs(Number(first?.startTimeUnixNano) / 1e6 - Date.now()) < 10_000)
  const request = { 'http.request.method': 'GET', 'http.route': '/api/products' }
  assert.equal(valuesOf(first?.attributes ?? []), { ...request, 'http.response.status_code': 200 })
  assert.equal(valuesOf(second?.attributes ?? []), { ...request, 'http.response.status_code': 503, 'error.type': '503' })
  assert.equal(valuesOf(third?.attributes ?? []), { 'http.request.method': 'GET', 'http.response.status_code': 404 })
}

test('the variables that OpenTelemetry names are heeded: names, headers, the address of traces alone', async () => {
  await using receiver = await startReceiver(200)
  const main = startMain({
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${receiver.url}/own`,
    OTEL_EXPORTER_OTLP_HEADERS: 'x-team=deck',
    OTEL_RESOURCE_ATTRIBUTES: 'team=deck',
    OTEL_SERVICE_NAME: 'shop',
  })
  const { url } = await main.listening
  await fetch(`${url}/api/products`)
  main.child.kill('SIGTERM')
  assert.equal(await main.ended, [0, null])
  assert.equal(
    receiver.batches.map(({ path, headers }) => [path, headers['x-team']]),
    [['/own', 'deck']],
  )
  assert.equal([receiver.resource()['service.name'], receiver.resource().team], ['shop', 'deck'])
})

test('a receiver that refuses or does not answer costs no request, and the end not more than its limit', async () => {
  for (const [status, said] of [
    [400, ['spans do not arrive', 'spans were lost at the end']],
    [undefined, ['spans were lost at the end']],
  ] as const) {
    await using receiver = await startReceiver(status)
    const running = startRun({ OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url })
    const url = await running.url()
    for (let i = 0; i < 3; i++) assert.is((await fetch(`${url}/api/products`)).status, 200)
    const signalledMs = performance.now()
    running.signals.emit('SIGTERM')
    assert.is(await running.code, 0)
    assert.ok(performance.now() - signalledMs < 2_000, `${performance.now() - signalledMs} ms`)
    assert.is(receiver.batches.length, 1)
    assert.equal(
      running.log.filter(({ level }) => level === 'warn').map(({ message }) => message),
      said,
    )
  }
})

test.run()
