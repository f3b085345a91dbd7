/** The service's process: its settings, its drain, its exit codes. */
import { type ChildProcess, spawn } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createApp } from '../../service/app.ts'
import type { Route } from '../../service/http.ts'
import { run } from '../../service/run.ts'
import { serve } from '../../service/server.ts'
import { readSettings } from '../../service/settings.ts'
import { assert, suite } from '../suite.ts'
import { slowRoute } from './service-fixture.ts'

const test = suite('service run')

test('run() drains on SIGTERM: not ready but serving, then the slow request finishes, the metrics close, and 0', async () => {
  const { route, entered, release } = slowRoute()
  const running = startRun({ DRAIN_MS: '600' }, [route])
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
  assert.match(
    await (await fetch(await running.metrics())).text(),
    'app_requests_total{method="GET",endpoint="/api/products",status="200"} 1',
  )
  running.signals.emit('SIGTERM')
  release()
  assert.is((await slow).status, 200)
  assert.is(await running.code, 0)
  await assert.rejects(fetch(await running.metrics()), /fetch failed/)
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
  for (const name of ['PORT', 'METRICS_PORT']) {
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
  assert.is(readSettings({ HOST: '0.0.0.0' }).metricsHost, '0.0.0.0')
  assert.is(readSettings({ HOST: '0.0.0.0', METRICS_HOST: '::1' }).metricsHost, '::1')
})

test('readSettings() refuses each malformed variable with its name, value and what was expected', () => {
  const cases: [Record<string, string>, string][] = [
    [{ PORT: 'abc' }, 'PORT is "abc", expected a whole number from 0 to 65535'],
    [{ PORT: '65536' }, 'PORT is "65536", expected a whole number from 0 to 65535'],
    [{ PORT: '-1' }, 'PORT is "-1", expected a whole number from 0 to 65535'],
    [{ DRAIN_MS: '1.5' }, 'DRAIN_MS is "1.5", expected a whole number from 0 to 20000'],
    [{ STOP_MS: '9001' }, 'STOP_MS is "9001", expected a whole number from 0 to 9000'],
    [{ METRICS_PORT: 'x' }, 'METRICS_PORT is "x", expected a whole number from 0 to 65535'],
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
    const good = startMain({ PORT: '0', METRICS_PORT: '0' })
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

function startRun(env: Record<string, string>, routes: readonly Route[]) {
  const signals = new EventEmitter()
  const lines = new EventEmitter()
  const stdout: { message: string; url?: string; metrics?: string }[] = []
  const stderr: string[] = []
  const listening = once(lines, 'line')
  const keep = (line: string) => {
    stdout.push(JSON.parse(line))
    lines.emit('line')
  }
  return {
    signals,
    stderr,
    code: run({ env: { PORT: '0', METRICS_PORT: '0', ...env }, signals, routes, stdout: keep, stderr: (line) => stderr.push(line) }),
    messages: () => stdout.map((line) => line.message),
    url: async () => {
      await listening
      return stdout[0]?.url ?? ''
    },
    metrics: async () => {
      await listening
      return `${stdout[0]?.metrics}/metrics`
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
