/** The service's process: its settings, its drain, its exit codes. */
import { pending, ready, waitFor } from '#kit/wait'
import { createApp } from '../../service/app.ts'
import { serve } from '../../service/server.ts'
import { readSettings } from '../../service/settings.ts'
import { assert, suite } from '../suite.ts'
import { slowRoute } from './service-fixture.ts'
import { startMain, startRun } from './service-process.ts'

const test = suite('service run')

test('run() drains on SIGTERM: not ready but serving, then the slow request finishes, the metrics and the probes close, and 0', async ({
  signal,
}) => {
  const { route, entered, release } = slowRoute()
  const running = startRun({ DRAIN_MS: '2000' }, [route])
  const url = await running.url()
  const slow = fetch(`${url}/slow`)
  await entered
  assert.is((await fetch(`${url}/ready`)).status, 200)
  const probe = async (path: string) => (await fetch(`${await running.probes()}${path}`)).status
  assert.is(await probe('/ready'), 200)
  running.signals.emit('SIGTERM')
  const begun = async () => (running.messages().includes('draining') ? ready(undefined) : pending('it has not begun'))
  await waitFor('the drain', begun, { timeoutMs: 5_000, everyMs: 1, signal })
  // Before the next heartbeat.
  assert.is(await probe('/ready'), 503)
  const refused = await fetch(`${url}/ready`)
  assert.is(refused.status, 503)
  assert.is(refused.headers.get('connection'), 'close')
  assert.is((await fetch(`${url}/api/products`)).status, 200)
  const look = async () =>
    fetch(`${url}/health`).then(
      () => pending('it answers'),
      (thrown: Error) => ready(thrown.message),
    )
  assert.is(await waitFor('the port to close', look, { timeoutMs: 8_000, everyMs: 50, signal }), 'fetch failed')
  assert.equal([await probe('/ready'), await probe('/health')], [503, 200], 'the probes answer as long as anything does')
  assert.match(
    await (await fetch(`${await running.metrics()}/metrics`)).text(),
    'app_requests_total{method="GET",endpoint="/api/products",status="200"} 1',
  )
  running.signals.emit('SIGTERM')
  release()
  assert.is((await slow).status, 200)
  assert.is(await running.code, 0)
  await assert.rejects(fetch(`${await running.metrics()}/metrics`), /fetch failed/)
  await assert.rejects(probe('/health'), /fetch failed/)
  assert.equal(running.messages(), ['listening', 'draining', 'stopped'])
})

test('run() gives 1 and a log line when it has to cut a request', async () => {
  const { route, entered } = slowRoute()
  const running = startRun({ STOP_MS: '100' }, [route])
  const slow = assert.rejects(fetch(`${await running.url()}/slow`), /fetch failed/)
  await entered
  running.signals.emit('SIGINT')
  assert.is(await running.code, 1)
  assert.is(running.messages().at(-1), 'stopped at the limit: requests in flight were cut')
  await slow
})

test('run() says in one sentence which port is taken, and gives 1', async () => {
  const server = await serve(createApp(), { host: '127.0.0.1', port: 0 })
  const { port } = new URL(server.url)
  for (const name of ['PORT', 'METRICS_PORT', 'PROBES_PORT']) {
    const running = startRun({ [name]: port }, [])
    assert.is(await running.code, 1)
    assert.equal(running.stderr, [
      `Cannot start the service: listen EADDRINUSE: address already in use 127.0.0.1:${port}. Set ${name} to a free port\n`,
    ])
  }
  await server.stop(1_000)
})

