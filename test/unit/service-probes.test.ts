/** The probes' own thread: what it answers, and that it finds out an event loop that hangs. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { pending, ready, waitFor } from '#kit/wait'
import type { Phase } from '../../service/app.ts'
import { startProbes } from '../../service/probes.ts'
import { assert, suite } from '../suite.ts'
import { bundleMain, startMain } from './service-process.ts'

const test = suite('service probes')

const OPTIONS = { host: '127.0.0.1', port: 0, environment: 'test', heartbeatLimitMs: 10_000, onError: () => {} }

async function ask(url: string): Promise<[status: number, body: unknown]> {
  const response = await fetch(url, { signal: AbortSignal.timeout(500) })
  return [response.status, await response.json()]
}

test('the thread answers what the heartbeat told it: only a ready phase is ready, and every one is healthy', async () => {
  let phase: Phase = 'starting'
  const probes = await startProbes({ ...OPTIONS, phase: () => phase })
  for (const next of ['starting', 'waiting', 'ready', 'draining'] as const) {
    phase = next
    probes.beat()
    assert.equal(await ask(`${probes.url}/ready`), [next === 'ready' ? 200 : 503, { status: next }])
    assert.equal(await ask(`${probes.url}/health`), [200, { status: 'healthy', environment: 'test' }])
  }
  assert.equal(await ask(`${probes.url}/faults`), [404, { error: 'Not found' }])
  await probes.stop()
  await assert.rejects(ask(`${probes.url}/health`), /fetch failed/)
})

test('a phase that changes reaches the thread with the next heartbeat', async ({ signal }) => {
  let phase: Phase = 'ready'
  const probes = await startProbes({ ...OPTIONS, phase: () => phase })
  assert.equal(await ask(`${probes.url}/ready`), [200, { status: 'ready' }])
  phase = 'waiting'
  const look = async () => {
    const [status, body] = await ask(`${probes.url}/ready`)
    return status === 503 ? ready(body) : pending(String(status))
  }
  assert.equal(await waitFor('/ready 503', look, { timeoutMs: 8_000, everyMs: 50, signal }), { status: 'waiting' })
  await probes.stop()
})

test('each answer has its length and closes its connection, as the kubelet asks', async () => {
  const probes = await startProbes({ ...OPTIONS, phase: () => 'ready' })
  const { headers } = await fetch(`${probes.url}/ready`)
  assert.is(headers.get('connection'), 'close')
  assert.is(headers.get('content-length'), '18')
  assert.is(headers.get('content-type'), 'application/json; charset=utf-8')
  await probes.stop()
})

test('a thread that ends by an error is told about', async () => {
  const told = Promise.withResolvers<Error>()
  // An age cannot be compared with it: the thread throws at its first request.
  const heartbeatLimitMs = { valueOf: 1, toString: 1 } as never
  const probes = await startProbes({ ...OPTIONS, heartbeatLimitMs, phase: () => 'ready', onError: told.resolve })
  await assert.rejects(ask(`${probes.url}/health`), /fetch failed/)
  assert.match((await told.promise).message, 'Cannot convert object to primitive value')
  await probes.stop()
})

test('the thread does not keep a process alive, and loads nothing that the process was started with', async () => {
  const script = `import { startProbes } from ${JSON.stringify(import.meta.resolve('../../service/probes.ts'))}
    await startProbes({ host: '127.0.0.1', port: 0, environment: 'test', heartbeatLimitMs: 10_000, phase: () => 'ready', onError() {} })
    console.log('listens')`
  const saying = (word: string) => `--import=data:text/javascript,console.log('${word}')`
  const args = [saying('preload'), '--input-type=module', '--eval', script]
  const child = spawn(process.execPath, args, { env: { NODE_OPTIONS: saying('agent') } })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
  assert.equal(await once(child, 'close'), [0, null], output)
  assert.is(output, 'agent\npreload\nlistens\n')
})

test(
  'the bundle: a hang fails the probes until it is over, a crash ends the process once it has answered',
  async ({ signal }) => {
    await using bundle = await bundleMain()
    const main = startMain({ FAULTS: 'on', HEARTBEAT_LIMIT_MS: '500', ENV: 'test' }, { bundle: bundle.file })
    const { url, metrics, probes } = await main.listening
    const put = (body: object) =>
      fetch(`${metrics}/faults`, { method: 'PUT', body: JSON.stringify(body), signal: AbortSignal.timeout(2_000) })
    const look = async (want: number) => {
      const [status] = await ask(`${probes}/health`)
      return status === want ? ready(status) : pending(String(status))
    }
    const until = (want: number) => waitFor(`/health ${want}`, () => look(want), { timeoutMs: 5_000, everyMs: 50, signal })
    assert.equal(await ask(`${probes}/ready`), [200, { status: 'ready' }])
    assert.is((await put({ forMs: 2_500, hang: true })).status, 200)
    assert.is((await ask(`${probes}/health`))[0], 200, 'it hangs only since now')
    await until(503)
    assert.equal(await ask(`${probes}/health`), [503, { status: 'unresponsive' }])
    assert.equal(await ask(`${probes}/ready`), [503, { status: 'unresponsive' }])
    await assert.rejects(ask(`${url}/health`), /timeout/)
    await until(200)
    assert.equal(await ask(`${url}/ready`), [200, { status: 'ready' }])
    const crash = await put({ forMs: 1, crash: true })
    assert.equal(Object.keys(((await crash.json()) as { active: object }).active), ['crash'])
    assert.equal(await main.ended, [70, null])
  },
  { timeoutMs: 30_000 },
)

test.run()
