/** Trace context: which trace a request is in, and that each of its log lines says so. */
import { createApp } from '../../service/app.ts'
import { json, type Route } from '../../service/http.ts'
import { newTrace, traceFrom, traceHeaders } from '../../service/trace.ts'
import { assert, suite } from '../suite.ts'
import { startedApp } from './service-fixture.ts'
import { type Line, startRun } from './service-process.ts'

const test = suite('service trace')

const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736'
const PARENT_ID = '00f067aa0ba902b7'
const ids = (traceId: string, parentId = PARENT_ID, flags = '01') => `00-${traceId}-${parentId}-${flags}`

test('traceFrom() continues what is valid: the trace and whether it is sampled, with a span of its own', () => {
  for (const [traceparent, isSampled] of [
    [ids(TRACE_ID), true],
    [ids(TRACE_ID, PARENT_ID, '00'), false],
    [ids(TRACE_ID, PARENT_ID, '03'), true],
    [ids(TRACE_ID, PARENT_ID, '02'), false],
    [`cc-${TRACE_ID}-${PARENT_ID}-01`, true],
    [`cc-${TRACE_ID}-${PARENT_ID}-01-what-comes-later`, true],
  ] as const) {
    const trace = traceFrom(new Headers({ traceparent }), !isSampled)
    assert.equal({ ...trace, spanId: '' }, { traceId: TRACE_ID, parentSpanId: PARENT_ID, isSampled, spanId: '' }, traceparent)
    assert.match(trace.spanId, /^(?!0{16})[0-9a-f]{16}$/)
    assert.is.not(trace.spanId, PARENT_ID)
  }
})

test('traceFrom() begins a trace where there is none that is valid', () => {
  const invalid = [
    '',
    'nonsense',
    ids('0'.repeat(32)),
    ids(TRACE_ID, '0'.repeat(16)),
    ids(TRACE_ID.toUpperCase()),
    ids(TRACE_ID.slice(1)),
    ids(TRACE_ID, `${PARENT_ID}0`),
    ids(TRACE_ID, PARENT_ID, '1'),
    ids(TRACE_ID, PARENT_ID, '0g'),
    `${ids(TRACE_ID)}-more`,
    `${ids(TRACE_ID)}x`,
    `ff-${TRACE_ID}-${PARENT_ID}-01`,
    `${ids(TRACE_ID)}, ${ids(TRACE_ID)}`,
  ]
  for (const traceparent of invalid) {
    for (const isSampled of [true, false]) {
      const trace = traceFrom(new Headers({ traceparent, tracestate: 'a=b' }), isSampled)
      assert.is.not(trace.traceId, TRACE_ID, traceparent)
      assert.equal(Object.keys(trace).toSorted(), ['isSampled', 'spanId', 'traceId'], traceparent)
      assert.is(trace.isSampled, isSampled)
    }
  }
})

test('newTrace() never gives an id twice', () => {
  const traces = Array.from({ length: 5_000 }, () => newTrace(true))
  assert.is(new Set(traces.flatMap(({ traceId, spanId }) => [traceId, spanId])).size, 10_000)
  for (const { traceId, spanId } of traces) assert.match(`${traceId}-${spanId}`, /^[0-9a-f]{32}-[0-9a-f]{16}$/)
})

test('tracestate is passed on as it came, unless it is longer than 512 characters', () => {
  const stateOf = (tracestate: string) => traceHeaders(traceFrom(new Headers({ traceparent: ids(TRACE_ID), tracestate }), false)).tracestate
  for (const state of ['rojo=00f067aa0ba902b7,congo=t61rcWkgMzE', `a=${'x'.repeat(510)}`]) assert.is(stateOf(state), state)
  assert.is(stateOf(`a=${'x'.repeat(511)}`), undefined)
})

test('a response names its trace, sampled where spans are recorded', async () => {
  const flagsOf = async (isSampled: boolean) => {
    const response = await createApp({ isSampled }).fetch(new Request('http://test.local/health'))
    return /^00-[0-9a-f]{32}-[0-9a-f]{16}-(0[01])$/.exec(response.headers.get('traceparent') ?? '')?.[1]
  }
  assert.equal([await flagsOf(true), await flagsOf(false)], ['01', '00'])
})