test('readSettings() has defaults for a laptop: loopback, 8080, no drain delay', () => {
  const expected = {
    host: '127.0.0.1',
    port: 8080,
    metricsHost: '127.0.0.1',
    metricsPort: 9464,
    probesHost: '127.0.0.1',
    probesPort: 8081,
    heartbeatLimitMs: 10_000,
    logRequests: true,
    serviceName: 'service',
    environment: 'development',
    version: 'unknown',
    pod: 'local',
    faults: false,
    drainMs: 0,
    stopMs: 8000,
  }
  assert.equal(readSettings({}), expected)
  assert.equal(readSettings({ PORT: '', ENV: '', FAULTS: 'off' }), expected)
  assert.is(readSettings({ FAULTS: 'on' }).faults, true)
  assert.is(readSettings({ LOG_REQUESTS: 'off' }).logRequests, false)
  assert.is(readSettings({ HOST: '0.0.0.0' }).metricsHost, '0.0.0.0')
  assert.is(readSettings({ HOST: '0.0.0.0' }).probesHost, '0.0.0.0')
  assert.is(readSettings({ HOST: '0.0.0.0', PROBES_HOST: '::1' }).probesHost, '::1')
  assert.is(readSettings({ HOST: '0.0.0.0', METRICS_HOST: '::1' }).metricsHost, '::1')
})

test('readSettings() reads the address of traces as OpenTelemetry means it', () => {
  const urlOf = (env: Record<string, string>) => readSettings(env).tracesUrl
  assert.is(urlOf({}), undefined)
  assert.is(urlOf({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' }), 'http://collector:4318/v1/traces')
  assert.is(urlOf({ OTEL_EXPORTER_OTLP_ENDPOINT: 'https://collector/otlp/' }), 'https://collector/otlp/v1/traces')
  const own = { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://traces:4318/in', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' }
  assert.is(urlOf(own), 'http://traces:4318/in')
})

test('readSettings() refuses each malformed variable with its name, value and what was expected', () => {
  const cases: [Record<string, string>, string][] = [
    [{ PORT: 'abc' }, 'PORT is "abc", expected a whole number from 0 to 65535'],
    [{ PORT: '65536' }, 'PORT is "65536", expected a whole number from 0 to 65535'],
    [{ PORT: '-1' }, 'PORT is "-1", expected a whole number from 0 to 65535'],
    [{ DRAIN_MS: '1.5' }, 'DRAIN_MS is "1.5", expected a whole number from 0 to 20000'],
    [{ STOP_MS: '9001' }, 'STOP_MS is "9001", expected a whole number from 0 to 9000'],
    [{ METRICS_PORT: 'x' }, 'METRICS_PORT is "x", expected a whole number from 0 to 65535'],
    [{ PROBES_PORT: '70000' }, 'PROBES_PORT is "70000", expected a whole number from 0 to 65535'],
    [{ HEARTBEAT_LIMIT_MS: '499' }, 'HEARTBEAT_LIMIT_MS is "499", expected a whole number from 500 to 60000'],
    [{ HEARTBEAT_LIMIT_MS: '60001' }, 'HEARTBEAT_LIMIT_MS is "60001", expected a whole number from 500 to 60000'],
    [{ LOG_REQUESTS: 'yes' }, 'LOG_REQUESTS is "yes", expected on or off'],
    [
      { OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4318' },
      'OTEL_EXPORTER_OTLP_ENDPOINT is "collector:4318", expected an address such as http://collector:4318',
    ],
    [{ OTEL_SERVICE_NAME: 'a b' }, 'OTEL_SERVICE_NAME is "a b", expected 1 to 128 ASCII characters without spaces'],
    [{ FAULTS: 'true' }, 'FAULTS is "true", expected on or off'],
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
    const good = startMain({})
    await good.listening
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

test(
  'main.ts tells every variable that it reads, and takes no arguments',
  async () => {
    const help = startMain({}, { args: ['--help'] })
    assert.equal(await help.ended, [0, null])
    const read: string[] = []
    readSettings(new Proxy({}, { get: (_, name) => void read.push(String(name)) }))
    assert.ok(read.length > 15, read.join(', '))
    for (const name of read) assert.match(help.output(), new RegExp(`\\b${name}\\b`), `it reads ${name}`)
    const wrong = startMain({}, { args: ['--prot', '8090'] })
    assert.equal(await wrong.ended, [2, null])
    assert.match(wrong.output(), /^Cannot start the service: it takes no '--prot', .*\n$/)
  },
  { timeoutMs: 60_000 },
)

test.run()