test('onExchange() is told of each request but the probes’, with the trace that its response names', async () => {
  const told: string[] = []
  const app = startedApp({ onExchange: ({ method, route, status, trace }) => told.push(`${method} ${route} ${status} ${trace.spanId}`) })
  const spanOf = async (path: string, method = 'GET') => {
    const response = await app.fetch(new Request(`http://test.local${path}`, { method }))
    return response.headers.get('traceparent')?.split('-')[2]
  }
  for (const path of ['/health', '/ready']) await spanOf(path)
  assert.equal(told, [])
  const expected = [
    `HEAD /api/products 200 ${await spanOf('/api/products?limit=1', 'HEAD')}`,
    `GET /bug 500 ${await spanOf('/bug')}`,
    `POST unknown 404 ${await spanOf('/a/secret', 'POST')}`,
  ]
  assert.equal(told, expected)
})

const BROKEN: readonly Route[] = [
  {
    method: 'GET',
    path: '/bug',
    handle() {
      throw new Error('a bug')
    },
  },
  { method: 'GET', path: '/away', handle: () => json({ error: 'away' }, 503) },
  {
    method: 'GET',
    path: '/cut',
    handle: () => new Response(new ReadableStream({ pull: (controller) => controller.error(new Error('cut')) })),
  },
]

/** Asks for each path once, in its own trace. @returns the log lines of each trace */
async function linesOf(logRequests: string, paths: readonly string[]): Promise<Line[][]> {
  const running = startRun({ LOG_REQUESTS: logRequests }, BROKEN)
  const url = await running.url()
  for (const [i, path] of paths.entries()) {
    const headers = { traceparent: ids(`${i + 1}`.repeat(32)) }
    await fetch(`${url}${path}`, { headers })
      .then((response) => response.text())
      .catch(() => {})
  }
  running.signals.emit('SIGTERM')
  await running.code
  return paths.map((_, i) => running.log.filter(({ traceId }) => traceId === `${i + 1}`.repeat(32)))
}

test('every log line about a request carries its trace, and each request but the probes’ has one line', async () => {
  const [fine, health, unknown, bug, away, cut] = await linesOf('on', ['/api/products?limit=1', '/health', '/a?b', '/bug', '/away', '/cut'])
  const brief = (lines: Line[] = []) => lines.map(({ level, message, method, route, status }) => [level, message, method, route, status])
  assert.equal(brief(fine), [['info', 'request', 'GET', '/api/products', 200]])
  assert.equal(brief(health), [])
  assert.equal(brief(unknown), [['info', 'request', 'GET', 'unknown', 404]])
  assert.equal(brief(bug), [
    ['error', 'request failed', 'GET', undefined, undefined],
    ['error', 'request', 'GET', '/bug', 500],
  ])
  assert.equal(brief(away), [['error', 'request', 'GET', '/away', 503]])
  assert.equal(brief(cut), [
    ['info', 'request', 'GET', '/cut', 200],
    ['error', 'response cut', 'GET', undefined, undefined],
  ])
  for (const lines of [bug, cut]) {
    assert.match(String(lines?.[0]?.spanId), /^[0-9a-f]{16}$/)
    assert.is(lines?.[0]?.spanId, lines?.[1]?.spanId, 'both lines are of one span')
  }
  const [line] = fine ?? []
  const ms = Number(line?.ms)
  assert.ok(ms > 0 && ms < 5_000, `${ms} ms`)
  assert.is.not(line?.spanId, PARENT_ID)
})

test('with LOG_REQUESTS=off only what fails is logged', async () => {
  const [fine, unknown, bug, away] = await linesOf('off', ['/api/products', '/a', '/bug', '/away'])
  assert.equal([fine, unknown], [[], []])
  assert.equal(
    [bug, away].map((lines) => lines?.map(({ message }) => message)),
    [['request failed', 'request'], ['request']],
  )
})

test.run()
